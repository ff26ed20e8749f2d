"""The figures of lesson 4 about PCA and latents, and galleries of images."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.compression.codecs import decode, encode
from course_lib.compression.pca import BLOCK, BlockPCA
from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.figures.compression.jpeg import draw_image
from course_lib.figures.style import DIVERGING, INK, MUTED, PURPLE, course_style
from course_lib.sd.vae import DiagonalGaussian

Image = Float[Tensor, "3 height width"]


def gallery(
    rows: Mapping[str, Sequence[Image]],
    columns: Sequence[str] = (),
    notes: Mapping[str, Sequence[str]] | None = None,
    width: float = 11,
) -> Figure:
    """Images in named rows, with optional column titles and optional notes below the images.

    Args:
        rows: by name, images in [0, 1], the same number in each row.
        columns: a title for each column.
        notes: by the row's name, a note for each of its images.
        width: of the figure, in inches.

    Raises:
        ValueError: if rows, columns or notes differ in length, or there is no image.
    """
    notes = notes or {}
    counts = {len(row) for row in [*rows.values(), *notes.values()]}
    counts |= {len(columns)} if columns else set()
    if len(counts) != 1 or counts == {0}:
        raise ValueError(
            f"Rows, columns and notes have lengths {sorted(counts)}: give the same number of each, "
            "and at least one."
        )
    (count,) = counts
    first = next(iter(rows.values()))[0]
    image_height = (width - 0.4) / count * first.shape[-2] / first.shape[-1]
    extra_lines = sum(max(note.count("\n") for note in line) for line in notes.values())
    text_lines = bool(columns) + len(notes) + extra_lines
    height = image_height * len(rows) + 0.25 * text_lines + 0.1
    with course_style():
        figure, panels = plt.subplots(
            len(rows), count, figsize=(width, height), squeeze=False, layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, hspace=0, wspace=0)
        for axes, title in zip(panels[0], columns, strict=False):
            axes.set_title(title, fontsize=11)
        for line, (name, images) in zip(panels, rows.items(), strict=True):
            line[0].text(
                -0.04,
                0.5,
                name,
                transform=line[0].transAxes,
                rotation=90,
                ha="right",
                va="center",
            )
            for index, (axes, image) in enumerate(zip(line, images, strict=True)):
                draw_image(axes, image)
                if name in notes:
                    axes.text(
                        0.5,
                        -0.03,
                        notes[name][index],
                        transform=axes.transAxes,
                        ha="center",
                        va="top",
                        color=MUTED,
                    )
    return figure


def principal_components(pca: BlockPCA) -> Figure:
    """The mean block, and each component added to grey and subtracted from it.

    Args:
        pca: with a few components; each is titled with its explained variance ratio.
    """
    count = len(pca.components)
    with course_style():
        figure, panels = plt.subplots(
            2, count + 1, figsize=(11, 22 / (count + 1) + 0.9), layout="constrained"
        )
        draw_image(panels[0, 0], pca.mean.view(3, BLOCK, BLOCK))
        panels[0, 0].set_title("mean\nblock", fontsize=10.5)
        panels[1, 0].axis("off")
        for index, (component, (upper, lower)) in enumerate(
            zip(pca.components, panels[:, 1:].T, strict=True)
        ):
            change = component.view(3, BLOCK, BLOCK) / component.abs().max() / 2
            draw_image(upper, 0.5 + change)
            draw_image(lower, 0.5 - change)
            ratio = pca.explained_variance_ratio[index]
            upper.set_title(f"+PC {index + 1}\n({ratio:.1%})", fontsize=10.5)
            lower.set_title(f"−PC {index + 1}", fontsize=10.5)
    return figure


def latent_channels(model: Autoencoder, image: Image, change: float | int = 2.0) -> Figure:
    """An image, the channels of its latent, and the images decoded after changing one channel.

    Args:
        model: the autoencoder.
        image: in [0, 1].
        change: added to and subtracted from the channel, in units of its std in this latent.
    """
    latents = encode(model, image)
    std = latents.std((1, 2))
    count = len(latents)
    with course_style():
        figure, panels = plt.subplots(
            3, count + 1, figsize=(11, 3 * 11 / (count + 1) + 0.5), layout="constrained"
        )
        draw_image(panels[0, 0], image)
        panels[0, 0].set_title("the image")
        draw_image(panels[1, 0], decode(model, latents))
        panels[1, 0].set_title("decoded")
        panels[2, 0].axis("off")
        for index in range(count):
            centred = latents[index] - latents[index].mean()
            limit = 2.5 * float(centred.std()) or 1.0
            top, *others = panels[:, index + 1]
            top.imshow(centred.numpy(), cmap=DIVERGING, vmin=-limit, vmax=limit)
            top.axis("off")
            top.set_title(f"channel {index}, std {std[index]:.1f}")
            for axes, sign, symbol in zip(others, (1, -1), "+−", strict=True):
                changed = latents.clone()
                changed[index] += sign * change * std[index]
                draw_image(axes, decode(model, changed))
                axes.set_title(f"channel {index} {symbol} {change:g} std", fontsize=11)
    return figure


def latent_histograms(posterior: DiagonalGaussian) -> Figure:
    """For each latent channel, the histogram of its means and a bell as wide as its noise.

    Below each, two lines of one standard deviation to each side: of the means, and of the noise.

    Args:
        posterior: of one or more images, with an even number of channels. Each title gives the
            standard deviation of the channel's means, the mean of its standard deviations, and
            their ratio.
    """
    means = posterior.mean.transpose(0, 1).flatten(1).cpu().numpy()
    noises = (0.5 * posterior.logvar).exp().mean((0, 2, 3)).tolist()
    with course_style():
        figure, panels = plt.subplots(2, len(means) // 2, figsize=(10, 5.4), layout="constrained")
        for channel, axes in enumerate(panels.flat):
            values, noise = means[channel], noises[channel]
            spread = float(values.std())
            counts, edges = np.histogram(values, bins=60)
            axes.stairs(counts / counts.max(), edges, fill=True, color=PURPLE, label="the means")
            x = np.linspace(-4, 4, 101) * noise
            bell = np.exp(-0.5 * (x / noise) ** 2)
            axes.plot(values.mean() + x, bell, color=INK, label="the noise around one mean")
            for height, std, colour in ((-0.1, spread, PURPLE), (-0.2, noise, INK)):
                ends = [values.mean() - std, values.mean() + std]
                axes.plot(ends, [height] * 2, color=colour, linewidth=5, solid_capstyle="butt")
            ratio = f"{spread:.2f} / {noise:.3f} = {spread / noise:.1f}"
            axes.set(ylim=(-0.28, 1.05), yticks=[], title=f"channel {channel}: {ratio}")
            axes.axhline(0, color=MUTED, linewidth=0.8)
            axes.spines["left"].set_visible(False)
        for axes in panels[-1]:
            axes.set_xlabel("value of the latent")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=11)
    return figure
