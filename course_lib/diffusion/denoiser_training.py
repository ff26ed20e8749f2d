"""Training and evaluation of the shipped version of lesson 6's denoiser.

The lesson trains the same network briefly: too short for recognisable images.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from course_lib.assets import checkpoints
from course_lib.compression import autoencoder
from course_lib.data import captioned, resampling
from course_lib.diffusion import judge as judging
from course_lib.diffusion import latent_cache
from course_lib.diffusion import small_denoiser as small
from course_lib.sd.samplers import gaussian
from course_lib.training import distributed, packing
from course_lib.training.loop import History, Loss, fit_new

EXAMPLES_PER_EPOCH = 1000
EPOCHS = 20  # of the shipped checkpoint
TRAINING_PICTURES = 600
BATCH = small.BATCH
LEARNING_RATE = small.LEARNING_RATE
EMA_DECAY = 0.99
TEST_SPLITS = {"seen": 100}
THRESHOLDS = {"seen": {"recognised": 0.8}}
_STEPS = 50  # of the sampler in the evaluation
_TIMESTEPS = range(50, 1000, 100)  # timesteps at which the error is measured


def load() -> small.Denoiser:
    """The shipped denoiser, on the CPU, in eval mode."""
    denoiser = small.Denoiser()
    denoiser.load_state_dict(packing.from_8_bits(checkpoints.load("denoiser")))
    return denoiser.eval()


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return {
        "pictures": f"{TRAINING_PICTURES:,} captioned pictures, as latents of "
        "the shipped autoencoder, without their captions",
        "side": captioned.SIZE,
        "objects": list(small.OBJECTS),
        "predicts": "v, from which the noise is computed",
        "measured with": {"sampler": "ddim", "steps": _STEPS},
        "stored": "in 8 bits",
    }


def train(**options: Any) -> tuple[nn.Module, History]:
    """Train the denoiser; ``options`` are those of :func:`train_on_latents`."""
    return train_on_latents(small.Denoiser, small.loss, "denoiser", **options)


def train_on_latents(
    make_model: Callable[[], nn.Module],
    loss: Loss,
    label: str,
    *,
    epochs: int = EPOCHS,
    device: torch.device | None = None,
    workers: int = 0,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Train a model of the latents of the same pictures; other ``options``: see :func:`fit_new`.

    The latents are kept in a folder next to ``checkpoint``, for resumed runs.
    """
    pictures = captioned.CaptionedPictures(range(TRAINING_PICTURES), objects=small.OBJECTS)
    folder = None if checkpoint is None else Path(checkpoint).with_name("denoiser-latents")
    with distributed.rank_zero_first():
        latents = latent_cache.encode_dataset(pictures, folder, device=device, workers=workers)
    data = resampling.loader(
        TensorDataset(latents.float()), EXAMPLES_PER_EPOCH, batch_size=batch_size
    )
    return fit_new(
        make_model,
        loss,
        data,
        epochs,
        ema_decay=EMA_DECAY,
        learning_rate=learning_rate,
        device=device,
        checkpoint=checkpoint,
        label=label,
        **options,
    )


@torch.no_grad()
def evaluate(model: small.Denoiser, split: str, count: int) -> dict[str, float]:
    """Measure a trained denoiser on ``count`` test images and ``count`` generated images.

    Returns:
        ``error``: the mean squared error of v over ten timesteps; always predicting v = 0 gives
        about 1. ``recognised``: the share of generated images that the judge, which chooses among
        48 objects, classifies as one of ``OBJECTS`` (the training images show only an apple).

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    vae, device = autoencoder.load(), next(model.parameters()).device
    pictures = small.examples(count, first_seed=10**6)  # not used for training
    clean = small.encode(vae, torch.stack([picture.image for picture in pictures])).to(device)
    errors = [small.v_error_at(model, clean, t) for t in _TIMESTEPS]
    noise = gaussian(clean.shape, torch.Generator().manual_seed(0)).to(device)
    images = small.decode(vae, small.sample(model, noise, steps=_STEPS))
    verdicts = judging.load().classify(images)
    return {
        "error": sum(errors) / len(errors),
        "recognised": sum(verdict.name in small.OBJECTS for verdict in verdicts) / count,
    }
