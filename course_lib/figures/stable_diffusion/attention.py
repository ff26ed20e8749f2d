"""Lesson 7's figures of attention: number by number, where it sits, and who looks where."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.diffusion.attention_maps import Looked, object_mask, summed
from course_lib.figures.convolution.kernels import numbers
from course_lib.figures.style import FAINT, INK, MUTED, ORANGE, SKY, course_style
from course_lib.sd.unet import UNet2DConditionModel

_COLUMNS = 5  # of maps beside each other


def by_hand(
    q: Float[Tensor, "queries channels"],
    k: Float[Tensor, "tokens channels"],
    v: Float[Tensor, "tokens values"],
) -> Figure:
    """Attention number by number: scores, weights and answers of a few queries.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if q.shape[1] != k.shape[1] or len(k) != len(v):
        raise ValueError(f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}: queries and keys need as many "
                         "channels, and each key needs a value.")  # fmt: skip
    scores = q @ k.T / q.shape[1] ** 0.5
    weights = scores.softmax(-1)
    told = f"q kᵀ / √{q.shape[1]}"
    tables = [("queries q", q, ""), ("keys k", k, ""), ("scores", scores, told), ("weights", weights, "softmax"),
              ("values v", v, ""), ("answers", weights @ v, "weights × v")]  # fmt: skip
    with course_style():
        figure, panels = plt.subplots(
            1, len(tables), figsize=(11.5, 2.9), width_ratios=[table.shape[1] for _, table, _ in tables],
            layout="constrained",
        )  # fmt: skip
        for axes, (name, table, words) in zip(panels, tables, strict=True):
            numbers(axes, table.numpy(), signed=True, size=11, digits=2 if words else 0)
            axes.set_title(name, loc="center", fontsize=11)
            axes.set_xlabel(words, color=MUTED)
            axes.set_ylim(2.5, -0.5)
            if name.split()[0] in ("queries", "scores", "weights", "answers"):
                spot = (-0.46, -0.46)
                axes.add_patch(
                    Rectangle(
                        spot, table.shape[1] - 0.08, 0.92, fill=False, edgecolor=ORANGE, linewidth=3
                    )
                )
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
    return figure


def places(unet: UNet2DConditionModel) -> Figure:
    """The blocks of a denoiser from input to output at the height of their resolution; filled: with
    attention.
    """
    side, heads = unet.config.sample_size, unet.config.attention_head_dim
    blocks, level = [], 0
    for index, block in enumerate(unet.down_blocks):
        blocks.append((f"down {index}", level, block, side >> level))
        level += len(block.downsamplers)
    blocks.append(("middle", level, unet.mid_block, side >> level))
    for index, block in enumerate(unet.up_blocks):
        blocks.append((f"up {index}", level, block, side >> level))
        level -= len(block.upsamplers)
    lowest = max(one[1] for one in blocks)
    with course_style():
        figure, axes = plt.subplots(figsize=(11, 1.25 * (lowest + 1) + 0.3), layout="constrained")
        for index, (name, level, block, width) in enumerate(blocks):
            count = len(block.attentions)
            spot = (index - 0.46, -level - 0.42)
            axes.add_patch(
                Rectangle(
                    spot,
                    0.92,
                    0.84,
                    facecolor=SKY if count else "white",
                    edgecolor=MUTED,
                    linewidth=1.2,
                )
            )
            axes.text(
                index,
                -level + 0.22,
                f"{name}: {width} × {width}",
                ha="center",
                va="center",
                fontweight="bold",
                fontsize=10,
            )
            told = (
                f"{count} × attention\n{width**2} places, {heads} heads"
                if count
                else "no attention"
            )
            axes.text(index, -level - 0.15, told, ha="center", va="center", fontsize=9, color=INK)
            if index:
                before = blocks[index - 1][1]
                axes.annotate(
                    "",
                    (index - 0.46, -level),
                    (index - 0.54, -before),
                    arrowprops={"arrowstyle": "-|>", "color": INK},
                )
        axes.set(xlim=(-0.55, len(blocks) - 0.45), ylim=(-lowest - 0.5, 0.5))
        axes.axis("off")
    return figure


def heads(weights: Float[Tensor, "heads tokens tokens"], names: Sequence[str]) -> Figure:
    """A table for each head: a row is a token, a column a token that it looks at.

    Raises:
        ValueError: if there is not one name for each token.
    """
    if weights.shape[1:] != (len(names), len(names)):
        raise ValueError(
            f"weights {tuple(weights.shape)} for {len(names)} names: give one for each token."
        )
    short = [name.strip("<|>").replace("oftext", "") for name in names]
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(weights),
            figsize=(2.7 * len(weights) + 1.2, 3.7),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for number, (axes, table) in enumerate(zip(panels[0], weights, strict=True)):
            shown = torch.where(torch.ones_like(table).tril().bool(), table, torch.nan)
            drawn = axes.imshow(shown.numpy(), cmap="cividis", vmin=0, vmax=1)
            axes.set_facecolor(FAINT)
            axes.set_xticks(range(len(names)), short, rotation=90, color=INK)
            axes.set_yticks(range(len(names)), short, color=INK)
            axes.tick_params(length=0)
            axes.set_title(f"head {number}", loc="center")
        figure.colorbar(drawn, ax=panels, shrink=0.7, pad=0.01).set_label("weight")
    return figure


def over_picture(looked: Looked) -> Figure:
    """The picture, and a map for each word, bright where places look at it, with the object's
    outline and its share.
    """
    named = summed(looked)
    total = sum(float(one.sum()) for one in named.values())
    outline = object_mask(looked.image).numpy()
    rows = -(-(len(named) + 1) // _COLUMNS)
    with course_style():
        figure, panels = plt.subplots(
            rows,
            _COLUMNS,
            figsize=(2.2 * _COLUMNS, 2.85 * rows),
            squeeze=False,
            layout="constrained",
        )
        for axes in panels.flat:
            axes.axis("off")
        panels[0, 0].imshow(looked.image.clamp(0, 1).permute(1, 2, 0).numpy())
        panels[0, 0].set_title("the picture", loc="center")
        for axes, (name, one) in zip(panels.flat[1:], named.items(), strict=False):
            height, width = outline.shape
            axes.imshow(
                one.numpy(), cmap="cividis", interpolation="bilinear", extent=(0, width, height, 0)
            )
            if outline.any() and not outline.all():
                axes.contour(outline, [0.5], colors="white", linewidths=1.2)
            axes.set_title(name.strip(), loc="center")
            axes.text(
                width / 2,
                height * 1.09,
                f"{float(one.sum()) / total:.1%} of all weight",
                ha="center",
                color=MUTED,
            )
    return figure
