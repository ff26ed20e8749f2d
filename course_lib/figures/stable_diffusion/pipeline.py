"""The figures of lesson 7 about the pipeline: components, tokens, embeddings and guidance."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor, nn

from course_lib.diffusion.guidance import GuidanceResult
from course_lib.figures.convolution.kernels import draw_number_grid
from course_lib.figures.style import (
    BLUE,
    DIVERGING,
    FAINT,
    GREEN,
    INK,
    LINE_STYLES,
    MUTED,
    RED,
    SKY,
    course_style,
    with_styles,
)
from course_lib.figures.text import AS_TYPED, drawable, piece_text
from course_lib.metrics.generation import wilson_interval
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.tokenizer import Tokenizer

_COMPONENT_NAMES = {"text_encoder": "text encoder", "unet": "U-Net", "vae": "autoencoder"}
TOKEN_COLOURS = ("#CDE7F7", "#FBE6BC", "#CDEBDF", "#F0D9E6")  # alternating
# The parts of an autoencoder that are used to decode, in either of the course's two designs.
_DECODING = ("decoder", "post_quant_conv", "linear_decoder")
_MAX_ROWS = 24  # of a panel of object_colour_table


@torch.no_grad()
def pipeline_diagram(model: StableDiffusion, prompt: str) -> Figure:
    """From prompt to image: components with parameter counts, arrows with tensor shapes."""
    weight = next(model.unet.parameters())  # for the device and dtype of the models
    ids, _ = model.tokenizer.encode(prompt)
    context = model.text_encoder(ids.to(weight.device))
    side = model.unet.config.sample_size
    latent = torch.zeros(1, model.unet.config.in_channels, side, side).to(weight)
    prediction = model.unet(latent, 0, context)
    image = model.vae.decode(latent)
    vocabulary = f"{len(model.tokenizer.tokens):,} tokens"
    decoding = [part for name, part in model.vae.named_children() if name in _DECODING]
    decoder_size = _count(*decoding)
    with course_style():
        figure, axes = plt.subplots(figsize=(11.5, 4.1), layout="constrained")
        axes.set(xlim=(0, 11.5), ylim=(0, 4.1), aspect="equal")
        axes.axis("off")
        label = f"“{drawable(prompt, max_length=110)}”"
        axes.text(0.1, 3.75, label, fontsize=11, va="center", **AS_TYPED)
        _draw_arrow(axes, (0.95, 3.55), (0.95, 2.98))
        _draw_box(axes, 0.95, 2.5, "tokenizer", vocabulary, FAINT)
        _draw_arrow(axes, (1.75, 2.5), (2.75, 2.5), _shape(ids))
        _draw_box(axes, 3.55, 2.5, "text encoder", _count(model.text_encoder), "#FBE6BC")
        _draw_arrow(axes, (4.35, 2.5), (5.55, 2.5), _shape(context))
        _draw_box(axes, 6.45, 2.5, "U-Net", _count(model.unet), "#CDE7F7", width=1.8, height=1.3)
        _draw_box(axes, 6.45, 0.75, "sampler", "no parameters", FAINT, width=1.8)
        _draw_arrow(axes, (6.95, 1.85), (6.95, 1.23), _shape(prediction) + "\nprediction", "left")
        _draw_arrow(axes, (5.95, 1.23), (5.95, 1.85), _shape(latent) + "\nnext latent, t", "right")
        _draw_arrow(axes, (4.35, 0.75), (5.55, 0.75), _shape(latent))
        axes.text(4.25, 0.75, "noise\nfrom a seed", ha="right", va="center")
        _draw_arrow(axes, (7.35, 0.75), (8.55, 0.75), _shape(latent))
        axes.text(
            7.95, 0.42, "after the\nlast step", ha="center", va="top", fontsize=10, color=MUTED
        )
        _draw_box(axes, 9.35, 0.75, "decoder", decoder_size, "#CDEBDF")
        _draw_arrow(axes, (9.35, 1.23), (9.35, 2.1), _shape(image), "left")
        axes.text(9.35, 2.35, "the image", ha="center", va="center", fontsize=12, fontweight="bold")
    return figure


def _draw_box(
    axes: Axes,
    x: float,
    y: float,
    name: str,
    text: str,
    colour: str,
    width: float = 1.6,
    height: float = 0.96,
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour,
            edgecolor=MUTED,
        )
    )
    axes.text(x, y + 0.15, name, ha="center", va="center", fontsize=12, fontweight="bold")
    axes.text(x, y - 0.2, text, ha="center", va="center", fontsize=10)


def _draw_arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    label: str = "",
    align: str = "center",
) -> None:
    """Draw an arrow with its label above it; "left" and "right" put the label next to it."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.6})
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    if align == "center":
        axes.text(x, y + 0.1, label, ha="center", va="bottom", fontsize=10)
    else:
        offset = 0.12 if align == "left" else -0.12
        axes.text(x + offset, y, label, ha=align, va="center", fontsize=10)


def _shape(tensor: Tensor) -> str:
    """The shape without the batch dimension."""
    return " × ".join(str(side) for side in tensor.shape[1:])


def _count(*models: nn.Module) -> str:
    count = sum(weights.numel() for model in models for weights in model.parameters())
    return f"{count / 1e6:.1f} million"


def token_boxes(tokenizer: Tokenizer, prompts: Sequence[str]) -> Figure:
    """Each prompt with its tokens as boxes: text and id, with a dot at the end of a word."""
    with course_style():
        figure, axes = plt.subplots(figsize=(10, 0.95 * len(prompts) + 0.1), layout="constrained")
        for line, prompt in enumerate(prompts):
            label = f"“{drawable(prompt, max_length=42)}”"
            axes.text(0, -line, label, ha="left", va="center", fontsize=11, **AS_TYPED)
            _draw_tokens(axes, tokenizer, tokenizer.tokenize(prompt), -line)
        axes.set(xlim=(-0.1, 10), ylim=(0.5 - len(prompts), 0.5))
        axes.axis("off")
    return figure


def _draw_tokens(axes: Axes, tokenizer: Tokenizer, ids: list[int], y: int) -> None:
    left = 3.6
    for index, (piece, token_id) in enumerate(zip(tokenizer.pieces(ids), ids, strict=True)):
        text = drawable(piece_text(piece).replace(" ", "·"))
        width = 0.13 * max(len(text), len(str(token_id))) + 0.14
        if left + width > 9 and index < len(ids) - 1:
            axes.text(left + 0.05, y, f"and {len(ids) - index} more", va="center", color=MUTED)
            break
        axes.add_patch(
            Rectangle(
                (left, y - 0.33),
                width,
                0.66,
                facecolor=TOKEN_COLOURS[index % len(TOKEN_COLOURS)],
                edgecolor=MUTED,
                linewidth=0.8,
            )
        )
        x = left + width / 2
        axes.text(x, y + 0.12, text, ha="center", va="center", fontsize=11, **AS_TYPED)
        axes.text(x, y - 0.19, str(token_id), ha="center", va="center", fontsize=8, color=MUTED)
        left += width + 0.06


def similarity_matrix(
    words: Sequence[str], similarity: Float[Tensor, "words words"], last: int = 10
) -> Figure:
    """The cosine similarities of words as a heatmap, without the diagonal.

    Args:
        words: the labels.
        similarity: of each word (row) to each word (column).
        last: outline the block of this many words at the end.
    """
    values, count = similarity.numpy().copy(), len(words)
    np.fill_diagonal(values, np.nan)
    with course_style():
        figure, axes = plt.subplots(figsize=(8.2, 7.2), layout="constrained")
        limit = max(float(np.nanmax(np.abs(values))), 1e-6)
        image = axes.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit)
        axes.set_facecolor(FAINT)
        labels = [drawable(word) for word in words]
        axes.set_xticks(range(count), labels, rotation=90, fontsize=9, color=INK, **AS_TYPED)
        axes.set_yticks(range(count), labels, fontsize=9, color=INK, **AS_TYPED)
        axes.tick_params(length=0)
        corner = (count - last - 0.5,) * 2
        axes.add_patch(Rectangle(corner, last, last, fill=False, edgecolor=INK, linewidth=2))
        figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02).set_label("cosine similarity")
    return figure


def object_colour_table(
    objects: Sequence[str],
    colours: Sequence[str],
    similarity: Float[Tensor, "objects colours"],
    true_colours: Int64[Tensor, " objects"] | None = None,
) -> Figure:
    """The cosine similarities of objects (rows) and colours (columns) as a heatmap.

    The rows are sorted by the object's most similar colour, which is outlined. More than 24 rows
    are split into panels side by side.

    Args:
        objects: the names of the rows.
        colours: the names of the columns.
        similarity: of each object to each colour.
        true_colours: of each object, the index of its commonest colour; marked with a dot.
    """
    best = similarity.argmax(1)
    order = sorted(range(len(objects)), key=lambda row: (int(best[row]), -similarity[row].max()))
    limit = max(float(similarity.abs().max()), 1e-6)
    parts = -(-len(order) // _MAX_ROWS)
    length = -(-len(order) // parts)
    with course_style():
        figure, panels = plt.subplots(
            1, parts, figsize=(5 * parts + 1.4, 7.4), squeeze=False, layout="constrained"
        )
        for part, axes in enumerate(panels[0]):
            rows = order[part * length : (part + 1) * length]
            values = similarity[rows].numpy()
            image = axes.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
            for line, row in enumerate(rows):
                corner = (int(best[row]) - 0.5, line - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.8))
                if true_colours is not None:
                    dot = {"color": INK, "markersize": 9, "markeredgecolor": "white"}
                    axes.plot(int(true_colours[row]), line, "o", markeredgewidth=1.5, **dot)
            axes.set_xticks(range(len(colours)), colours, rotation=60, color=INK)
            axes.set_yticks(range(len(rows)), [objects[row] for row in rows], color=INK)
            axes.tick_params(length=0)
        figure.colorbar(image, ax=panels, shrink=0.6, pad=0.02).set_label("cosine similarity")
    return figure


def contrastive_tables(
    tables: dict[str, Float[Tensor, "pairs pairs"]], names: Sequence[str]
) -> Figure:
    """Cosines of the images (rows) and texts (columns) of some pairs; true pairs are outlined.

    Args:
        tables: each with its title.
        names: of the pairs.
    """
    with course_style():
        figure, panels = plt.subplots(
            1,
            len(tables),
            figsize=(2.9 * len(tables) + 1, 3.6),
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for axes, (title, table) in zip(panels[0], tables.items(), strict=True):
            draw_number_grid(axes, table.numpy(), signed=True, digits=1, limit=1)
            axes.grid(visible=False)
            for pair in range(len(names)):
                corner = (pair - 0.46, pair - 0.46)
                axes.add_patch(
                    Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.8)
                )
            axes.set_title(title, loc="center")
            axes.set_xlabel("text")
            axes.set_xticks(range(len(names)), names, rotation=60, color=INK)
            axes.set_yticks(range(len(names)), names, color=INK)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        panels[0, 0].set_ylabel("image")
    return figure


def embedding_similarity(
    embeddings: Float[Tensor, "times channels"], farthest: int = 300
) -> Figure:
    """The embeddings of all timesteps as a heatmap, and their mean similarity by distance.

    Args:
        embeddings: one for each timestep.
        farthest: the largest distance drawn, in timesteps.
    """
    unit = nn.functional.normalize(embeddings, dim=1)
    table = unit @ unit.T
    means = [float(table.diagonal(distance).mean()) for distance in range(farthest + 1)]
    with course_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10, 4), width_ratios=[1, 1.1], layout="constrained"
        )
        _draw_embeddings(left, embeddings)
        right.plot(means, color=BLUE)
        right.set(
            xlabel="distance of two timesteps",
            ylabel="cosine similarity, mean",
            title="similarity",
            ylim=(0, 1.02),
        )
        right.grid(axis="y", color=FAINT)
    return figure


def _draw_embeddings(axes: Axes, embeddings: Float[Tensor, "times channels"]) -> None:
    image = axes.imshow(embeddings.numpy(), aspect="auto", cmap=DIVERGING, vmin=-1, vmax=1)
    axes.set(
        xlabel=f"channel (cosines, then sines: {embeddings.shape[1]})",
        ylabel="timestep t",
        title="embeddings",
    )
    plt.colorbar(image, ax=axes, ticks=[-1, 0, 1], pad=0.02)


def timestep_embeddings(
    embeddings: Float[Tensor, "times channels"], marked: Sequence[int] = (100, 500, 900)
) -> Figure:
    """The embeddings of all timesteps as a heatmap, and the similarity of some to all others.

    Kept for released copies of lesson 7, which use its former name in :mod:`course_lib.renamed`.

    Args:
        embeddings: one for each timestep.
        marked: the timesteps that are compared with all others.
    """
    unit = nn.functional.normalize(embeddings, dim=1)
    with course_style():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10.5, 4.2), width_ratios=[1, 1.1], layout="constrained"
        )
        _draw_embeddings(left, embeddings)
        for time, (colour, _, dash) in with_styles(marked, LINE_STYLES):
            similarity = (unit @ unit[time]).numpy()
            right.plot(similarity, color=colour, linestyle=dash, label=f"t = {time}")
            right.plot(time, 1, "o", color=colour)
        right.set(
            xlabel="timestep t",
            ylabel="cosine similarity",
            title="similarity to some timesteps",
            ylim=(None, 1.28),
        )
        right.grid(axis="y", color=FAINT)
        right.legend(loc="upper center", ncols=len(marked))
    return figure


def timestep_mismatch(times: Sequence[int], errors: Mapping[int, Sequence[float]]) -> Figure:
    """The denoiser's error against the timestep it is given, a line for each true timestep.

    Args:
        times: the timesteps that the denoiser is given.
        errors: by the true timestep, a mean squared error for each of ``times``.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
        for (true_time, values), (colour, marker, dash) in with_styles(errors.items(), LINE_STYLES):
            axes.plot(
                times,
                values,
                color=colour,
                linestyle=dash,
                marker=marker,
                markersize=4,
                label=f"true timestep {true_time}",
            )
            if true_time in times:
                axes.plot(
                    true_time,
                    values[list(times).index(true_time)],
                    marker,
                    color=colour,
                    markersize=13,
                    markeredgecolor=INK,
                    markeredgewidth=1.6,
                )
        limit = 1.15 * max(max(values) for values in errors.values())
        axes.set(xlabel="timestep given to the U-Net", ylabel="mean squared error", ylim=(0, limit))
        axes.grid(axis="y", color=FAINT)
        axes.legend()
    return figure


def guidance_tradeoff(
    results: Sequence[GuidanceResult], count: int = 0, real_std: float = 0
) -> Figure:
    """The effect of guidance on accuracy, the latents' std, and diversity divided by that std.

    Args:
        results: one for each guidance scale.
        count: the number of images at each guidance scale, for the confidence interval of the
            accuracy; 0 draws no interval.
        real_std: the standard deviation of the latents of real images; 0 draws no line for it.
    """
    scales = [result.guidance for result in results]
    stds = [max(result.latent_std, 1e-9) for result in results]
    diversity = [result.diversity / std for result, std in zip(results, stds, strict=True)]
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        shares = [result.both for result in results]
        left.plot(scales, shares, "-", marker="o", color=BLUE, label="object and colour right")
        if count:
            ends = [wilson_interval(round(share * count), count) for share in shares]
            left.fill_between(
                scales,
                [low for low, _ in ends],
                [high for _, high in ends],
                color=BLUE,
                alpha=0.2,
                linewidth=0,
                label="plausible shares",
            )
        left.set(title="benefit", xlabel="guidance", ylabel="share of the images", ylim=(0, 1.05))
        left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        # The index of the scale that is nearest to 1, where guidance changes nothing.
        reference = min(range(len(scales)), key=lambda index: abs(scales[index] - 1))
        for label, values, colour, marker, dash in (
            ("diversity: distance between\nimages of a prompt / std", diversity, RED, "v", "-"),
            ("std of the latents", stds, SKY, "D", "--"),
        ):
            relative = [value / max(values[reference], 1e-9) for value in values]
            right.plot(scales, relative, dash, marker=marker, color=colour, label=label)
        right.axhline(1, color=MUTED, linewidth=0.8)
        if real_std:
            relative_std = real_std / stds[reference]
            right.axhline(relative_std, color=INK, linestyle=":", label="std of real images")
        right.set(
            title="what else changes",
            xlabel="guidance",
            ylabel="relative to guidance 1",
            ylim=(0, None),
        )
        for axes in (left, right):
            axes.grid(axis="y", color=FAINT)
            axes.legend(loc="lower right")
    return figure


def guided_points(
    samples: Mapping[float, Float[Tensor, "samples 2"]],
    places: Mapping[str, Float[Tensor, "places 2"]],
) -> Figure:
    """Samples in the plane at several guidance scales, marked by the class nearest to each.

    Args:
        samples: by guidance scale.
        places: by class, where its data are; one or two classes.
    """
    everywhere = torch.cat(list(places.values()))
    owner = torch.cat([torch.full((len(c),), i) for i, c in enumerate(places.values())])
    right, top = (everywhere.abs().amax(0) + 0.6).tolist()
    with course_style():
        figure, panels = plt.subplots(
            1, len(samples), figsize=(2.8 * len(samples), 2.6), squeeze=False, layout="constrained"
        )
        for axes, (scale, points) in zip(panels[0], samples.items(), strict=True):
            axes.scatter(*everywhere.T.numpy(), s=260, color=FAINT, linewidths=0, zorder=0)
            nearest = owner[torch.cdist(points, everywhere).argmin(1)]
            for index, (name, colour, marker) in enumerate(
                zip(places, (RED, BLUE), ("o", "x"), strict=False)
            ):
                mine = points[nearest == index]
                axes.scatter(
                    *mine.T.numpy(), s=9, color=colour, marker=marker, linewidths=0.8, label=name
                )
            share = float((nearest == 0).float().mean())
            axes.set_title(f"guidance {scale:g}: {next(iter(places))} {share:.0%}", fontsize=10)
            axes.set(xlim=(-right, right), ylim=(-top, top), xticks=[], yticks=[])
            axes.set_aspect("equal")
        figure.legend(
            *panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(places)
        )
    return figure


def parameter_counts(counts: Mapping[str, tuple[int, int]]) -> Figure:
    """The parameters of each component, in this course and at full size, as dots on a log axis.

    Args:
        counts: by component, the number in this course and in Stable Diffusion 1.x.
    """
    with course_style():
        figure, axes = plt.subplots(figsize=(9, 0.85 * len(counts) + 1.3), layout="constrained")
        for index, (small, large) in enumerate(counts.values()):
            axes.plot([small, large], [index, index], color=FAINT, linewidth=4, zorder=1)
            axes.text(
                (small * large) ** 0.5,
                index - 0.18,
                f"x {large / small:.0f}",
                ha="center",
                color=MUTED,
            )
            for count, colour, marker in ((small, GREEN, "o"), (large, BLUE, "s")):
                axes.plot(count, index, marker, color=colour, markersize=11)
                axes.text(
                    count, index + 0.36, f"{count / 1e6:,.1f} million", ha="center", fontsize=10
                )
        names = [_COMPONENT_NAMES.get(name, name) for name in counts]
        axes.set_yticks(range(len(counts)), names)
        axes.set(xscale="log", xlim=(3e5, 3e9), ylim=(len(counts) - 0.4, -0.5), xlabel="parameters")
        axes.set_xticks([1e6, 1e7, 1e8, 1e9], [f"{n:,} million" for n in (1, 10, 100, 1000)])
        axes.minorticks_off()
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        for colour, marker, label in ((GREEN, "o", "this course"), (BLUE, "s", "full size")):
            axes.plot([], [], marker, color=colour, label=label, linestyle="none")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=2)
    return figure
