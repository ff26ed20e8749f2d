"""A small version of Stable Diffusion's autoencoder, trainable on a laptop.

Half of the training images are photo crops, half are captioned pictures. The first training cycle
uses small images, which is fast; a further cycle (``--start``) also uses photo crops with sides
twice as long, closer to the size of the test photos.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from course_lib.assets import checkpoints
from course_lib.compression import codecs, pca
from course_lib.data import captioned, photos, resampling, sprites
from course_lib.metrics.images import psnr, ssim
from course_lib.sd.layers import ResnetBlock2D, Upsample2D
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL
from course_lib.training.loop import History, fit_new

CONFIG = AutoencoderConfig(
    block_out_channels=(16, 32, 64, 128),
    layers_per_block=1,
    norm_num_groups=2,
    # 1 / 1.33: the inverse standard deviation of the shipped model's latents of captioned pictures
    scaling_factor=0.75,
)
SIZE = 128  # pixels, the side of a training image
# The side of a photo crop in a further cycle. The size matters: the statistics of GroupNorm depend
# on the area over which they are computed.
LARGE_SIZE = 256
EXAMPLES_PER_EPOCH = 2000
EPOCHS = 12  # of the first cycle of the shipped checkpoint
BATCH = 4  # for a fixed number of images, many small batches train better than few large ones
LEARNING_RATE = (
    8e-4  # of the first cycle; a further cycle needs a quarter of it (see the model card)
)
# Small enough to cause hardly any blur (arXiv:2112.10752, appendix G), large enough that latents
# closer to each other than the noise decode to nearly the same image.
KL_WEIGHT = 1e-4
_INITIAL_LOGVAR = -6.0
_MIN_SIDE = 384  # pixels: minimum shorter side of a scaled photo

TEST_PHOTO_SIZE = 512  # pixels
JPEG_BYTES = 16384  # the number of values in the latent of a test photo
TEST_SPLITS = {
    "photos": len(photos.names("held-out")),
    "captioned": 200,
    "captioned-held-out-style": 200,
}
THRESHOLDS = {
    "photos": {"above_pca": 4.0, "above_jpeg": -2.5, "gain_by_8_bits": -0.1},
    "captioned": {"psnr": 30.0},
}


def loss(model: AutoencoderKL, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, ""]:
    """Mean squared error of the decoded sample plus the weighted KL term; images in [-1, 1]."""
    posterior = model.encode(images)
    return F.mse_loss(model.decode(posterior.sample()).float(), images) + KL_WEIGHT * posterior.kl()


def mean_loss(model: AutoencoderKL, *batches: Float[Tensor, "_ 3 _ _"]) -> Float[Tensor, ""]:
    """The mean loss over batches of different image sizes."""
    return torch.stack([loss(model, images) for images in batches]).mean()


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


class MixedSizeImages(Dataset):
    """The images of one step of a further cycle, in [-1, 1]: a large photo crop, and captioned
    pictures with the same total number of pixels.
    """

    def __len__(self) -> int:
        return 2**31

    def __getitem__(
        self, index: int
    ) -> tuple[Float[Tensor, "1 3 large large"], Float[Tensor, "count 3 size size"]]:
        count = (LARGE_SIZE // SIZE) ** 2
        seeds = range(index * count, (index + 1) * count)
        pictures = torch.stack([captioned.captioned_picture(seed, SIZE).image for seed in seeds])
        return photo_crop(index, LARGE_SIZE)[None] * 2 - 1, pictures * 2 - 1


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


def mixed_size_loader(count: int, *, workers: int = 0) -> DataLoader:
    """Batches for a further cycle: tuples of two tensors, see :class:`MixedSizeImages`.

    ``count``: images per epoch.
    """
    steps = max(count // (1 + (LARGE_SIZE // SIZE) ** 2), 1)
    return resampling.loader(
        MixedSizeImages(), steps, batch_size=1, workers=workers, collate=_unwrap
    )


def _unwrap(batch: list) -> Any:
    return batch[0]


def _stack(images: list[Tensor]) -> tuple[Tensor]:
    return (torch.stack(images),)


def load() -> AutoencoderKL:
    """The shipped autoencoder, on the CPU, in eval mode."""
    model = make_model()
    model.load_state_dict(checkpoints.load("autoencoder"))
    return model.eval()


def make_model() -> AutoencoderKL:
    """An untrained autoencoder, initialised so that a short training suffices.

    With PyTorch's default initialisation the signal shrinks from layer to layer, until little but
    the output of the normalisation layers is left, and they discard the image's brightness. Here
    layers preserve the variance of their input (LeCun et al., 1998, Efficient BackProp, section
    4.6); residual blocks (Goyal et al., 2017, arXiv:1706.02677, section 5.1) and the convolutions
    after upsampling start as the identity; and latents start with little noise.
    """
    model = AutoencoderKL(CONFIG)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
        if isinstance(module, Upsample2D):
            nn.init.dirac_(module.conv.weight)
    nn.init.constant_(model.quant_conv.bias[model.config.latent_channels :], _INITIAL_LOGVAR)
    return model


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": f"pieces of {len(photos.names('train'))} photos and captioned pictures, "
        "half and half",
        "side": SIZE,
        "side of photos in a further cycle": LARGE_SIZE,
        "objects": len(sprites.names()),
        "styles": sprites.styles("train"),
        "held out": photos.names("held-out") + sprites.styles("held-out"),
    }


def train(
    *,
    epochs: int = EPOCHS,
    workers: int = 0,
    initial_weights: Mapping[str, Tensor] | None = None,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH,
    **options: Any,
) -> tuple[AutoencoderKL, History]:
    """Train on new images in every epoch; other ``options`` are passed to :func:`fit_new`.

    Raises:
        ValueError: if a further cycle (``initial_weights``) is given another ``batch_size``
            than the default: its steps have images of two sizes, see :class:`MixedSizeImages`.
    """
    if initial_weights is not None and batch_size != BATCH:
        raise ValueError(
            "A further cycle of the autoencoder has a fixed batch size: leave out --batch-size."
        )
    if initial_weights is None:
        data = loader(EXAMPLES_PER_EPOCH, batch_size=batch_size, workers=workers)
    else:
        data = mixed_size_loader(EXAMPLES_PER_EPOCH, workers=workers)
    return fit_new(
        make_model,
        mean_loss,
        data,
        epochs,
        initial_weights=initial_weights,
        learning_rate=learning_rate,
        label="autoencoder",
        **options,
    )


def evaluate(model: AutoencoderKL, split: str, count: int) -> dict[str, float]:
    """Mean reconstruction quality, from the latent means, of the first ``count`` test images.

    Returns:
        ``psnr`` in dB and ``ssim``. For photos also PSNR differences: ``above_pca``, to a linear
        autoencoder with as many values; ``above_jpeg``, to JPEG at 16,384 bytes; and
        ``gain_by_8_bits``, of latents quantised to 8 bits over unquantised latents.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    images = _test_images(split, count)
    decoded = [codecs.autoencoder(model, image).image for image in images]
    metrics = {"psnr": _mean(psnr, decoded, images), "ssim": _mean(ssim, decoded, images)}
    if split == "photos":
        linear = pca.fit(model.config.latent_channels)
        baselines = {
            "pca": [linear.decode(linear.encode(image)) for image in images],
            "jpeg": [codecs.pillow_within(JPEG_BYTES, image).image for image in images],
        }
        for name, baseline in baselines.items():
            metrics[f"above_{name}"] = metrics["psnr"] - _mean(psnr, baseline, images)
        quantised = [codecs.autoencoder(model, image, bits=8).image for image in images]
        metrics["gain_by_8_bits"] = _mean(psnr, quantised, images) - metrics["psnr"]
    return metrics


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
