"""What a layer or a network costs: parameters, FLOPs and memory, counted on the real module.

On torch's ``meta`` device a module has shapes and no values, so that counting needs no memory, even
for a layer of 17 GB.
"""

import contextlib
import copy
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib.profiling.timing import synchronized_time
from course_lib.sd.pipeline import StableDiffusion


@dataclass(frozen=True)
class ForwardCost:
    """The cost of one forward pass of a module."""

    parameters: int
    bytes: int  # of the parameters, in the module's own precision
    flops: int  # a multiply-add counts as two floating-point operations


class TrainingCost(NamedTuple):
    """The cost of one example in a training step."""

    seconds: float
    flops: int  # of the forward pass
    activation_bytes: int  # intermediate results stored for the backward pass


@torch.no_grad()
def forward_cost(
    module: nn.Module, *input_shape: int, others: Sequence[object] = ()
) -> ForwardCost:
    """Count a module's parameters, their bytes, and the FLOPs of one forward pass.

    FLOPs are those of matrix products and convolutions; biases, activations and pooling are left
    out, as is usual.

    Args:
        module: on any device. On ``meta`` nothing is computed and no memory is needed.
        input_shape: the shape of its input, with the batch dimension:
            ``forward_cost(nn.Conv2d(1, 1, 3), 1, 1, 28, 28)``.
        others: the arguments after the input, such as a denoiser's timestep and context.
    """
    weights = list(module.parameters())
    inputs = torch.zeros(input_shape, device=weights[0].device)
    probe = copy.deepcopy(module).eval()  # the module itself keeps its mode and its buffers
    with FlopCounterMode(display=False) as counter:
        probe(inputs, *others)
    return ForwardCost(
        parameters=sum(weight.numel() for weight in weights),
        bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        flops=counter.get_total_flops(),
    )


def training_cost(
    denoiser: nn.Module, x: Float[Tensor, "batch channels height width"], repeats: int = 3
) -> TrainingCost:
    """Run training steps (forward and backward, without the optimizer) and measure their cost per
    example.

    Args:
        denoiser: called with ``x`` and a timestep. Its gradients are discarded.
        x: a batch of noisy images, on the denoiser's device.
        repeats: the number of timed steps, after one to warm up; the result is their median.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser(x, 500)
    storage_bytes: dict[int, int] = {}  # by address: a tensor saved twice counts once

    def record(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storage_bytes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        output = denoiser(x, 500)  # the reference keeps the storages, and so their addresses, alive
    for weight in denoiser.parameters():
        storage_bytes.pop(weight.untyped_storage().data_ptr(), None)
    del output
    seconds = []
    for _ in range(repeats + 1):
        start = synchronized_time(x.device)
        denoiser(x, 500).square().mean().backward()
        seconds.append(synchronized_time(x.device) - start)
        denoiser.zero_grad()
    return TrainingCost(
        seconds=statistics.median(seconds[1:]) / len(x),
        flops=counter.get_total_flops() // len(x),
        activation_bytes=sum(storage_bytes.values()) // len(x),
    )


@contextlib.contextmanager
def time_calls(pipeline: StableDiffusion) -> Iterator[dict[str, list[float]]]:
    """Inside the block, time every call of the text encoder, the U-Net and the decoder, in
    seconds.
    """
    modules: dict[str, nn.Module] = {
        "text encoder": pipeline.text_encoder,
        "U-Net": pipeline.unet,
        "decoder": pipeline.vae.decoder,
    }
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    hooks = []
    for name, module in modules.items():
        times, device = seconds[name], next(module.parameters()).device

        def start(*_, times: list[float] = times, device: torch.device = device) -> None:
            times.append(-synchronized_time(device))

        def stop(*_, times: list[float] = times, device: torch.device = device) -> None:
            times[-1] += synchronized_time(device)

        hooks += [module.register_forward_pre_hook(start), module.register_forward_hook(stop)]
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


def fit_power_law(x: Sequence[float | int], y: Sequence[float | int]) -> tuple[float, float]:
    """Fit ``y = factor * x ** exponent`` by least squares on the logarithms; returns (exponent,
    factor).

    On two logarithmic axes the fit is a straight line, and the exponent is its slope.

    Raises:
        ValueError: if there are fewer than two points, or a value is not above 0.
    """
    if len(x) != len(y) or len(x) < 2 or min(*x, *y) <= 0:
        raise ValueError(
            "A power law needs two or more pairs of numbers above 0: leave out missing values."
        )
    exponent, log_factor = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(log_factor))


@torch.no_grad()
def as_matrix(layer: nn.Module, *input_shape: int) -> Float[Tensor, "outputs inputs"]:
    """The matrix by which a linear layer multiplies its flattened input, measured on the layer.

    Column ``i`` is the layer's output, minus its bias, for an input that is 1 at index ``i`` and 0
    elsewhere.

    Args:
        layer: a fully connected layer, a convolution, or any other linear module.
        input_shape: the shape of one input, without batch dimension: ``as_matrix(conv, 1, 8, 8)``.
    """
    count = int(np.prod(input_shape))
    unit_inputs = torch.eye(count).view(count, *input_shape)
    bias = layer(torch.zeros(1, *input_shape))
    return (layer(unit_inputs) - bias).flatten(1).T.contiguous()


def format_count(number: float | int, unit: str = "") -> str:
    """A number with three digits and a word or a prefix: ``format_count(4294967296)`` is "4.29
    billion", with ``unit="B"`` "4.29 GB".
    """
    if unit:
        suffixes = [f" {prefix}{unit}" for prefix in ("", "k", "M", "G", "T", "P")]
    else:
        suffixes = ["", " thousand", " million", " billion", " trillion"]
    power = 0
    # 999.5 is rounded to 1000: the next suffix
    while abs(number) >= 999.5 and power < len(suffixes) - 1:
        number /= 1000
        power += 1
    digits = f"{number:.3g}" if abs(number) < 999.5 else f"{number:,.0f}"
    return digits + suffixes[power]
