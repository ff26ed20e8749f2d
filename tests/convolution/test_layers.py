"""Convolution three ways against torch and SciPy, over shapes that hypothesis draws."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate2d
from torch import nn

from course_lib.convolution import layers

WAYS = [layers.conv2d_loops, layers.conv2d_im2col, layers.conv2d]


@st.composite
def problems(draw):
    """Images, kernels, bias or none, stride and padding that fit together, in float64."""

    def few(low, high):
        return draw(st.integers(low, high))

    kernel, padding = (few(1, 4), few(1, 4)), few(0, 2)
    height, width = (few(max(1, side - 2 * padding), 8) for side in kernel)
    batch, inputs, outputs = few(1, 2), few(1, 3), few(1, 3)
    torch.manual_seed(few(0, 99))
    x = torch.randn(batch, inputs, height, width, dtype=torch.float64)
    weight = torch.randn(outputs, inputs, *kernel, dtype=torch.float64)
    bias = torch.randn(outputs, dtype=torch.float64) if draw(st.booleans()) else None
    return x, weight, bias, few(1, 3), padding


@settings(deadline=None, max_examples=60)
@given(problems())
def test_three_ways_agree_with_torch(problem):
    x, weight, bias, stride, padding = problem
    expected = F.conv2d(x, weight, bias, stride=stride, padding=padding)
    for way in WAYS:
        torch.testing.assert_close(
            way(x, weight, bias, stride, padding), expected, rtol=1e-12, atol=1e-12
        )
    columns = layers.im2col(x, *weight.shape[2:], stride, padding)
    product = (weight.flatten(1) @ columns).unflatten(2, expected.shape[2:])
    if bias is not None:
        product = product + bias[:, None, None]
    torch.testing.assert_close(product, expected, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(problems())
def test_output_size_counts_the_places(problem):
    x, weight, bias, stride, padding = problem
    sides = [
        layers.output_size(x.shape[axis], weight.shape[axis], stride, padding) for axis in (2, 3)
    ]
    assert list(layers.conv2d(x, weight, bias, stride, padding).shape[2:]) == sides


def test_many_images_go_through_im2col_in_parts(monkeypatch):
    monkeypatch.setattr(layers, "_BLOCK", 500)
    x, weight = torch.randn(7, 2, 9, 8), torch.randn(3, 2, 3, 3)
    torch.testing.assert_close(
        layers.conv2d_im2col(x, weight), F.conv2d(x, weight), rtol=1e-5, atol=1e-5
    )


def test_images_in_another_memory_layout_give_the_same():
    x, weight = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    for changed in (
        x.to(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        for way in WAYS:
            torch.testing.assert_close(
                way(changed, weight), F.conv2d(x, weight), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("way", WAYS)
def test_gradients_flow(way):
    x = torch.randn(2, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *given: way(*given, stride=2, padding=1), (x, weight, bias)
    )


def test_scipy_says_what_is_correlation_and_what_convolution():
    x, weight = torch.randn(9, 8, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    ours = layers.conv2d(x[None, None], weight[None, None])[0, 0]
    true = layers.true_convolution(x[None, None], weight[None, None])[0, 0]
    torch.testing.assert_close(
        ours, torch.from_numpy(correlate2d(x, weight, mode="valid")), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(
        true, torch.from_numpy(convolve2d(x, weight, mode="valid")), rtol=1e-12, atol=1e-12
    )
    assert not torch.allclose(ours, true)


def test_flip_turns_by_180_degrees():
    turned = layers.flip(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert turned.tolist() == [[[[4, 3], [2, 1]]]]


@pytest.mark.parametrize(
    "stack", [[(3, 1)] * 3, [(3, 2), (3, 1)], [(7, 2), (3, 2), (5, 1)], [(1, 1)], []]
)
def test_receptive_field_is_where_the_gradient_is(stack):
    network = nn.Sequential(*[nn.Conv2d(1, 1, kernel, stride) for kernel, stride in stack])
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    x = torch.rand(1, 1, 61, 61, requires_grad=True)
    output = network(x)
    middle = output.shape[-1] // 2
    (gradient,) = torch.autograd.grad(output[0, 0, middle, middle], x)
    assert (gradient[0, 0] != 0).any(0).sum() == layers.receptive_field(stack)


def test_fully_connected_agrees_with_torch():
    x, weight, bias = torch.randn(4, 5), torch.randn(3, 5), torch.randn(3)
    torch.testing.assert_close(layers.fully_connected(x, weight, bias), F.linear(x, weight, bias))
    torch.testing.assert_close(layers.fully_connected(x, weight), F.linear(x, weight))


X, W = torch.ones(1, 2, 5, 5), torch.ones(3, 2, 3, 3)


# Without the shape checker of the tests, as a learner meets it.
@pytest.mark.parametrize("way", [inspect.unwrap(way) for way in WAYS])
@pytest.mark.parametrize(
    "given, words",
    [
        ((X[0], W), "x\\[None, None\\]"),
        ((X, torch.ones(3, 1, 3, 3)), "2 channels, the kernels 1"),
        ((X, W, torch.ones(2)), "each of the 3 output channels"),
        ((X, torch.ones(3, 2, 6, 3)), "make the kernel smaller"),
        ((X, W, None, 0), "stride >= 1"),
        ((X, W, None, 1, -1), "padding >= 0"),
        ((X, W.double()), "weight.to"),
    ],
)
def test_errors_name_the_mend(way, given, words):
    with pytest.raises(ValueError, match=words):
        way(*given)


@pytest.mark.parametrize(
    "given, words",
    [((X, W), "flatten"), ((torch.ones(2, 4), torch.ones(3, 5)), "same inputs"),
     ((torch.ones(2, 5), torch.ones(3, 5), torch.ones(5)), "each of the 3 outputs")],
)  # fmt: skip
def test_errors_of_the_fully_connected_layer(given, words):
    with pytest.raises(ValueError, match=words):
        inspect.unwrap(layers.fully_connected)(*given)
