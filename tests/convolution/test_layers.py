"""The three implementations of convolution agree with torch and SciPy, for random shapes."""

import functools
import inspect

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate2d
from torch import nn

from course_lib.convolution import layers

IMPLEMENTATIONS = [layers.conv2d_loops, layers.conv2d_im2col, layers.conv2d]


@st.composite
def convolution_arguments(draw):
    """Valid arguments of a convolution: x, weight, bias or None (float64), stride and padding."""

    def integer(low, high):
        return draw(st.integers(low, high))

    kernel = (integer(1, 4), integer(1, 4))
    padding = integer(0, 2)
    height, width = (integer(max(1, side - 2 * padding), 8) for side in kernel)
    batch, in_channels, out_channels = integer(1, 2), integer(1, 3), integer(1, 3)
    torch.manual_seed(integer(0, 99))
    x = torch.randn(batch, in_channels, height, width, dtype=torch.float64)
    weight = torch.randn(out_channels, in_channels, *kernel, dtype=torch.float64)
    bias = torch.randn(out_channels, dtype=torch.float64) if draw(st.booleans()) else None
    return x, weight, bias, integer(1, 3), padding


@settings(deadline=None, max_examples=60)
@given(convolution_arguments())
def test_implementations_agree_with_torch(problem):
    x, weight, bias, stride, padding = problem
    expected = F.conv2d(x, weight, bias, stride=stride, padding=padding)
    for convolve in IMPLEMENTATIONS:
        output = convolve(x, weight, bias, stride, padding)
        torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    columns = layers.im2col(x, *weight.shape[2:], stride, padding)
    product = (weight.flatten(1) @ columns).unflatten(2, expected.shape[2:])
    if bias is not None:
        product = product + bias[:, None, None]
    torch.testing.assert_close(product, expected, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(convolution_arguments())
def test_output_size_matches_the_output(problem):
    x, weight, bias, stride, padding = problem
    sides = [
        layers.output_size(x.shape[axis], weight.shape[axis], stride, padding) for axis in (2, 3)
    ]
    assert list(layers.conv2d(x, weight, bias, stride, padding).shape[2:]) == sides


def test_im2col_processes_many_images_in_chunks(monkeypatch):
    monkeypatch.setattr(layers, "_VALUES_PER_CHUNK", 500)
    x, weight = torch.randn(7, 2, 9, 8), torch.randn(3, 2, 3, 3)
    torch.testing.assert_close(
        layers.conv2d_im2col(x, weight), F.conv2d(x, weight), rtol=1e-5, atol=1e-5
    )


def test_memory_layout_does_not_change_the_output():
    x, weight = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    expected = F.conv2d(x, weight)
    for restrided in (
        x.to(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        for convolve in IMPLEMENTATIONS:
            torch.testing.assert_close(convolve(restrided, weight), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("convolve", IMPLEMENTATIONS)
def test_gradients_are_correct(convolve):
    x = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    strided = functools.partial(convolve, stride=2, padding=1)
    assert torch.autograd.gradcheck(strided, (x, weight, bias))


def test_correlation_and_true_convolution_agree_with_scipy():
    x, weight = torch.randn(9, 8, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    correlated = layers.conv2d(x[None, None], weight[None, None])[0, 0]
    convolved = layers.true_convolution(x[None, None], weight[None, None])[0, 0]
    close = {"rtol": 1e-12, "atol": 1e-12}
    expected = torch.from_numpy(correlate2d(x, weight, mode="valid"))
    torch.testing.assert_close(correlated, expected, **close)
    expected = torch.from_numpy(convolve2d(x, weight, mode="valid"))
    torch.testing.assert_close(convolved, expected, **close)
    assert not torch.allclose(correlated, convolved)


def test_flip_rotates_by_180_degrees():
    flipped = layers.flip(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert flipped.tolist() == [[[[4, 3], [2, 1]]]]


@pytest.mark.parametrize(
    "stack", [[(3, 1)] * 3, [(3, 2), (3, 1)], [(7, 2), (3, 2), (5, 1)], [(1, 1)], []]
)
def test_receptive_field_is_the_extent_of_the_gradient(stack):
    network = nn.Sequential(*[nn.Conv2d(1, 1, kernel, stride) for kernel, stride in stack])
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    x = torch.rand(1, 1, 61, 61, requires_grad=True)
    output = network(x)
    centre = output.shape[-1] // 2
    (gradient,) = torch.autograd.grad(output[0, 0, centre, centre], x)
    assert (gradient[0, 0] != 0).any(0).sum() == layers.receptive_field(stack)


def test_fully_connected_agrees_with_torch():
    x, weight, bias = torch.randn(4, 5), torch.randn(3, 5), torch.randn(3)
    torch.testing.assert_close(layers.fully_connected(x, weight, bias), F.linear(x, weight, bias))
    torch.testing.assert_close(layers.fully_connected(x, weight), F.linear(x, weight))


X, W = torch.ones(1, 2, 5, 5), torch.ones(3, 2, 3, 3)


def error_message(function, *arguments) -> str:
    """The error message that a learner sees, without the tests' runtime shape checker, which would
    raise first.
    """
    with pytest.raises(ValueError) as error:
        inspect.unwrap(function)(*arguments)
    return str(error.value)


@pytest.mark.parametrize("convolve", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            (X[0], W),
            "x is 2x5x5 and weight 3x2x3x3: give (batch, channels, height, width) and "
            "(out_channels, in_channels, kernel_height, kernel_width). For a grey image, add both "
            "missing axes with x[None, None].",
        ),
        (
            (X, W[0]),
            "x is 1x2x5x5 and weight 2x3x3: give (batch, channels, height, width) and "
            "(out_channels, in_channels, kernel_height, kernel_width). For a grey image, add both "
            "missing axes with x[None, None].",
        ),
        (
            (X, torch.ones(3, 1, 3, 3)),
            "The images have 2 channels, the kernels 1: both must be the same.",
        ),
        (
            (X, W, torch.ones(2)),
            "bias is 2: give one number for each of the 3 output channels.",
        ),
        (
            (X, W, torch.tensor(1.0)),
            "bias is a scalar: give one number for each of the 3 output channels.",
        ),
        (
            (X, torch.ones(3, 2, 6, 3)),
            "A kernel of 6 doesn't fit into 5 pixels with 0 of padding on each side: make the "
            "kernel smaller or the padding larger.",
        ),
        (
            (X, torch.ones(3, 2, 3, 9), None, 1, 1),
            "A kernel of 9 doesn't fit into 5 pixels with 1 of padding on each side: make the "
            "kernel smaller or the padding larger.",
        ),
        (
            (X, W, None, 0),
            "kernel 3, stride 0, padding 0: kernel and stride must be at least 1, padding at "
            "least 0.",
        ),
        (
            (X, W, None, 1, -1),
            "kernel 3, stride 1, padding -1: kernel and stride must be at least 1, padding at "
            "least 0.",
        ),
        (
            (X, W.double()),
            "The images are torch.float32, the kernels torch.float64: convert the kernels with "
            "weight.to(x.dtype).",
        ),
    ],
)
def test_convolution_errors_name_the_fix(convolve, arguments, message):
    assert error_message(convolve, *arguments) == message


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            (X, torch.ones(3, 2)),
            "x is 1x2x5x5 and weight 3x2: give (batch, inputs) and (outputs, inputs) with the same "
            "number of inputs. Flatten images with x.flatten(1).",
        ),
        (
            (torch.ones(2, 4), torch.ones(3, 4, 1)),
            "x is 2x4 and weight 3x4x1: give (batch, inputs) and (outputs, inputs) with the same "
            "number of inputs. Flatten images with x.flatten(1).",
        ),
        (
            (torch.ones(2, 4), torch.ones(3, 5)),
            "x is 2x4 and weight 3x5: give (batch, inputs) and (outputs, inputs) with the same "
            "number of inputs. Flatten images with x.flatten(1).",
        ),
        (
            (torch.ones(2, 5), torch.ones(3, 5), torch.ones(5)),
            "bias is 5: give one number for each of the 3 outputs.",
        ),
    ],
)
def test_fully_connected_errors_name_the_fix(arguments, message):
    assert error_message(layers.fully_connected, *arguments) == message


def test_smallest_valid_arguments_of_output_size():
    assert layers.output_size(1, 1) == 1 and layers.output_size(3, 3, 1, 0) == 1
    assert layers.output_size(3, 5, 1, 1) == 1
    assert "doesn't fit into 3 pixels" in error_message(layers.output_size, 3, 6, 1, 1)
    assert "kernel 0, stride 1" in error_message(layers.output_size, 3, 0)


def test_true_convolution_forwards_all_arguments():
    x, weight, bias = torch.randn(1, 2, 7, 7), torch.randn(3, 2, 3, 3), torch.randn(3)
    torch.testing.assert_close(
        layers.true_convolution(x, weight, bias, 2, 1),
        F.conv2d(x, weight.flip(2, 3), bias, stride=2, padding=1),
    )


def test_im2col_defaults_to_stride_1_without_padding():
    x = torch.randn(1, 2, 5, 6)
    assert torch.equal(layers.im2col(x, 3, 3), layers.im2col(x, 3, 3, 1, 0))
    assert torch.equal(layers.im2col(x, 3, 3), F.unfold(x, 3))
