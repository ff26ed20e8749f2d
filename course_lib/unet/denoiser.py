"""The U-Net as a denoiser: it predicts the noise in a noisy image. Lesson 6 builds on it.

The images are captioned pictures, scaled to [-1, 1] as in diffusion models. There is only one noise
level: Gaussian noise with standard deviation ``NOISE_LEVEL``.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from course_lib.data import resampling
from course_lib.data.captioned import captioned_picture
from course_lib.metrics.images import psnr
from course_lib.training.loop import History, fit
from course_lib.unet.model import UNet

SIZE = 32  # pixels
NOISE_LEVEL = 0.5
TEST_SEEDS = range(1000)  # of the test images; training uses larger seeds
BATCH = 8
LEARNING_RATE = 1e-2  # BatchNorm tolerates a high rate; at 4e-3 the result was worse
BLURS = (0.4, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.2, 2.6, 3.0)  # standard deviations in pixels

Images = Float[Tensor, "batch 3 height width"]


def make_model() -> UNet:
    """An untrained denoiser: the class used for segmentation, with three channels in and out."""
    return UNet(3, 3, width=16, depth=3)


class CaptionedImages(Dataset):
    """Captioned pictures of the split ``"seen"``, in [-1, 1], rendered on access."""

    def __init__(self, seeds: range, size: int = SIZE) -> None:
        self.seeds = seeds
        self.size = size

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Float[Tensor, "3 size size"]:
        return captioned_picture(self.seeds[index], self.size).image * 2 - 1


def examples(count: int, size: int = SIZE, split: str = "new-combinations") -> Images:
    """The first ``count`` test images of a split of ``captioned.SPLITS``, in [-1, 1].

    Raises:
        ValueError: if ``count`` is not 1 to 1,000.
    """
    if not 1 <= count <= len(TEST_SEEDS):
        raise ValueError(f"count is {count}: there are {len(TEST_SEEDS)} test images.")
    return torch.stack(
        [captioned_picture(seed, size, split=split).image * 2 - 1 for seed in TEST_SEEDS[:count]]
    )


def loader(count: int, *, batch: int = BATCH, workers: int = 0, size: int = SIZE) -> DataLoader:
    """Training batches, each a tuple of one tensor: see :mod:`course_lib.data.resampling`."""
    images = CaptionedImages(range(TEST_SEEDS.stop, 2**31), size)
    return resampling.loader(images, count, batch_size=batch, workers=workers, collate=_collate)


def _collate(images: Sequence[Tensor]) -> tuple[Tensor]:
    return (torch.stack(list(images)),)


def add_noise(images: Images, noise: Images, noise_level: float = NOISE_LEVEL) -> Images:
    """Add ``noise`` (standard deviation 1), scaled to the standard deviation ``noise_level``."""
    return images + noise_level * noise


def loss(model: nn.Module, images: Images, noise: Images | None = None) -> Float[Tensor, ""]:
    """Mean squared error of the predicted noise; without ``noise``, it is drawn."""
    noise = torch.randn_like(images) if noise is None else noise
    return F.mse_loss(model(add_noise(images, noise)), noise)


@torch.no_grad()
def denoise(
    model: nn.Module, noisy: Images, noise_level: float = NOISE_LEVEL
) -> tuple[Images, Images]:
    """The predicted noise, and the denoised image, clamped to [-1, 1].

    ``model``: in eval mode.
    """
    noise_pred = model(noisy)
    return noise_pred, (noisy - noise_level * noise_pred).clamp(-1, 1)


def blur(noisy: Images, sigma: float) -> Images:
    """Gaussian blur with a standard deviation of ``sigma`` pixels: denoising without a network."""
    blurred = gaussian_filter(noisy.numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(blurred).clamp(-1, 1)


def best_blur(noisy: Images, images: Images) -> float:
    """The sigma in ``BLURS`` with the highest PSNR on these images: an optimistic baseline."""
    return max(BLURS, key=lambda sigma: mean_psnr(blur(noisy, sigma), images))


def mean_psnr(restored: Images, images: Images) -> float:
    """Mean PSNR in dB over images in [-1, 1]."""
    pairs = zip((restored + 1) / 2, (images + 1) / 2, strict=True)
    return sum(psnr(restored_image, image) for restored_image, image in pairs) / len(images)


def psnr_of_loss(loss: float, noise_level: float = NOISE_LEVEL) -> float:
    """The PSNR in dB, over all values together, of images in [-1, 1] whose noise was predicted with
    a mean squared error of ``loss`` and subtracted, without clamping; infinite for a loss of 0.
    """
    return 10 * math.log10(4 / (noise_level**2 * loss)) if loss else math.inf


def train(
    count: int,
    epochs: int = 1,
    *,
    device: torch.device | None = None,
    size: int = SIZE,
    seed: int = 0,
) -> tuple[UNet, History]:
    """Train a denoiser for ``epochs`` epochs of ``count`` new images each."""
    torch.manual_seed(seed)
    denoiser = make_model()
    history = fit(
        denoiser,
        loss,
        loader(count, size=size),
        epochs,
        learning_rate=LEARNING_RATE,
        device=device,
        seed=seed,
        label="denoiser",
    )
    return denoiser.eval(), history
