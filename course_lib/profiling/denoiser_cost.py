"""What a denoiser costs: the time, the operations and the memory of a training step, and of the
parts of a drawing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib.sd.pipeline import StableDiffusion


class Step(NamedTuple):
    """What one picture costs in a step of training."""

    seconds: float
    flops: int  # of the forward pass; a multiply-add counts as two
    kept: int  # bytes of intermediate results that wait for the backward pass


def training_step(
    denoiser: nn.Module, x: Float[Tensor, "batch channels height width"], repeats: int = 3
) -> Step:
    """Run steps of training (forward and backward, without the optimiser), and say what they cost
    for each picture.

    Args:
        denoiser: takes ``x`` and a time. Its gradients are discarded.
        x: some noisy pictures, where the denoiser is.
        repeats: how many steps are timed, after one to warm up. The median counts.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser(x, 500)
    sizes: dict[int, int] = {}  # by the place in memory: what is kept twice counts once

    def keep(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {weight.untyped_storage().data_ptr() for weight in denoiser.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = denoiser(x, 500)
    kept = sum(size for place, size in sizes.items() if place not in own)
    del found
    seconds = []
    for _ in range(repeats + 1):
        begin = _now(x.device)
        denoiser(x, 500).square().mean().backward()
        seconds.append(_now(x.device) - begin)
        denoiser.zero_grad()
    return Step(median(seconds[1:]) / len(x), counter.get_total_flops() // len(x), kept // len(x))


@contextmanager
def clocked(model: StableDiffusion) -> Iterator[dict[str, list[float]]]:
    """Meanwhile every call of the text encoder, the denoiser and the decoder is timed, in seconds,
    by its name.
    """
    parts = {"text encoder": model.text_encoder, "U-Net": model.unet, "decoder": model.vae.decoder}
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    hooks = []
    for name, part in parts.items():
        taken = seconds[name]
        hooks += [
            part.register_forward_pre_hook(
                lambda module, given, taken=taken: taken.append(-_now(_device(module)))
            ),
            part.register_forward_hook(
                lambda module, given, output, taken=taken: _stop(taken, _device(module))
            ),
        ]
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


def _stop(taken: list[float], device: torch.device) -> None:
    taken[-1] += _now(device)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _now(device: torch.device) -> float:
    """The time in seconds, when all that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
