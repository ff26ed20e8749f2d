"""Costs against torch's own counter and against arithmetic; fits against laws that are known."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib.profiling.cost import as_matrix, cost, forward_seconds, in_words, power_law
from course_lib.vision.digits import ConvolutionalClassifier, FullyConnectedClassifier


def test_a_layer_of_17_gigabytes_is_counted_without_memory():
    found = cost(nn.Linear(256**2, 256**2, bias=False, device="meta"), 1, 256**2)
    assert (found.parameters, found.bytes, found.flops) == (65_536**2, 4 * 65_536**2, 2 * 65_536**2)


@pytest.mark.parametrize(
    "module, shape",
    [
        (nn.Linear(12, 7), (3, 12)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9, 11)),
        (nn.ConvTranspose2d(6, 4, 2, stride=2), (2, 6, 5, 4)),
        (FullyConnectedClassifier(), (2, 1, 28, 28)),
        (ConvolutionalClassifier(), (2, 1, 28, 28)),
    ],
)
def test_flops_agree_with_torchs_own_counter(module, shape):
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(shape))
    assert cost(module, *shape).flops == counter.get_total_flops()


def test_bytes_follow_the_precision():
    assert cost(nn.Linear(4, 4, dtype=torch.float16, device="meta"), 1, 4).bytes == 2 * 20


def test_counting_leaves_the_module_as_it_was():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    cost(module, 1, 1, 8, 8)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not module[0]._forward_hooks and module.training


def test_power_law_finds_the_exponent_and_the_factor():
    exponent, factor = power_law([8, 16, 32], [3 * side**4 for side in (8, 16, 32)])
    assert exponent == pytest.approx(4) and factor == pytest.approx(3)
    with pytest.raises(ValueError, match="above 0"):
        power_law([1, 2], [0, 1])


def test_a_convolution_is_a_matrix_product():
    torch.manual_seed(0)
    conv, image = nn.Conv2d(2, 3, 3, padding=1), torch.rand(2, 5, 4)
    matrix = as_matrix(conv, 2, 5, 4)
    product = (matrix @ image.flatten()).view(3, 5, 4) + conv.bias[:, None, None]
    torch.testing.assert_close(product, conv(image[None])[0])


def test_a_linear_layer_is_its_own_matrix():
    linear = nn.Linear(6, 4)
    torch.testing.assert_close(as_matrix(linear, 6), linear.weight.detach())


def test_forward_seconds_restores_the_threads_and_refuses_meta():
    threads = torch.get_num_threads()
    assert forward_seconds(nn.Linear(4, 4), 1, 4, repeats=3) > 0
    assert torch.get_num_threads() == threads
    with pytest.raises(ValueError, match="device='meta'"):
        forward_seconds(nn.Linear(4, 4, device="meta"), 1, 4)


def test_in_words():
    assert [
        in_words(10),
        in_words(4_295_032_832),
        in_words(17_180_131_328, "B"),
        in_words(40, "B"),
    ] == [
        "10",
        "4.3 billion",
        "17.2 GB",
        "40 B",
    ]
    assert in_words(np.float64(999.9)) == "1e+03" or in_words(999.9).startswith("1")
