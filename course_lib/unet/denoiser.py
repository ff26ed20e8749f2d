"""The U-Net as a denoiser: it is given a picture with noise on it and predicts the noise. Lesson 6
starts from here.

One noise level only. Pictures are captioned ones, in [-1, 1] as diffusion models have them; the
noise that is added is normally distributed with standard deviation ``NOISE``.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from course_lib.data import resampling
from course_lib.data.captioned import captioned
from course_lib.metrics.images import psnr
from course_lib.training.loop import History, fit
from course_lib.unet.model import UNet

SIZE = 32  # pixels
NOISE = 0.5
# of the pictures it is measured on; training draws from the seeds behind them
TEST_SEEDS = range(1000)
BATCH = 8
LEARNING_RATE = 1e-2  # batch normalisation bears it; at 4e-3 as many pictures taught less
BLURS = (0.4, 0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.2, 2.6, 3.0)  # pixels

Images = Float[Tensor, "batch 3 height width"]


def model() -> UNet:
    """The same class as for segmentation: three channels in, and one prediction for each of their
    values out.
    """
    return UNet(3, 3, width=16, depth=3)


class Pictures(Dataset):
    """Captioned pictures of the split ``"seen"``, each made when it is asked for, in [-1, 1]."""

    def __init__(self, seeds: range, size: int = SIZE) -> None:
        self.seeds, self.size = seeds, size

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Float[Tensor, "3 size size"]:
        return captioned(self.seeds[index], self.size).image * 2 - 1


def examples(count: int, size: int = SIZE, split: str = "new-combinations") -> Images:
    """The first ``count`` test pictures of a split of ``captioned.SPLITS``, in [-1, 1].

    Raises:
        ValueError: if there are not so many.
    """
    if not 1 <= count <= len(TEST_SEEDS):
        raise ValueError(f"count is {count}: there are {len(TEST_SEEDS)} test pictures.")
    return torch.stack(
        [captioned(seed, size, split=split).image * 2 - 1 for seed in TEST_SEEDS[:count]]
    )


def loader(count: int, *, batch: int = BATCH, workers: int = 0, size: int = SIZE) -> DataLoader:
    """Batches for training, each a tuple of one tensor: see
    :func:`course_lib.data.resampling.loader`.
    """
    pictures = Pictures(range(TEST_SEEDS.stop, 2**31), size)
    return resampling.loader(pictures, count, batch=batch, workers=workers, collate=_stacked)


def _stacked(images: Sequence[Tensor]) -> tuple[Tensor]:
    return (torch.stack(list(images)),)


def add_noise(images: Images, noise: Images, level: float = NOISE) -> Images:
    """``level`` is the standard deviation of what is added, ``noise`` has standard deviation 1."""
    return images + level * noise


def loss(model: nn.Module, images: Images) -> Float[Tensor, ""]:
    """Mean squared error between the noise that was added and the noise that the model sees."""
    noise = torch.randn_like(images)
    return F.mse_loss(model(add_noise(images, noise)), noise)


@torch.no_grad()
def denoise(model: nn.Module, noisy: Images, level: float = NOISE) -> tuple[Images, Images]:
    """The noise that the model predicts, and what is left without it, in [-1, 1]. The model should
    be in eval mode.
    """
    predicted = model(noisy)
    return predicted, (noisy - level * predicted).clamp(-1, 1)


def blur(noisy: Images, sigma: float) -> Images:
    """A Gaussian blur of ``sigma`` pixels, in [-1, 1]: what one would do without a network."""
    return torch.from_numpy(
        gaussian_filter(noisy.numpy(), (0, 0, sigma, sigma), mode="nearest")
    ).clamp(-1, 1)


def best_blur(noisy: Images, images: Images) -> float:
    """The blur, of ``BLURS``, that comes nearest to these very pictures: the baseline at its
    best.
    """
    return max(BLURS, key=lambda sigma: quality(blur(noisy, sigma), images))


def quality(found: Images, images: Images) -> float:
    """Mean PSNR in dB over pictures in [-1, 1]."""
    pairs = zip((found + 1) / 2, (images + 1) / 2, strict=True)
    return sum(psnr(one, other) for one, other in pairs) / len(images)


def train(
    count: int,
    epochs: int = 1,
    *,
    device: torch.device | None = None,
    size: int = SIZE,
    seed: int = 0,
) -> tuple[UNet, History]:
    """Train a denoiser on ``epochs`` times ``count`` new pictures."""
    torch.manual_seed(seed)
    trained = model()
    history = fit(
        *(trained, loss, loader(count, size=size), epochs),
        learning_rate=LEARNING_RATE,
        device=device,
        seed=seed,
        label="denoiser",
    )
    return trained.eval(), history
