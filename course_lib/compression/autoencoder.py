"""The recipe of lesson 4's autoencoder: training data, training and evaluation.

Half of the training images are photo crops, half are captioned pictures.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from course_lib.assets import checkpoints
from course_lib.compression import codecs, pca
from course_lib.compression.shortcut_autoencoder import (
    ShortcutAutoencoder,
    ShortcutAutoencoderConfig,
)
from course_lib.data import captioned, photos, resampling, sprites
from course_lib.metrics.images import psnr, ssim
from course_lib.training import packing
from course_lib.training.loop import History, fit_new

# 1 / 1.59: the inverse standard deviation of the shipped model's latents of captioned (1.55) and
# described pictures (1.60)
CONFIG = ShortcutAutoencoderConfig(scaling_factor=0.63)
SIZE = 128  # pixels, the side of a training image
EXAMPLES_PER_EPOCH = 2000
EPOCHS = 7  # of the first cycle of the shipped checkpoint
BATCH = 4  # for a fixed number of images, many small batches train better than few large ones
LEARNING_RATE = 5e-4  # at 1e-3 a training with batches of 2 diverged
_MAX_GRAD_NORM = 0.05  # usual norms are about 0.01; with a limit of 1, longer trainings diverged
_EMA_DECAY = 0.997  # averages over about the last 300 steps
# The noise on the latents has a fixed standard deviation, which large latents would make
# negligible. A small weight of their squares, the only term of the KL that varies, keeps them near
# a standard deviation of 1.
KL_WEIGHT = 1e-4
_MIN_SIDE = 384  # pixels: minimum shorter side of a scaled photo

TEST_PHOTO_SIZE = 512  # pixels
TEST_SPLITS = {
    "photos": len(photos.names("held-out")),
    "captioned": 200,
    "captioned-held-out-style": 200,
}
THRESHOLDS = {
    "photos": {
        "above_pca": 4.0,
        "ssim": 0.85,
        "gain_by_8_bits": -0.1,
        "above_jpeg_at_5_bits": 1.0,
        "above_jpeg_at_4_bits": 2.0,
    },
    "captioned": {"psnr": 32.0},
}


def loss(
    model: ShortcutAutoencoder, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, ""]:
    """Mean squared error of the decoded sample plus the weighted KL term; images in [-1, 1]."""
    posterior = model.encode(images)
    return F.mse_loss(model.decode(posterior.sample()).float(), images) + KL_WEIGHT * posterior.kl()


class TrainingImages(Dataset):
    """Images in [-1, 1]: photo crops at even indices, captioned pictures at odd ones."""

    def __init__(self, size: int = SIZE) -> None:
        """``size``: the side in pixels, at most 384."""
        self.size = size

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> Float[Tensor, "3 size size"]:
        seed = index // 2
        if index % 2:
            image = captioned.captioned_picture(seed, self.size).image
        else:
            image = photo_crop(seed, self.size)
        return image * 2 - 1


def photo_crop(seed: int, size: int = SIZE) -> Float[Tensor, "3 size size"]:
    """A random square of a random training photo, augmented, in [0, 1].

    Augmentation: scale, rotation by multiples of 90 degrees, flip, channel permutation, contrast
    and brightness.
    """
    rng = np.random.default_rng(seed)
    photo = _photo(int(rng.integers(len(_photo_names()))))
    shorter = min(photo.size)
    side = size * shorter / np.exp(rng.uniform(np.log(_MIN_SIDE), np.log(shorter)))
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    crop = photo.resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    pixels = np.rot90(np.asarray(crop, dtype=np.float32) / 255, int(rng.integers(4)))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.3:
        pixels = pixels[..., rng.permutation(3)]
    contrast, brightness = rng.uniform(0.7, 1.1), rng.uniform(-0.1, 0.1, 3).astype(np.float32)
    pixels = np.clip((pixels - 0.5) * contrast + 0.5 + brightness, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float()


def loader(
    count: int, *, batch_size: int = BATCH, workers: int = 0, size: int = SIZE
) -> DataLoader:
    """Training batches, each a tuple of one tensor: see :mod:`course_lib.data.resampling`."""
    return resampling.loader(
        TrainingImages(size), count, batch_size=batch_size, workers=workers, collate=_stack
    )


def _stack(images: list[Tensor]) -> tuple[Tensor]:
    return (torch.stack(images),)


def load() -> ShortcutAutoencoder:
    """The shipped autoencoder, on the CPU, in eval mode."""
    model = ShortcutAutoencoder(CONFIG)
    model.load_state_dict(packing.from_8_bits(checkpoints.load("autoencoder")))
    return model.eval()


def make_model() -> ShortcutAutoencoder:
    """An untrained autoencoder that reconstructs as PCA does.

    Its linear code is the principal components of the training photos, each divided by its
    standard deviation in them.
    """
    model = ShortcutAutoencoder(CONFIG)
    code = pca.fit(CONFIG.latent_channels)
    photo_latents = [
        code.encode(photos.photo(name, TEST_PHOTO_SIZE)).flatten(1) for name in _photo_names()
    ]
    model.set_linear_code(code, torch.cat(photo_latents, dim=1).std(1))
    return model


def _make_model_with_frozen_encoder() -> ShortcutAutoencoder:
    model = make_model()
    model.encoder.requires_grad_(False)
    return model


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": f"pieces of {len(photos.names('train'))} photos and captioned pictures, "
        "half and half",
        "side": SIZE,
        "objects": len(sprites.names()),
        "styles": sprites.styles("train"),
        "held out": photos.names("held-out") + sprites.styles("held-out"),
    }


def train(
    *,
    epochs: int = EPOCHS,
    workers: int = 0,
    batch_size: int = BATCH,
    decoder_only: bool = False,
    **options: Any,
) -> tuple[ShortcutAutoencoder, History]:
    """Train on new images in every epoch.

    Args:
        epochs, workers, batch_size: as in all recipes.
        decoder_only: leave the encoder as it is: models trained on its latents remain valid.
        options: passed to :func:`fit_new`.
    """
    options = {"learning_rate": LEARNING_RATE} | options
    return fit_new(
        _make_model_with_frozen_encoder if decoder_only else make_model,
        loss,
        loader(EXAMPLES_PER_EPOCH, batch_size=batch_size, workers=workers),
        epochs,
        max_grad_norm=_MAX_GRAD_NORM,
        ema_decay=_EMA_DECAY,
        label="autoencoder",
        **options,
    )


def evaluate(model: ShortcutAutoencoder, split: str, count: int) -> dict[str, float]:
    """Mean reconstruction quality, from the latent means, of the first ``count`` test images.

    Returns:
        ``psnr`` in dB and ``ssim``. For photos also PSNR differences: ``above_pca``, to a linear
        autoencoder with as many values; ``gain_by_8_bits``, of latents quantised to 8 bits over
        unquantised latents; and ``above_jpeg_at_5_bits`` and ``..._4_bits``, of quantised latents
        over JPEG with at least as many bytes for all photos together.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    images = _test_images(split, count)
    latents = [codecs.encode(model, image) for image in images]
    decoded = [codecs.decode(model, latent) for latent in latents]
    metrics = {"psnr": _mean(psnr, decoded, images), "ssim": _mean(ssim, decoded, images)}
    if split == "photos":
        linear = pca.fit(model.config.latent_channels)
        by_pca = [linear.decode(linear.encode(image)) for image in images]
        metrics["above_pca"] = metrics["psnr"] - _mean(psnr, by_pca, images)
        for bits in (8, 5, 4):
            packed = [codecs.pack_latent(model, latent, bits) for latent in latents]
            quantised_psnr = _mean(psnr, [one.image for one in packed], images)
            if bits == 8:
                metrics["gain_by_8_bits"] = quantised_psnr - metrics["psnr"]
            else:
                jpeg_psnr = _jpeg_psnr(images, sum(one.bytes for one in packed))
                metrics[f"above_jpeg_at_{bits}_bits"] = quantised_psnr - jpeg_psnr
    return metrics


def _jpeg_psnr(images: Sequence[Tensor], min_bytes: int) -> float:
    """The mean PSNR of JPEG at the lowest quality that takes ``min_bytes`` for all images."""
    for quality in range(1, 101):
        encoded = [codecs.pillow(image, "JPEG", quality) for image in images]
        if sum(one.bytes for one in encoded) >= min_bytes:
            break
    return _mean(psnr, [one.image for one in encoded], images)


def _test_images(split: str, count: int) -> list[Tensor]:
    if split == "photos":
        names = photos.names("held-out")[:count]
        return [photos.photo(name, TEST_PHOTO_SIZE) for name in names]
    splits = {"captioned": "new-combinations", "captioned-held-out-style": "held-out-style"}
    return [
        captioned.captioned_picture(seed, SIZE, split=splits[split]).image for seed in range(count)
    ]


def _mean(
    metric: Callable[[Tensor, Tensor], float], decoded: Sequence[Tensor], images: Sequence[Tensor]
) -> float:
    return float(np.mean([metric(*pair) for pair in zip(decoded, images, strict=True)]))


@cache
def _photo_names() -> list[str]:
    return photos.names("train")


@cache
def _photo(index: int) -> Image.Image:
    return photos.picture(_photo_names()[index])
