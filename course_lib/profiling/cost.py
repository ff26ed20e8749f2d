"""What a layer costs: parameters, bytes, FLOPs and time, measured on the real module.

Counts need no memory: a module on torch's ``meta`` device has shapes and no values, so that even a
layer of 17 GB can be counted.
"""

import copy
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.profiling.timing import one_thread


@dataclass(frozen=True)
class Cost:
    """What one forward pass of a module needs."""

    parameters: int
    bytes: int  # of the parameters, in the module's own precision
    flops: int  # a multiply-add counts as two floating-point operations


@torch.no_grad()
def cost(module: nn.Module, *input_shape: int) -> Cost:
    """Count a module's parameters, their bytes, and the FLOPs of one forward pass, by running it
    once.

    FLOPs are those of its fully connected and convolutional layers; additions of a bias,
    activations and pooling are left out, as is usual, being few.

    Args:
        module: on any device. On ``meta`` nothing is computed and no memory is needed.
        input_shape: the shape of its input, the batch included:
            ``cost(nn.Conv2d(1, 1, 3), 1, 1, 28, 28)``.
    """
    flops = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flops
        # Each output value is a sum over one slice of the weights; transposed, each input value is
        # spread over one.
        values = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        flops += 2 * values.numel() * layer.weight[0].numel()

    probe = copy.deepcopy(module).eval()
    for layer in probe.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    probe(torch.zeros(input_shape, device=next(module.parameters()).device))
    weights = list(module.parameters())
    return Cost(
        parameters=sum(weight.numel() for weight in weights),
        bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        flops=flops,
    )


@torch.no_grad()
def forward_seconds(module: nn.Module, *input_shape: int, repeats: int = 31) -> float:
    """The median time of one forward pass, in seconds, after two passes to warm up, on the module's
    device.

    A CPU uses one thread meanwhile: starting several takes longer than a small layer does.

    Raises:
        ValueError: if the module is on the ``meta`` device, where nothing can run.
    """
    device = next(module.parameters()).device
    if device.type == "meta":
        raise ValueError(
            "A module on the meta device has no weights to run: build it without device='meta'."
        )
    inputs = torch.rand(input_shape, device=device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds = []
    with one_thread():
        for _ in range(repeats + 2):
            wait()
            begin = time.perf_counter()
            module(inputs)
            wait()
            seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[2:])


def power_law(x: Sequence[float | int], y: Sequence[float | int]) -> tuple[float, float]:
    """Fit ``y = factor * x ** exponent`` by least squares on the logarithms; returns (exponent,
    factor).

    On axes that are both logarithmic the fit is a straight line, and the exponent is its slope.

    Raises:
        ValueError: if there are fewer than two points, or a value that has no logarithm.
    """
    if len(x) != len(y) or len(x) < 2 or min(*x, *y) <= 0:
        raise ValueError(
            "A power law needs two or more pairs of numbers above 0: leave out what was not measured."
        )
    exponent, log_factor = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(log_factor))


@torch.no_grad()
def as_matrix(layer: nn.Module, *input_shape: int) -> Float[Tensor, "outputs inputs"]:
    """The matrix that a linear layer multiplies its flattened input by, found by asking the layer
    itself.

    Column ``i`` is the layer's answer to an input that is 1 at place ``i`` and 0 elsewhere, less
    its bias.

    Args:
        layer: a fully connected layer, a convolution, or anything else that is linear.
        input_shape: the shape of one input, without the batch: ``as_matrix(conv, 1, 8, 8)``.
    """
    count = int(np.prod(input_shape))
    units = torch.eye(count).view(count, *input_shape)
    bias = layer(torch.zeros(1, *input_shape))
    return (layer(units) - bias).flatten(1).T.contiguous()


def in_words(number: float | int, unit: str = "") -> str:
    """A number as people say it: ``in_words(4294967296)`` is "4.29 billion", with ``unit="B"``
    "4.29 GB".
    """
    names = (
        ("", "k", "M", "G", "T", "P")
        if unit
        else ("", " thousand", " million", " billion", " trillion")
    )
    power = 0
    while abs(number) >= 1000 and power < len(names) - 1:
        number, power = number / 1000, power + 1
    digits = f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"
    return f"{digits} {names[power]}{unit}" if unit else digits + names[power]
