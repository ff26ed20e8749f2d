"""The demos' assets besides the models: photos, sprites, kernels, settings.

They come from ``course_lib`` and ``data``, so that a page shows the same as the lessons.
``models/package.py`` splits them into pieces, as it does with models.
"""

import hashlib
import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from course_lib.assets import paths
from course_lib.compression import autoencoder, codecs
from course_lib.convolution import edge_kernels
from course_lib.data import photos, scenes, sprites
from course_lib.data.captioned import CaptionedPicture, captioned_picture
from course_lib.data.compose import Light
from course_lib.data.described import described_picture
from course_lib.diffusion import small_denoiser, text_to_image
from course_lib.figures.style import BLUE, RED
from course_lib.figures.vision.annotations import COLOUR_CYCLE, SEMANTIC_COLOURS
from course_lib.sd.samplers import NoiseSchedule
from course_lib.vision import detector, instances
from course_lib.vision.predictions import SCORE_THRESHOLD
from course_lib.vision.tasks import LEVELS

PHOTO_SIZE = 256  # pixels
_PICTURES = ("frog", "car", "trophy", "penguin")  # as in lesson 4's interpolation of latents
_FIT_PICTURES = 160  # for the preview


def demo_files(cache: Path) -> dict[str, bytes]:
    """All assets of the demos by name: ``demo-data`` (JSON), pictures and sprites (WebP), and
    ``preview``: the weights of :func:`fit_preview` as float32, row by row.

    ``cache``: the folder in which these weights are kept while the autoencoder is the same.
    """
    files = {"demo-data": json.dumps(_data(), separators=(",", ":")).encode()}
    for name in [*photos.names(), *photos.names("held-out")]:
        files[f"photo-{name}"] = _webp(photos.photo(name, PHOTO_SIZE), quality=90)
    for picture in _pictures():
        files[f"picture-{picture.name}"] = _webp(picture.image, lossless=True)
    files["sprites"] = _sprite_sheet()
    files["preview"] = _cached_preview(cache)
    return files


def _cached_preview(cache: Path) -> bytes:
    digest = hashlib.sha256(paths.data_path("checkpoints", "autoencoder.safetensors").read_bytes())
    digest.update(Path(__file__).read_bytes())
    file = cache / f"preview-{digest.hexdigest()[:16]}.bin"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        file.write_bytes(fit_preview().numpy().astype("<f4").tobytes())
    return file.read_bytes()


def _data() -> dict[str, Any]:
    return {
        "kernels": {name: edge_kernels.kernel(name).tolist() for name in edge_kernels.names()},
        "photos": {"small": photos.names(), "held-out": photos.names("held-out")},
        "pictures": {picture.name: picture.caption for picture in _pictures()},
        "colours": {
            "below": RED,
            "above": BLUE,
            "objects": COLOUR_CYCLE,
            "classes": SEMANTIC_COLOURS,
        },
        "textToImage": {
            "steps": text_to_image.STEPS,
            "guidance": text_to_image.GUIDANCE,
            "sampler": text_to_image.SAMPLER,
            "schedule": _schedule(text_to_image.SCHEDULE),
        },
        "noise": {"schedule": _schedule(small_denoiser.SCHEDULE)},
        "vision": {
            "size": scenes.SIZE,
            "classes": sprites.CLASSES,
            "levels": {task.name: [task.level, task.question] for task in LEVELS.values()},
            "sprites": _sprite_names(),
            "styles": sprites.styles(),
            "heldOutStyles": sprites.styles("held-out"),
            "light": vars(Light(falloff=0.2)),
            "shown": SCORE_THRESHOLD,
            "detector": _defaults(detector.predict),
            "instances": _defaults(instances.predict) | {"minPixels": instances.MIN_PIXELS},
        },
    }


def _pictures() -> list[CaptionedPicture]:
    return [captioned_picture(0, split="new-combinations", objects=[name]) for name in _PICTURES]


def _schedule(schedule: NoiseSchedule) -> dict[str, Any]:
    names = inspect.signature(NoiseSchedule).parameters
    return {name: getattr(schedule, name) for name in names}


def _defaults(function: Callable) -> dict[str, float]:
    """The default values of a function's options, by name in camelCase."""
    options = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            first, *rest = name.split("_")
            options[first + "".join(word.title() for word in rest)] = parameter.default
    return options


def _sprite_names() -> list[str]:
    """The classes of lesson 3, and one object per group that no model was trained on."""
    groups = sorted({sprites.group(name) for name in sprites.CLASSES})
    unknown = [
        next(name for name in sprites.names(group) if name not in sprites.CLASSES)
        for group in groups
    ]
    return [*sprites.CLASSES, *unknown]


def _sprite_sheet() -> bytes:
    """A row for each style, the held-out one last, and a column for each object; 128 px each."""
    names, styles = _sprite_names(), [*sprites.styles(), *sprites.styles("held-out")]
    side = sprites.picture(names[0], styles[0]).width
    sheet = Image.new("RGBA", (side * len(names), side * len(styles)))
    for row, style in enumerate(styles):
        for column, name in enumerate(names):
            sheet.paste(sprites.picture(name, style), (column * side, row * side))
    return _save(sheet, quality=88)


def _webp(image: Float[Tensor, "3 height width"], **options: Any) -> bytes:
    return _save(Image.fromarray(codecs.to_uint8(image)), **options)


def _save(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", method=6, **options)
    return file.getvalue()


def fit_preview() -> Float[Tensor, "features outputs"]:
    """A linear decoder for previews: from a 3x3 window of latents to the centre's 8x8 pixels.

    Ridge regression on images of the text-to-image model's data set. Features are 4 channels x 3
    rows x 3 columns of the zero-padded scaled latents, and a constant 1; outputs are 3 channels x
    8 rows x 8 columns in [0, 1].
    """
    model = autoencoder.load()
    images = torch.stack([described_picture(seed).image for seed in range(_FIT_PICTURES)])
    latents = codecs.encode(model, images) * model.config.scaling_factor
    factor = model.config.factor
    patches = torch.nn.functional.unfold(latents, 3, padding=1)  # batch x 36 x cells
    features = torch.cat([patches, torch.ones_like(patches[:, :1])], dim=1)
    outputs = torch.nn.functional.unfold(images, factor, stride=factor)  # batch x 192 x cells
    x, y = (part.transpose(1, 2).flatten(0, 1).double() for part in (features, outputs))
    ridge = 1e-3 * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.from_numpy(np.linalg.solve((x.T @ x + ridge).numpy(), (x.T @ y).numpy())).float()
