"""Draw the front page's strip of eight images (one per lesson) and the poster image of the front
page's demo: ``uv run python docs/draw_road.py``.

Each tile is the output of that lesson's layer, network or model for the same image.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor, nn

from course_lib.compression import autoencoder
from course_lib.compression.codecs import to_uint8
from course_lib.convolution.edge_kernels import kernel
from course_lib.data import sprites
from course_lib.data.captioned import captioned_picture, make_caption
from course_lib.diffusion import text_to_image
from course_lib.diffusion.flow_unet import as_flow
from course_lib.diffusion.small_denoiser import SCHEDULE, decode, encode
from course_lib.figures.style import BLUE, DIVERGING_RGB, PAPER, font
from course_lib.vision.predictions import load_models, predict_all
from course_lib.vision.tasks import load

FOLDER = Path(__file__).parent / "road"
SIDE = 320  # pixels of a tile
# Lesson 3's networks have a class rocket but no class fox.
OBJECT, HERO_OBJECT, COLOUR = "rocket", "fox", "purple"
TIMESTEP = 150  # of the noise in lesson 6's tile


def find_image() -> Float[Tensor, "3 128 128"]:
    """The first training image with this object and colour."""
    examples = (captioned_picture(seed, objects=[OBJECT]) for seed in range(10_000))
    return next(example.image for example in examples if example.colour == COLOUR)


def resize_to_tile(image: Image.Image, method: Image.Resampling) -> Image.Image:
    """Resize an image to a tile."""
    return image.convert("RGB").resize((SIDE, SIDE), method)


def tensor_to_tile(image: Float[Tensor, "3 rows columns"]) -> Image.Image:
    """Convert an image in [0, 1] to a tile."""
    return resize_to_tile(Image.fromarray(to_uint8(image.clamp(0, 1))), Image.Resampling.BICUBIC)


def lesson_01(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The image at 16 x 16 pixels."""
    coarse = nn.functional.avg_pool2d(image[None], 8)[0]
    return resize_to_tile(Image.fromarray(to_uint8(coarse)), Image.Resampling.NEAREST)


def lesson_02(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The response of the Sobel kernel for vertical edges."""
    weights = kernel("vertical edges (Sobel)")[None, None]
    # Replicate padding: zero padding would create edges at the border.
    padded = nn.functional.pad(image.mean(0)[None, None], (1, 1, 1, 1), mode="replicate")
    response = nn.functional.conv2d(padded, weights)[0, 0]
    response = response / response.abs().max()
    index = ((response + 1) / 2 * 255).round().long().clamp(0, 255)
    colours = torch.from_numpy(DIVERGING_RGB.copy())[index]
    return resize_to_tile(Image.fromarray(colours.numpy()), Image.Resampling.BICUBIC)


def lesson_03(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The prediction of the localizer: a box and a class."""
    tile, (label, probability, box) = (
        tensor_to_tile(image),
        predict_all(load_models(), image).localization,
    )
    draw, scale = ImageDraw.Draw(tile), SIDE / image.shape[-1]
    left, top, right, bottom = (float(side) * scale for side in box)
    draw.rectangle((left, top, right, bottom), outline=PAPER, width=7)
    draw.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=BLUE, width=4)
    label_text = f" {sprites.CLASSES[label]} {probability:.2f} "
    area = draw.textbbox((left, top), label_text, font=font(24, bold=True), anchor="lt")
    draw.rectangle((area[0], area[1], area[2], area[3] + 8), fill=BLUE)
    draw.text((left, top + 4), label_text, fill=PAPER, font=font(24, bold=True), anchor="lt")
    return tile


def lesson_04(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The four channels of the latent."""
    latent = encode(autoencoder.load(), image[None])[0]
    low, high = latent.amin((1, 2), keepdim=True), latent.amax((1, 2), keepdim=True)
    first, second, third, fourth = (latent - low) / (high - low)
    grey = torch.cat([torch.cat([first, second], 1), torch.cat([third, fourth], 1)])
    return resize_to_tile(Image.fromarray((grey * 255).byte().numpy()), Image.Resampling.NEAREST)


def lesson_05(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The pixels that lesson 5's U-Net segments as an object, on white."""
    mask = load("unet")(image[None])[0].argmax(0) > 0
    return tensor_to_tile(torch.where(mask, image, torch.ones_like(image)))


def lesson_06(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The image's latent with noise, decoded."""
    vae = autoencoder.load()
    latent = encode(vae, image[None])
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    noisy, _ = SCHEDULE.add_noise(latent, noise, TIMESTEP)
    return tensor_to_tile(decode(vae, noisy)[0])


def lesson_07(object_name: str) -> Image.Image:
    """An image generated from the prompt with seed 0."""
    return tensor_to_tile(generate(object_name))


def lesson_08() -> Image.Image:
    """An image generated in four Euler steps of the model read as a flow, with seed 0."""
    model, prompt = as_flow(text_to_image.load()), make_caption(OBJECT, COLOUR)
    options = {"sampler": "flow-euler", "steps": 4, "guidance": 3.0, "seed": 0}
    return tensor_to_tile(model.generate(prompt, **options)[0])


def generate(object_name: str) -> Float[Tensor, "3 128 128"]:
    """Generate an image of an object, with the settings of ``course generate`` and seed 0."""
    model = text_to_image.load()
    return model.generate(
        make_caption(object_name, COLOUR),
        steps=text_to_image.STEPS,
        guidance=text_to_image.GUIDANCE,
        sampler=text_to_image.SAMPLER,
        seed=0,
    )[0]


@torch.inference_mode()
def main() -> None:
    """Write the tiles into ``docs/road``."""
    FOLDER.mkdir(exist_ok=True)
    image = find_image()
    draw = [lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06]
    tiles = {f"{number:02}": function(image) for number, function in enumerate(draw, 1)}
    tiles["07"] = lesson_07(OBJECT)
    tiles["08"] = lesson_08()
    # Saved at the model's resolution; the page scales it.
    tiles["hero"] = Image.fromarray(to_uint8(generate(HERO_OBJECT)))
    for name, tile in tiles.items():
        tile.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
