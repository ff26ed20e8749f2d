"""Costs of layers equal the formulas; power laws and number formats."""

import copy
import time

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.diffusion import text_to_image
from course_lib.profiling.cost import (
    as_matrix,
    fit_power_law,
    format_count,
    forward_cost,
    time_calls,
    training_cost,
)


def test_layer_of_17_gigabytes_is_counted_without_memory():
    cost = forward_cost(nn.Linear(256**2, 256**2, bias=False, device="meta"), 1, 256**2)
    assert (cost.parameters, cost.bytes, cost.flops) == (65_536**2, 4 * 65_536**2, 2 * 65_536**2)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    "layer, shape, multiplications",
    [
        (nn.Linear(12, 7), (3, 12), 3 * 12 * 7),
        (nn.Linear(12, 7), (3, 5, 12), 3 * 5 * 12 * 7),
        (nn.Conv2d(1, 1, 3, padding=1), (1, 1, 28, 28), 9 * 28 * 28),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9, 11), 2 * 6 * 5 * 6 * 2 * 9),
        (nn.ConvTranspose2d(6, 4, 2, stride=2), (2, 6, 5, 4), 2 * 6 * 5 * 4 * 4 * 4),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.MaxPool2d(2)), (1, 3, 4, 4), 3 * 2 * 16),
    ],
)
def test_flops_are_two_per_multiplication(layer, shape, multiplications, device):
    cost = forward_cost(copy.deepcopy(layer).to(device), *shape)
    assert cost.flops == 2 * multiplications


def test_bytes_follow_the_precision():
    assert forward_cost(nn.Linear(4, 4, dtype=torch.float16, device="meta"), 1, 4).bytes == 2 * 20


def test_counting_does_not_change_the_module():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    forward_cost(module, 1, 1, 8, 8)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not module[0]._forward_hooks and module.training


class SquaredConvolution(nn.Module):
    """A denoiser with known costs: one convolution without bias, and a square."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 4, 3, padding=1, bias=False)

    def forward(self, x, t):
        return self.layer(x) ** 2


def test_training_cost_is_per_example():
    denoiser = SquaredConvolution()
    cost = training_cost(denoiser, torch.randn(5, 4, 8, 8), repeats=1)
    assert cost.flops == 2 * 4 * 4 * 9 * 64
    # The convolution and the square each store their input; floats of 4 bytes.
    assert cost.activation_bytes == 2 * 4 * 64 * 4
    assert cost.seconds > 0 and denoiser.layer.weight.grad is None


def test_calls_are_timed_only_inside_the_block():
    pipeline = text_to_image.to_pipeline(text_to_image.TextToImage())
    start = time.perf_counter()
    with time_calls(pipeline) as seconds:
        pipeline.generate("an owl", sampler="dpm++", steps=2)
    total = time.perf_counter() - start
    pipeline.generate("an owl", sampler="dpm++", steps=1)
    counts = {name: len(times) for name, times in seconds.items()}
    assert counts == {"text encoder": 1, "U-Net": 2, "decoder": 1}
    assert all(value > 0 for times in seconds.values() for value in times)
    assert sum(map(sum, seconds.values())) < total


def test_power_law_recovers_exponent_and_factor():
    exponent, factor = fit_power_law([8, 16, 32], [3 * side**4 for side in (8, 16, 32)])
    assert exponent == pytest.approx(4) and factor == pytest.approx(3)
    with pytest.raises(ValueError, match="above 0"):
        fit_power_law([1, 2], [0, 1])


def test_convolution_equals_its_matrix():
    torch.manual_seed(0)
    conv, image = nn.Conv2d(2, 3, 3, padding=1), torch.rand(2, 5, 4)
    matrix = as_matrix(conv, 2, 5, 4)
    product = (matrix @ image.flatten()).view(3, 5, 4) + conv.bias[:, None, None]
    torch.testing.assert_close(product, conv(image[None])[0])


def test_matrix_of_a_linear_layer_is_its_weight():
    linear = nn.Linear(6, 4)
    torch.testing.assert_close(as_matrix(linear, 6), linear.weight.detach())


@pytest.mark.parametrize(
    "number, unit, text",
    [
        (0, "", "0"),
        (10, "", "10"),
        (999, "", "999"),
        (999.4, "", "999"),
        (np.float64(999.9), "", "1 thousand"),
        (1234, "", "1.23 thousand"),
        (999_499_999, "", "999 million"),
        (999_999_999, "", "1 billion"),
        (4_295_032_832, "", "4.3 billion"),
        (999.9e12, "", "1,000 trillion"),
        (2.5e15, "", "2,500 trillion"),
        (-999_999, "", "-1 million"),
        (40, "B", "40 B"),
        (999.9, "B", "1 kB"),
        (17_180_131_328, "B", "17.2 GB"),
    ],
)
def test_format_count(number, unit, text):
    assert format_count(number, unit) == text
