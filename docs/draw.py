"""Draw the README's pictures from the real layers and photographs:
``uv run python docs/draw.py``.
"""

from pathlib import Path

import torch
from torch import nn

from course_lib.compression import autoencoder
from course_lib.convolution.edge_kernels import kernel
from course_lib.data import scenes
from course_lib.data.captioned import captioned, sentence
from course_lib.data.digits import scanned_digits
from course_lib.data.photos import photo
from course_lib.diffusion import text_to_image
from course_lib.diffusion.attention_maps import look
from course_lib.figures import png
from course_lib.figures.compression.latents import channels, gallery
from course_lib.figures.convolution.kernels import responses
from course_lib.figures.fully_connected import connections
from course_lib.figures.stable_diffusion.attention import over_picture
from course_lib.figures.unet.architecture import architecture
from course_lib.figures.vision.answers import five_answers
from course_lib.unet.model import UNet
from course_lib.vision.answers import ask, load_models

FOLDER = Path(__file__).parent


def main() -> None:
    """Write one picture a lesson beside this file."""
    torch.manual_seed(0)
    digit = nn.functional.avg_pool2d(
        scanned_digits(size=20, canvas=20).train_images[3, 0][None], 4
    )[0]
    layers = nn.Linear(25, 25), nn.Conv2d(1, 1, kernel_size=3, padding=1)
    (FOLDER / "lesson_01.png").write_bytes(png(connections(*layers, digit), dpi=110))
    pictures = {name: photo(name, 256, grey=True)[0] for name in ("brick", "camera", "coffee")}
    edges = {name: kernel(name) for name in ("vertical edges (Sobel)", "horizontal edges (Sobel)")}
    (FOLDER / "lesson_02.png").write_bytes(png(responses(pictures, edges), dpi=80))
    scene = scenes.scene(0, split="new-backgrounds")
    (FOLDER / "lesson_03.png").write_bytes(
        png(five_answers(scene, ask(load_models(), scene.image)), dpi=80)
    )
    picture = captioned(0, split="new-combinations").image
    (FOLDER / "lesson_04.png").write_bytes(png(channels(autoencoder.load(), picture), dpi=80))
    asked = [
        ("fox", "purple"),
        ("robot", "yellow"),
        ("pizza", "blue"),
        ("owl", "orange"),
        ("rocket", "black"),
    ]
    model, options = (
        text_to_image.load(),
        {
            "sampler": text_to_image.SAMPLER,
            "steps": text_to_image.STEPS,
            "guidance": text_to_image.GUIDANCE,
        },
    )
    drawn = model.generate([sentence(*pair) for pair in asked], **options)
    # Seeds 0 to 4, the first and only ones that were drawn.
    (FOLDER / "generated.png").write_bytes(
        png(gallery({"": list(drawn)}, [" on ".join(pair) for pair in asked]))
    )
    with torch.device("meta"):
        paper = UNet.paper()
    (FOLDER / "lesson_05.png").write_bytes(png(architecture(paper, 572), dpi=80))
    fox, counts = sentence("fox", "purple"), (1, 2, 5, 20, 50)
    rows = {
        said: [
            model.generate(fox, **options | {"sampler": name, "steps": steps})[0]
            for steps in counts
        ]
        for name, said in (("ddpm", "DDPM"), ("ddim", "DDIM"), ("dpm++", "DPM-Solver++"))
    }
    (FOLDER / "lesson_06.png").write_bytes(
        png(
            gallery(rows, ["1 step" if steps == 1 else f"{steps} steps" for steps in counts]),
            dpi=80,
        )
    )
    (FOLDER / "lesson_07.png").write_bytes(png(over_picture(look(model, fox, **options)), dpi=80))


if __name__ == "__main__":
    main()
