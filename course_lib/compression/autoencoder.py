"""The course's own autoencoder: Stable Diffusion's, at a size that a laptop trains.

Half of what it is trained on are pieces of photographs, the other half captioned pictures. A first
cycle of training sees small ones, quickly; a further one (``--start``) sees each kind at a size
nearer to that at which it is used. The functions below the data are what
``course train autoencoder`` and ``course evaluate autoencoder`` run: see
``course_lib.training.recipes``.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
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
    # 1 over the deviation of the shipped one's latents of captioned pictures, which is 1.33
    scaling_factor=0.75,
)
MODELS = {"autoencoder": CONFIG}
PIECE = 128  # pixels, the side of a training picture
# pixels, that of a photo in a further cycle: group normalisation depends on how much it averages
# over
LARGE = 256
EPOCH = 2000  # pictures
BATCH = 4  # at equal numbers of pictures, many small steps learn more than few large ones
LEARNING_RATE = 8e-4  # of a first cycle; a further one needs a quarter of it (on the card)
# So small that it hardly blurs (arXiv:2112.10752, appendix G), and just large enough that
# neighbouring latents, which differ by less than the noise, decode to nearly the same picture.
KL_WEIGHT = 1e-4
_FIRST_LOGVAR = -6.0
_FINEST = 384  # pixels of a photo's shorter side when it is made as small as training makes it

PHOTO = 512  # pixels, the side of a test photo
JPEG_BYTES = 16384  # as many as the latent has values
TESTS = {"photos": len(photos.names("held-out")), "captioned": 200, "captioned-held-out-style": 200}
BARS = {
    "autoencoder": {
        "photos": {"above_pca": 4.0, "above_jpeg": -2.5, "gain_by_8_bits": -0.1},
        "captioned": {"psnr": 30.0},
    }
}


def loss(model: AutoencoderKL, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, ""]:
    """Mean squared error of the decoded sample, images in [-1, 1], and a little of the
    divergence.
    """
    posterior = model.encode(images)
    return F.mse_loss(model.decode(posterior.sample()).float(), images) + KL_WEIGHT * posterior.kl()


def mean_loss(model: AutoencoderKL, *groups: Float[Tensor, "_ 3 _ _"]) -> Float[Tensor, ""]:
    """The mean of the losses of pictures of different sizes."""
    return torch.stack([loss(model, images) for images in groups]).mean()


class Pieces(Dataset):
    """A picture for each number: of a photo for even ones, a captioned one for odd ones. In [-1,
    1].
    """

    def __init__(self, size: int = PIECE) -> None:
        """``size``: the side in pixels, at most 384."""
        self.size = size

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, seed: int) -> Float[Tensor, "3 size size"]:
        image = (
            captioned.captioned(seed // 2, self.size).image
            if seed % 2
            else piece(seed // 2, self.size)
        )
        return image * 2 - 1


class Groups(Dataset):
    """A piece of a photo, and as many pixels of captioned pictures: what one step of a further
    cycle sees.
    """

    def __len__(self) -> int:
        return 2**31

    def __getitem__(
        self, seed: int
    ) -> tuple[Float[Tensor, "1 3 large large"], Float[Tensor, "count 3 piece piece"]]:
        count = (LARGE // PIECE) ** 2
        drawn = [captioned.captioned(seed * count + number, PIECE).image for number in range(count)]
        return piece(seed, LARGE)[None] * 2 - 1, torch.stack(drawn) * 2 - 1


def piece(seed: int, size: int = PIECE) -> Float[Tensor, "3 size size"]:
    """A square cut from a training photo at some scale, turned, mirrored, its colours changed a
    little. In [0, 1].
    """
    rng = np.random.default_rng(seed)
    photo = _photo(int(rng.integers(len(_names()))))
    shorter = min(photo.size)
    side = size * shorter / np.exp(rng.uniform(np.log(_FINEST), np.log(shorter)))
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    cut = photo.resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    pixels = np.rot90(np.asarray(cut, dtype=np.float32) / 255, int(rng.integers(4)))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.3:
        pixels = pixels[..., rng.permutation(3)]
    contrast, brightness = rng.uniform(0.7, 1.1), rng.uniform(-0.1, 0.1, 3).astype(np.float32)
    pixels = np.clip((pixels - 0.5) * contrast + 0.5 + brightness, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float()


def loader(count: int, *, batch: int = BATCH, workers: int = 0, size: int = PIECE) -> DataLoader:
    """Batches for training, each a tuple of one tensor: see
    :func:`course_lib.data.resampling.loader`.
    """
    return resampling.loader(Pieces(size), count, batch=batch, workers=workers, collate=_stacked)


def groups(pictures: int, *, workers: int = 0) -> DataLoader:
    """For a further cycle, so many pictures in all, each batch a tuple of two tensors: see
    :class:`Groups`.
    """
    count = max(pictures // (1 + (LARGE // PIECE) ** 2), 1)
    return resampling.loader(Groups(), count, batch=1, workers=workers, collate=_only)


def _only(batch: list) -> Any:
    return batch[0]


def _stacked(images: list[Tensor]) -> tuple[Tensor]:
    return (torch.stack(images),)


def load(name: str = "autoencoder") -> AutoencoderKL:
    """The shipped autoencoder, on the CPU, ready to use."""
    shipped = model(name)
    shipped.load_state_dict(checkpoints.load(name))
    return shipped.eval()


def model(name: str = "autoencoder") -> AutoencoderKL:
    """One with random weights, drawn so that a short training suffices.

    With PyTorch's own initial weights a signal becomes smaller in every layer, until little is left
    of it beside what
    the normalisations make of it: and they take away how bright a picture is. So here layers keep
    the size of their input (LeCun et al., 1998, Efficient BackProp, section 4.6), residual blocks
    begin as the identity (Goyal et al., 2017, arXiv:1706.02677, section 5.1), as do the
    convolutions that smooth what was repeated, and latents begin with little noise.
    """
    new = AutoencoderKL(MODELS[name])
    for module in new.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            nn.init.zeros_(module.bias)
    for module in new.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
        if isinstance(module, Upsample2D):
            nn.init.dirac_(module.conv.weight)
    nn.init.constant_(new.quant_conv.bias[new.config.latent_channels :], _FIRST_LOGVAR)
    return new


def epochs(name: str = "autoencoder") -> int:
    """Of 2,000 pictures each, for the shipped one."""
    return 12


def styles(name: str = "autoencoder") -> list[str]:
    """None: it is not made to be trained without one of its drawing styles."""
    return []


def facts(name: str = "autoencoder", styles: Sequence[str] | None = None) -> dict[str, Any]:
    """What it is trained on; always in all styles."""
    return {
        "pictures": f"pieces of {len(photos.names('train'))} photos and captioned pictures, half and half",
        "side": PIECE,
        "side of photos in a further cycle": LARGE,
        "objects": len(sprites.names()),
        "styles": sprites.styles("train"),
        "held out": photos.names("held-out") + sprites.styles("held-out"),
    }


def train(
    name: str = "autoencoder",
    *,
    epochs: int = 12,
    device: torch.device | None = None,
    workers: int = 0,
    seed: int = 0,
    start: Mapping[str, Tensor] | None = None,
    learning_rate: float = LEARNING_RATE,
    checkpoint: str | Path | None = None,
) -> tuple[AutoencoderKL, History]:
    """Train it on new pictures in every epoch; the options are those of ``course train``."""
    options = {
        "learning_rate": learning_rate,
        "device": device,
        "checkpoint": checkpoint,
        "label": name,
    }
    data = loader(EPOCH, workers=workers) if start is None else groups(EPOCH, workers=workers)
    return fit_new(lambda: model(name), mean_loss, data, epochs, seed=seed, start=start, **options)


def evaluate(name: str, model: AutoencoderKL, split: str, count: int) -> dict[str, float]:
    """Means over the first ``count`` test pictures of a split: PSNR in dB and SSIM, both of the
    decoded mean.

    On photos also how many dB it is above a linear autoencoder of as many values, above JPEG at
    16,384 bytes (below, where negative), and what it gains (loses, where negative) when its latents
    are stored in 8 bits a value.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in TESTS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TESTS)}.")
    pictures = _test_pictures(split, count)
    back = [codecs.autoencoder(model, picture).image for picture in pictures]
    figures = {"psnr": _mean(psnr, back, pictures), "ssim": _mean(ssim, back, pictures)}
    if split == "photos":
        linear = pca.fit(model.config.latent_channels)
        others = {
            "pca": [linear.decode(linear.encode(picture)) for picture in pictures],
            "jpeg": [codecs.at_most(JPEG_BYTES, picture).image for picture in pictures],
        }
        figures |= {
            f"above_{peer}": figures["psnr"] - _mean(psnr, found, pictures)
            for peer, found in others.items()
        }
        coarse = [codecs.autoencoder(model, picture, bits=8).image for picture in pictures]
        figures["gain_by_8_bits"] = _mean(psnr, coarse, pictures) - figures["psnr"]
    return figures


def _test_pictures(split: str, count: int) -> list[Tensor]:
    if split == "photos":
        return [photos.photo(name, PHOTO) for name in photos.names("held-out")[:count]]
    kind = {"captioned": "new-combinations", "captioned-held-out-style": "held-out-style"}[split]
    return [captioned.captioned(seed, PIECE, split=kind).image for seed in range(count)]


def _mean(measure: Any, back: Sequence[Tensor], pictures: Sequence[Tensor]) -> float:
    return float(
        np.mean([measure(found, wanted) for found, wanted in zip(back, pictures, strict=True)])
    )


@cache
def _names() -> list[str]:
    return photos.names("train")


@cache
def _photo(index: int) -> Image.Image:
    return photos.picture(_names()[index])
