"""Draw the tiles of the website's strip "the road of one image", and the still picture of its demo:
``uv run python docs/draw_road.py``.

Each tile is what that lesson's layer, network or model makes of the same picture.
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
from course_lib.diffusion.small_denoiser import SCHEDULE, decode, encode
from course_lib.figures.style import BLUE, DIVERGING_RGB, PAPER, font
from course_lib.vision.predictions import load_models, predict_all
from course_lib.vision.tasks import load

FOLDER = Path(__file__).parent / "road"
SIDE = 320  # pixels of a tile
# Lesson 3's networks know the rocket, but no fox.
OBJECT, HERO, COLOUR = "rocket", "fox", "purple"
TIMESTEP = 250  # of the noise in lesson 6's tile


def find_picture() -> Float[Tensor, "3 128 128"]:
    """The first training picture of the object and colour."""
    pictures = (captioned_picture(seed, objects=[OBJECT]) for seed in range(10_000))
    return next(picture.image for picture in pictures if picture.colour == COLOUR)


def enlarge(image: Image.Image, method: Image.Resampling) -> Image.Image:
    """The image as a tile."""
    return image.convert("RGB").resize((SIDE, SIDE), method)


def smooth(image: Float[Tensor, "3 rows columns"]) -> Image.Image:
    """An image in [0, 1] as a tile."""
    return enlarge(Image.fromarray(to_uint8(image.clamp(0, 1))), Image.Resampling.BICUBIC)


def lesson_01(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The picture in 16 by 16 pixels."""
    coarse = nn.functional.avg_pool2d(image[None], 8)[0]
    return enlarge(Image.fromarray(to_uint8(coarse)), Image.Resampling.NEAREST)


def lesson_02(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The response of the Sobel kernel for vertical edges."""
    weights = kernel("vertical edges (Sobel)")[None, None]
    # The border repeated: padding with zeros would be an edge too.
    padded = nn.functional.pad(image.mean(0)[None, None], (1, 1, 1, 1), mode="replicate")
    response = nn.functional.conv2d(padded, weights)[0, 0]
    response = response / response.abs().max()
    index = ((response + 1) / 2 * 255).round().long().clamp(0, 255)
    colours = torch.from_numpy(DIVERGING_RGB.copy())[index]
    return enlarge(Image.fromarray(colours.numpy()), Image.Resampling.BICUBIC)


def lesson_03(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The answer of the localizer: a box and a class."""
    tile, (label, probability, box) = smooth(image), predict_all(load_models(), image).localization
    draw, scale = ImageDraw.Draw(tile), SIDE / image.shape[-1]
    left, top, right, bottom = (float(side) * scale for side in box)
    draw.rectangle((left, top, right, bottom), outline=PAPER, width=7)
    draw.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=BLUE, width=4)
    words = f" {sprites.CLASSES[label]} {probability:.2f} "
    area = draw.textbbox((left, top), words, font=font(24, bold=True), anchor="lt")
    draw.rectangle((area[0], area[1], area[2], area[3] + 8), fill=BLUE)
    draw.text((left, top + 4), words, fill=PAPER, font=font(24, bold=True), anchor="lt")
    return tile


def lesson_04(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The four channels of the latent."""
    latent = encode(autoencoder.load(), image[None])[0]
    low, high = latent.amin((1, 2), keepdim=True), latent.amax((1, 2), keepdim=True)
    first, second, third, fourth = (latent - low) / (high - low)
    grey = torch.cat([torch.cat([first, second], 1), torch.cat([third, fourth], 1)])
    return enlarge(Image.fromarray((grey * 255).byte().numpy()), Image.Resampling.NEAREST)


def lesson_05(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """What the U-Net of lesson 5 takes for an object; the rest is white."""
    mask = load("unet")(image[None])[0].argmax(0) > 0
    return smooth(torch.where(mask, image, torch.ones_like(image)))


def lesson_06(image: Float[Tensor, "3 128 128"]) -> Image.Image:
    """The picture's latent with noise, decoded."""
    latent = encode(autoencoder.load(), image[None])
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    noisy, _ = SCHEDULE.add_noise(latent, noise, TIMESTEP)
    return smooth(decode(autoencoder.load(), noisy)[0])


def lesson_07(name: str) -> Image.Image:
    """A picture that the model makes of the sentence, with the first seed."""
    return smooth(generate(name))


def generate(name: str) -> Float[Tensor, "3 128 128"]:
    """The model's picture of an object, with the settings of ``course generate`` and seed 0."""
    model = text_to_image.load()
    return model.generate(
        make_caption(name, COLOUR),
        steps=text_to_image.STEPS,
        guidance=text_to_image.GUIDANCE,
        sampler=text_to_image.SAMPLER,
        seed=0,
    )[0]


@torch.inference_mode()
def main() -> None:
    """Write the tiles into ``docs/road``."""
    FOLDER.mkdir(exist_ok=True)
    image = find_picture()
    draw = [lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06]
    tiles = {f"{number:02}": function(image) for number, function in enumerate(draw, 1)}
    tiles["07"] = lesson_07(OBJECT)
    # In its own size: the page enlarges it.
    tiles["hero"] = Image.fromarray(to_uint8(generate(HERO)))
    for name, tile in tiles.items():
        tile.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
