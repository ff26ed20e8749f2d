"""The figures of lesson 7 about attention: computed by hand, its place in the U-Net, and maps."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from course_lib.diffusion.attention_maps import AttentionRecord, maps_by_word, object_mask
from course_lib.figures.convolution.kernels import draw_number_grid
from course_lib.figures.style import FAINT, INK, MUTED, ORANGE, SKY, course_style
from course_lib.figures.text import AS_TYPED, drawable, piece_text
from course_lib.sd.unet import UNet2DConditionModel

_COLUMNS = 5  # of attention maps


def attention_by_hand(
    q: Float[Tensor, "queries channels"],
    k: Float[Tensor, "keys key_channels"],
    v: Float[Tensor, "values value_channels"],
) -> Figure:
    """Scaled dot-product attention number by number, with the first query's row outlined.

    Args:
        q: a few queries.
        k: the keys, with as many channels as the queries.
        v: one value for each key.

    Raises:
        ValueError: if the shapes do not match.
    """
    if q.shape[1] != k.shape[1] or len(k) != len(v):
        raise ValueError(
            f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}: queries and keys need "
            "the same number of channels, and each key needs a value."
        )
    scores = q @ k.T / q.shape[1] ** 0.5
    weights = scores.softmax(-1)
    # Title, numbers, their decimals, formula, and whether there is a row for each query.
    tables = [
        ("queries q", q, 0, "", True),
        ("keys k", k, 0, "", False),
        ("scores", scores, 2, f"q kᵀ / √{q.shape[1]}", True),
        ("weights", weights, 3, "softmax", True),  # with two, the rows would not add up to 1
        ("values v", v, 0, "", False),
        ("outputs", weights @ v, 2, "weights × v", True),
    ]
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(tables),
            figsize=(11.5, 2.9),
            width_ratios=[table.shape[1] for _, table, *_ in tables],
            layout="constrained",
        )
        for axes, (title, table, digits, formula, by_query) in zip(panels, tables, strict=True):
            draw_number_grid(axes, table.numpy(), signed=True, size=11, digits=digits)
            axes.set_title(title, loc="center", fontsize=11)
            axes.set_xlabel(formula, color=MUTED)
            axes.set_ylim(2.5, -0.5)
            if by_query:
                axes.add_patch(
                    Rectangle(
                        (-0.46, -0.46),
                        table.shape[1] - 0.08,
                        0.92,
                        fill=False,
                        edgecolor=ORANGE,
                        linewidth=3,
                    )
                )
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
    return figure


def attention_blocks(unet: UNet2DConditionModel) -> Figure:
    """The denoiser's blocks from input to output; blocks with attention are filled.

    Dashed lines: the skip connections, from each block on the way down to one on the way up.
    """
    side = unet.config.sample_size
    blocks: list[tuple[str, int, nn.Module]] = []
    level = 0
    for index, block in enumerate(unet.down_blocks):
        blocks.append((f"down {index}", level, block))
        level += len(block.downsamplers)
    blocks.append(("middle", level, unet.mid_block))
    for index, block in enumerate(unet.up_blocks):
        blocks.append((f"up {index}", level, block))
        level -= len(block.upsamplers)
    lowest = max(level for _, level, _ in blocks)
    with course_style():
        figure, axes = plt.subplots(figsize=(11, 1.25 * (lowest + 1) + 0.3), layout="constrained")
        for index, (name, level, block) in enumerate(blocks):
            _draw_block(
                axes, (index, -level), name, side >> level, block, unet.config.attention_head_dim
            )
            if index:
                axes.annotate(
                    "",
                    (index - 0.46, -level),
                    (index - 0.54, -blocks[index - 1][1]),
                    arrowprops={"arrowstyle": "-|>", "color": INK},
                )
        for index, (_, level, _) in enumerate(blocks[: len(unet.down_blocks)]):
            _draw_skip(axes, index, len(blocks) - 1 - index, -level, above=level == lowest)
        axes.set(xlim=(-0.55, len(blocks) - 0.45), ylim=(-lowest - 0.5, 0.5))
        axes.axis("off")
    return figure


def _draw_skip(axes: Axes, start: int, end: int, y: int, above: bool) -> None:
    """A dashed line between two blocks, in an arc above the middle block where it is in between."""
    x: list[float] = [start + 0.46, end - 0.46]
    heights: list[float] = [y, y]
    if above:
        x, heights = [start, start, end, end], [y + 0.42, y + 0.56, y + 0.56, y + 0.42]
    axes.plot(x, heights, color=MUTED, linestyle="--", linewidth=1.2)


def _draw_block(
    axes: Axes, centre: tuple[int, int], name: str, side: int, block: nn.Module, heads: int
) -> None:
    x, y = centre
    layers = len(block.attentions)
    axes.add_patch(
        Rectangle(
            (x - 0.46, y - 0.42),
            0.92,
            0.84,
            facecolor=SKY if layers else "white",
            edgecolor=MUTED,
            linewidth=1.2,
        )
    )
    axes.text(
        x,
        y + 0.26,
        f"{name}: {side} × {side}",
        ha="center",
        va="center",
        fontweight="bold",
        fontsize=10,
    )
    text = "no attention"
    if layers:
        blocks = "transformer block" if layers == 1 else "transformer blocks"
        text = f"{layers} {blocks}\n{side**2} positions\n{heads} heads"
    axes.text(x, y - 0.14, text, ha="center", va="center", fontsize=8.5, color=INK)


def attention_heads(weights: Float[Tensor, "heads tokens tokens"], names: Sequence[str]) -> Figure:
    """A table for each head: the attention weight of each token (row) to each token (column).

    Weights of later tokens are not drawn but crossed out.

    Raises:
        ValueError: if there is not one name for each token.
    """
    if weights.shape[1:] != (len(names), len(names)):
        raise ValueError(
            f"weights {tuple(weights.shape)} for {len(names)} names: give one name for each token."
        )
    labels = _token_labels(names)
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(weights),
            figsize=(2.7 * len(weights) + 1.2, 3.7),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for head, (axes, table) in enumerate(zip(panels[0], weights, strict=True)):
            lower = torch.where(torch.ones_like(table).tril().bool(), table, torch.nan)
            image = axes.imshow(lower.numpy(), cmap="cividis", vmin=0, vmax=1)
            for row in range(len(labels)):
                for column in range(row + 1, len(labels)):
                    axes.text(column, row, "×", ha="center", va="center", color=MUTED)
            axes.set_xticks(range(len(labels)), labels, rotation=90, color=INK, **AS_TYPED)
            axes.set_yticks(range(len(labels)), labels, color=INK, **AS_TYPED)
            axes.tick_params(length=0)
            axes.set_title(f"head {head}", loc="center")
        figure.colorbar(image, ax=panels, shrink=0.7, pad=0.01).set_label("weight")
    return figure


def _token_labels(names: Sequence[str]) -> list[str]:
    """The tokens as tick labels; the special ones as start and end."""
    return [drawable(piece_text(name.strip("<|>").replace("oftext", ""))) for name in names]


def attention_row_and_column(
    weights: Float[Tensor, "positions tokens"],
    names: Sequence[str],
    positions: dict[str, int],
    token: int,
) -> Figure:
    """A table of cross-attention weights, two of its rows as bars, and a column as a map.

    Args:
        weights: of each position of a square feature map, row by row, for each token.
        names: the token of each column.
        positions: the two rows to draw, by their names in the legend.
        token: the column to draw.

    Raises:
        ValueError: if there is not one name for each token, or there are not two positions.
    """
    if weights.shape[1] != len(names) or len(positions) != 2:
        raise ValueError(
            f"weights {tuple(weights.shape)}, {len(names)} names, {len(positions)} positions: give "
            "one name for each token, and two positions."
        )
    labels = _token_labels(names)
    side = round(len(weights) ** 0.5)
    column = weights[:, token]
    marks = list(zip(positions.items(), ((ORANGE, "o"), (SKY, "s")), strict=True))
    with course_style():
        figure, (table, bars, square) = plt.subplots(
            1, 3, figsize=(10.5, 3.8), width_ratios=[1, 1.5, 1], layout="constrained"
        )
        table.imshow(weights.numpy(), cmap="cividis", aspect="auto")
        outline = Rectangle((token - 0.5, -0.5), 1, len(weights), fill=False, edgecolor="white")
        outline.set_linewidth(2)
        table.add_patch(outline)
        square.imshow(column.view(side, side).numpy(), cmap="cividis")
        for index, ((name, row), (colour, marker)) in enumerate(marks):
            style = {"color": colour, "marker": marker, "markeredgecolor": "white", "ls": "none"}
            table.plot(-1, row, markersize=9, clip_on=False, **style)
            square.plot(row % side, row // side, markersize=13, **style)
            heights = (100 * weights[row]).tolist()
            offsets = [place + 0.42 * (index - 0.5) for place in range(len(names))]
            bars.bar(offsets, heights, width=0.4, color=colour)
            bars.plot([], [], markersize=9, label=name, **style)
        for axes in (table, bars):
            axes.set_xticks(range(len(labels)), labels, rotation=90, color=INK, **AS_TYPED)
            axes.tick_params(length=0)
        table.set(title="weights", xlim=(-0.5, len(names) - 0.5), yticks=[])
        table.set_ylabel(f"{len(weights)} positions", labelpad=14)
        bars.set(title="two rows, over the tokens", ylabel="% of a position's weight")
        bars.grid(axis="y", color=FAINT)
        bars.set_axisbelow(True)
        bars.legend()
        square.set_title(f"a column: the map of “{labels[token]}”", **AS_TYPED)
        square.set_xlabel(f"from {float(column.min()):.0%} to {float(column.max()):.0%}")
        square.set(xticks=[], yticks=[])
        square.spines[:].set_visible(False)
    return figure


def word_attention_maps(record: AttentionRecord) -> Figure:
    """The image, and each word's attention map with the object's outline.

    Below each map are its share of the total attention weight, and its minimum and maximum, the
    limits of its colour scale.
    """
    maps = maps_by_word(record)
    total = sum(float(weights.sum()) for weights in maps.values())
    outline = object_mask(record.image).numpy()
    height, width = outline.shape
    rows = -(-(len(maps) + 1) // _COLUMNS)
    with course_style():
        figure, panels = plt.subplots(
            rows,
            _COLUMNS,
            figsize=(2.2 * _COLUMNS, 3.05 * rows),
            squeeze=False,
            layout="constrained",
        )
        for axes in panels.flat:
            axes.axis("off")
        panels[0, 0].imshow(record.image.clamp(0, 1).permute(1, 2, 0).numpy())
        panels[0, 0].set_title("the image", loc="center")
        for axes, (word, weights) in zip(panels.flat[1:], maps.items(), strict=False):
            axes.imshow(
                weights.numpy(),
                cmap="cividis",
                interpolation="bilinear",
                extent=(0, width, height, 0),
            )
            if outline.any() and not outline.all():
                axes.contour(outline, [0.5], colors="white", linewidths=1.2)
            axes.set_title(drawable(piece_text(word.strip())), loc="center", **AS_TYPED)
            share = float(weights.sum()) / total
            note = f"{share:.1%} of the weight"
            axes.text(width / 2, height * 1.09, note, ha="center", color=MUTED)
            ends = f"from {float(weights.min()):.1%} to {float(weights.max()):.1%}"
            axes.text(width / 2, height * 1.2, ends, ha="center", color=MUTED)
    return figure
