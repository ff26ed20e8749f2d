"""Draw the README's images of the lessons: ``uv run python docs/draw_lessons.py``.

Every image is a figure of a lesson, drawn from a shipped checkpoint, a layer or a photograph.
"""

import io
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from course_lib.compression import autoencoder
from course_lib.convolution.edge_kernels import kernel
from course_lib.data import scenes
from course_lib.data.captioned import captioned_picture, make_caption
from course_lib.data.digits import scanned_digits
from course_lib.data.photos import photo
from course_lib.diffusion import flow, text_to_image
from course_lib.diffusion.attention_maps import record_attention
from course_lib.diffusion.reference import posterior_mean
from course_lib.figures import figure_png
from course_lib.figures.compression.latents import gallery, latent_channels
from course_lib.figures.convolution.kernels import kernel_responses
from course_lib.figures.fully_connected import connections
from course_lib.figures.stable_diffusion.attention import word_attention_maps
from course_lib.figures.successors.paths import many_paths
from course_lib.figures.unet.architecture import architecture
from course_lib.figures.vision.predictions import five_predictions
from course_lib.unet import UNet
from course_lib.vision.predictions import load_models, predict_all

FOLDER = Path(__file__).parent
PROMPTS = [
    ("fox", "purple"),
    ("robot", "yellow"),
    ("pizza", "blue"),
    ("owl", "orange"),
    ("rocket", "black"),
]
SENTENCES = [
    "a fox and a banana on a blue background",
    "a small flat owl on the left on a yellow background",
    "a green background with a large shiny robot",
    "a tiger at the top and a drum at the bottom, pink background",
    "a picture of a detailed helicopter on the right on a white background",
]
SAMPLERS = {"ddpm": "DDPM", "ddim": "DDIM", "dpm++": "DPM-Solver++"}
OPTIONS = {
    "sampler": text_to_image.SAMPLER,
    "steps": text_to_image.STEPS,
    "guidance": text_to_image.GUIDANCE,
}


def lesson_01() -> Figure:
    """The connections of a fully connected layer and of a convolution, on a scanned digit."""
    torch.manual_seed(0)
    scans = scanned_digits(size=8, canvas=8)
    digit = scans.train_images[scans.train_labels == 3][0, 0]
    return connections(nn.Linear(64, 64), nn.Conv2d(1, 1, kernel_size=3, padding=1), digit)


def lesson_02() -> Figure:
    """The responses of two edge kernels on three photographs."""
    photos = {name: photo(name, 256, grey=True)[0] for name in ("brick", "camera", "coffee")}
    names = ("vertical edges (Sobel)", "horizontal edges (Sobel)")
    return kernel_responses(photos, {name: kernel(name) for name in names})


def lesson_03() -> Figure:
    """The predictions of the five networks for one scene."""
    scene = scenes.scene(0, split="new-backgrounds")
    return five_predictions(scene, predict_all(load_models(), scene.image))


def lesson_04() -> Figure:
    """The channels of a latent, and what changing each one does."""
    image = captioned_picture(0, split="new-combinations").image
    return latent_channels(autoencoder.load(), image)


def lesson_05() -> Figure:
    """The U-Net of the paper, traced on the meta device."""
    with torch.device("meta"):
        model = UNet.paper()
    return architecture(model, 572)


def lesson_06() -> Figure:
    """The same prompt and noise with three samplers and different numbers of steps."""
    model, prompt, counts = text_to_image.load(), make_caption("fox", "purple"), (1, 2, 5, 20, 50)
    rows = {
        title: [
            model.generate(prompt, **OPTIONS | {"sampler": name, "steps": steps})[0]
            for steps in counts
        ]
        for name, title in SAMPLERS.items()
    }
    return gallery(rows, ["1 step" if steps == 1 else f"{steps} steps" for steps in counts])


def lesson_07() -> Figure:
    """The attention of each image position to each word of the prompt."""
    prompt = make_caption("fox", "purple")
    return word_attention_maps(record_attention(text_to_image.load(), prompt, **OPTIONS))


def lesson_08() -> Figure:
    """Training lines, the paths of the best possible flow, and the lines for reflow."""
    torch.manual_seed(0)
    centres = torch.tensor([[-1.2, -0.5], [1.2, -0.5], [0.0, 1.3]])
    cluster = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 2000, replacement=True)
    points = centres[cluster] + 0.15 * torch.randn(2000, 2)

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha, sigma = (float(weight[0]) for weight in flow.find_alpha_sigma(t))
        x0 = posterior_mean(x * (alpha + sigma), points, alpha**2)
        return (x - x0) / t[:, None]

    noise = torch.randn(60, 2)
    paths = flow.integrate(velocity, noise, torch.linspace(1, 0, 101).tolist())
    panels = {
        "training lines": torch.stack([noise, points[:60]]),
        "paths of the flow": paths,
        "lines for reflow": paths[[0, -1]],
    }
    return many_paths(points, panels)


def generated() -> Figure:
    """One image for each prompt, with seeds 0 to 4; none is selected or left out."""
    model = text_to_image.load()
    prompts = {
        "object, colour": [make_caption(*pair) for pair in PROMPTS],
        "all words": SENTENCES,
    }
    rows = {title: list(model.generate(row, **OPTIONS)) for title, row in prompts.items()}
    notes = {title: [fill(prompt, 28) for prompt in row] for title, row in prompts.items()}
    return gallery(rows, notes=notes)


DPI: dict[Callable[[], Figure], int] = {
    lesson_01: 110,
    **dict.fromkeys(
        [lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, lesson_07, lesson_08], 80
    ),
    generated: 160,
}


def main() -> None:
    """Write the images next to this file."""
    for draw, dpi in DPI.items():
        image = Image.open(io.BytesIO(figure_png(draw(), dpi=dpi))).convert("RGB")
        # A quarter of the size of a PNG; at the width in the README no difference is visible.
        image.save(FOLDER / f"{draw.__name__}.webp", quality=85, method=6)


if __name__ == "__main__":
    main()
