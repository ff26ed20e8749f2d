"""The figures of lesson 4 about codes: principal components, latents, and the pictures that come
back.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from torch import Tensor

from course_lib.compression.codecs import decoded, encoded
from course_lib.compression.pca import BLOCK, BlockPCA
from course_lib.figures.compression.jpeg import picture
from course_lib.figures.convolution.kernels import SIGNED
from course_lib.figures.style import BLUE, MUTED, RED, course_style
from course_lib.sd.vae import AutoencoderKL, DiagonalGaussian

Picture = Float[Tensor, "3 height width"]


def gallery(
    rows: Mapping[str, Sequence[Picture]],
    columns: Sequence[str] = (),
    notes: Mapping[str, Sequence[str]] | None = None,
    width: float = 11,
) -> Figure:
    """Pictures in rows that have names, in columns that may have titles, each with a note below it
    if it has one.

    Args:
        rows: by name, pictures in [0, 1], as many in each row.
        columns: a title for each column.
        notes: by the row's name, a note for each of its pictures.
        width: of the figure, in inches.

    Raises:
        ValueError: if rows, columns or notes differ in length, or there is no picture.
    """
    counts = {len(row) for row in [*rows.values(), *(notes or {}).values()]} | (
        {len(columns)} if columns else set()
    )
    if len(counts) != 1 or counts == {0}:
        raise ValueError(
            f"Rows, columns and notes of {sorted(counts)}: give as many of each, and at least one."
        )
    (count,) = counts
    notes = notes or {}
    first = next(iter(rows.values()))[0]
    tall = (width - 0.4) / count * first.shape[-2] / first.shape[-1]
    # lines after each row's first
    more = sum(max(note.count("\n") for note in line) for line in notes.values())
    height = tall * len(rows) + 0.25 * (bool(columns) + len(notes) + more) + 0.1
    with course_style():
        figure, panels = plt.subplots(
            len(rows), count, figsize=(width, height), squeeze=False, layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, hspace=0, wspace=0)
        for row, (line, (name, pictures)) in enumerate(zip(panels, rows.items(), strict=True)):
            for index, (axes, image) in enumerate(zip(line, pictures, strict=True)):
                picture(axes, image)
                if columns and row == 0:
                    axes.set_title(columns[index], fontsize=11)
                if index == 0:
                    axes.text(
                        -0.04,
                        0.5,
                        name,
                        transform=axes.transAxes,
                        rotation=90,
                        ha="right",
                        va="center",
                    )
                if name in notes:
                    words = notes[name][index]
                    axes.text(
                        0.5,
                        -0.03,
                        words,
                        transform=axes.transAxes,
                        ha="center",
                        va="top",
                        color=MUTED,
                    )
    return figure


def components(code: BlockPCA) -> Figure:
    """The mean block, and each component as the change that it makes: added to grey, and taken away
    from it.

    ``code`` has a few components. Above each stands how much of the blocks' variance it tells.
    """
    count = len(code.components)
    with course_style():
        figure, panels = plt.subplots(
            2, count + 1, figsize=(11, 22 / (count + 1) + 0.9), layout="constrained"
        )
        picture(panels[0, 0], code.mean.view(3, BLOCK, BLOCK))
        panels[0, 0].set_title("mean\nblock", fontsize=10.5)
        panels[1, 0].axis("off")
        for index, (component, line) in enumerate(
            zip(code.components, panels[:, 1:].T, strict=True)
        ):
            change = component.view(3, BLOCK, BLOCK) / component.abs().max() / 2
            for axes, sign in zip(line, (1, -1), strict=True):
                picture(axes, 0.5 + sign * change)
            line[0].set_title(f"{index + 1}, more\n({code.shares[index]:.1%})", fontsize=10.5)
            line[1].set_title("less", fontsize=10.5)
    return figure


def channels(model: AutoencoderKL, image: Picture, change: float = 2.0) -> Figure:
    """A picture and its latent's channels as maps; below, the picture decoded after one channel was
    moved everywhere.

    Args:
        model: the autoencoder.
        image: in [0, 1].
        change: by how many standard deviations of that channel in this latent.
    """
    latents = encoded(model, image)
    spread = latents.std((1, 2))
    with course_style():
        count = len(latents)
        figure, panels = plt.subplots(
            3, count + 1, figsize=(11, 3 * 11 / (count + 1) + 0.5), layout="constrained"
        )
        picture(panels[0, 0], image)
        panels[0, 0].set_title("the picture")
        picture(panels[1, 0], decoded(model, latents))
        panels[1, 0].set_title("decoded")
        panels[2, 0].axis("off")
        for index in range(count):
            values = latents[index] - latents[index].mean()
            top = 2.5 * float(values.std()) or 1.0
            panels[0, index + 1].imshow(values.numpy(), cmap=SIGNED, vmin=-top, vmax=top)
            panels[0, index + 1].axis("off")
            panels[0, index + 1].set_title(f"channel {index}, std {spread[index]:.1f}")
            for line, sign, word in ((1, 1, "+"), (2, -1, "−")):
                moved = latents.clone()
                moved[index] += sign * change * spread[index]
                picture(panels[line, index + 1], decoded(model, moved))
                panels[line, index + 1].set_title(
                    f"channel {index} {word} {change:g} std", fontsize=11
                )
    return figure


def spread(posterior: DiagonalGaussian) -> Figure:
    """How the latents lie: the means of each channel, and how wide the encoder says that each value
    is.
    """
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
        means = posterior.mean.flatten().cpu().numpy()
        stds = (0.5 * posterior.logvar).exp().flatten().cpu().numpy()
        left.hist(means, bins=60, color=BLUE)
        left.set(xlabel="mean", ylabel="values", title=f"the means: std {means.std():.2f}")
        low, high = stds.min(), max(stds.max(), 1.1 * stds.min())
        right.hist(stds, bins=np.geomspace(low * 0.98, high * 1.02, 60), color=RED)
        right.set_xscale("log")
        right.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.xaxis.set_minor_locator(NullLocator())
        right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        middle = float(np.median(stds))
        right.set(
            xlabel="standard deviation (log scale)", title=f"how wide each is: median {middle:.3f}"
        )
    return figure
