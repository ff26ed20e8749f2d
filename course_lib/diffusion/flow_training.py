"""Lesson 8's rectified flow: lesson 6's U-Net, pictures and number of steps, with another loss.

The path, the prediction target and the distribution of the training times differ from
:mod:`course_lib.diffusion.denoiser_training`; network, pictures and number of updates are the same,
so that the two can be compared.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.assets import checkpoints
from course_lib.compression import autoencoder
from course_lib.diffusion import denoiser_training, flow, judge
from course_lib.diffusion import small_denoiser as small
from course_lib.diffusion.sampler_comparison import measure_latents
from course_lib.sd.samplers import gaussian
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.training import packing
from course_lib.training.loop import History

EXAMPLES_PER_EPOCH = denoiser_training.EXAMPLES_PER_EPOCH
EPOCHS = denoiser_training.EPOCHS
BATCH = denoiser_training.BATCH
LEARNING_RATE = denoiser_training.LEARNING_RATE
TEST_SPLITS = denoiser_training.TEST_SPLITS
THRESHOLDS = denoiser_training.THRESHOLDS
_STEPS = 50  # of the sampler in the evaluation, as for the denoiser
_FEW_STEPS = 4
_TIMES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)  # of the measured errors


class VelocityUNet(nn.Module):
    """Predicts the velocity at points of straight paths, at t in [0, 1]."""

    def __init__(self, config: UNetConfig = small.CONFIG) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(config)
        # The initial prediction is 0, the mean of the velocity.
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def forward(self, x: flow.Images, t: flow.Times) -> flow.Images:
        """The velocity at ``x``; ``t``: one per image."""
        no_text = x.new_zeros(len(x), 1, self.unet.config.cross_attention_dim)
        return self.unet(x, 1000 * t, no_text)


def load() -> VelocityUNet:
    """The shipped flow, on the CPU, in eval mode."""
    model = VelocityUNet()
    model.load_state_dict(packing.from_8_bits(checkpoints.load("flow")))
    return model.eval()


def loss(model: VelocityUNet, clean: flow.Images) -> Float[Tensor, ""]:
    """The flow-matching loss at logit-normal times; ``clean``: scaled latents, or pixels."""
    return flow.compute_loss(lambda x, t: model(x, t).float(), clean, flow.draw_times(len(clean)))


def sample(model: flow.VelocityModel, noise: flow.Images, steps: int) -> flow.Images:
    """Turn noise into latents with ``steps`` Euler steps of equal length."""
    return flow.integrate(model, noise, torch.linspace(1, 0, steps + 1).tolist())[-1]


def dataset_description() -> dict[str, Any]:
    """A description of the training data, for the model card."""
    return denoiser_training.dataset_description() | {
        "predicts": "the velocity of straight paths",
        "stored": "in 8 bits",
        "measured with": {"sampler": "Euler", "steps": _STEPS},
    }


def train(**options: Any) -> tuple[nn.Module, History]:
    """Train the flow; ``options`` are those of :func:`denoiser_training.train_on_latents`."""
    return denoiser_training.train_on_latents(VelocityUNet, loss, "flow", **options)


@torch.no_grad()
def evaluate(model: VelocityUNet, split: str, count: int) -> dict[str, float]:
    """Measure a trained flow on ``count`` test images and ``count`` generated images.

    Returns:
        ``error``: the mean squared error of the velocity over ten times; always predicting 0 gives
        about 2. ``recognised``: the share of images, generated in 50 steps, that the judge
        classifies as one of ``small_denoiser.OBJECTS``; ``recognised_in_4``: in 4 steps.

    Raises:
        ValueError: if the split is unknown.
    """
    if split not in TEST_SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(TEST_SPLITS)}.")
    vae, device = autoencoder.load(), next(model.parameters()).device
    pictures = small.examples(count, first_seed=10**6)  # not used for training
    clean = small.encode(vae, torch.stack([picture.image for picture in pictures])).to(device)
    noise = gaussian(clean.shape, torch.Generator().manual_seed(0)).to(device)
    errors = [
        flow.compute_loss(model, clean, torch.full((count,), t), noise).item() for t in _TIMES
    ]
    recognised = {
        steps: measure_latents(sample(model, noise, steps), vae=vae, judge=judge.load()).recognised
        for steps in (_STEPS, _FEW_STEPS)
    }
    return {
        "error": sum(errors) / len(errors),
        "recognised": recognised[_STEPS],
        "recognised_in_4": recognised[_FEW_STEPS],
    }
