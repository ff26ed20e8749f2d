"""Fully connected and convolutional layers by hand, and the convolution again in torch, to compare.

Convolution means here what deep learning calls so: cross-correlation, the kernel laid on the image
as it stands. :func:`true_convolution` turns it by 180 degrees first, as mathematics does.

Sources: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016),
https://arxiv.org/abs/1603.07285, for sizes, strides and padding; Chellapilla, Puri and Simard,
"High Performance Convolutional Neural Networks for Document Processing" (2006), section 2.2, for
im2col, https://inria.hal.science/inria-00112631; Cho and Brand, "MEC: Memory-efficient Convolution
for Deep Neural Network" (2017), https://arxiv.org/abs/1706.06873; Araujo, Norris and Sim,
"Computing Receptive Fields of Convolutional Neural Networks" (2019),
https://doi.org/10.23915/distill.00021.
"""

from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# How many numbers conv2d_im2col unfolds at once: 8 MiB in float32, so that they stay near the
# processor.
_BLOCK = 2**21

Images = Float[Tensor, "batch in_channels height width"]
Kernels = Float[Tensor, "out_channels in_channels kernel_height kernel_width"]
Maps = Float[Tensor, "batch out_channels out_height out_width"]
Bias = Float[Tensor, " out_channels"] | None


def fully_connected(
    x: Float[Tensor, "batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "batch outputs"]:
    """Every output is a weighted sum of every input: ``x @ weight.T + bias``.

    Raises:
        ValueError: if the inputs of ``x`` and ``weight``, or the outputs of ``weight`` and
            ``bias``, differ.
    """
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x is {_shape(x)} and weight {_shape(weight)}: give (batch, inputs) and (outputs, inputs) with the same "
            "inputs. An image becomes a row of inputs with x.flatten(1)."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias is {_shape(bias)}: give one number for each of the {weight.shape[0]} outputs."
        )
    output = x @ weight.T
    return output if bias is None else output + bias


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """How many places a kernel finds along one side of an image (Dumoulin and Visin, 2016,
    relationship 6).

    Args:
        size: pixels along that side.
        kernel: pixels of the kernel along that side.
        stride: pixels from one place to the next.
        padding: zeros added at each of the two ends.

    Raises:
        ValueError: if an argument is out of range, or the kernel doesn't fit even once.
    """
    if kernel < 1 or stride < 1 or padding < 0:
        raise ValueError(
            f"kernel {kernel}, stride {stride}, padding {padding}: need kernel and stride >= 1, padding >= 0."
        )
    if size + 2 * padding < kernel:
        raise ValueError(
            f"A kernel of {kernel} doesn't fit into {size} pixels with {padding} of padding on each side: "
            "make the kernel smaller or the padding larger."
        )
    return (size + 2 * padding - kernel) // stride + 1


def receptive_field(layers: Iterable[tuple[int, int]]) -> int:
    """How many input pixels, along one side, one output of a stack of layers sees (Araujo et al.,
    2019).

    Args:
        layers: (kernel, stride) of each layer, the first layer first.
    """
    field, jump = 1, 1  # jump: input pixels between two neighbouring outputs of the layers so far
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


def conv2d_loops(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Convolution as its definition reads: each output is a sum of products. Slow, and meant to be
    read.

    Args:
        x: images; zeros are added around them, ``padding`` on each side.
        weight: one kernel for each output channel, each as deep as the images have channels.
        bias: one number added to each output channel.
        stride: pixels from one place of the kernel to the next.
        padding: rows and columns of zeros around the image.

    Raises:
        ValueError: if shapes don't fit together; the message says which.
    """
    out_height, out_width = _check(x, weight, bias, stride, padding)
    x = F.pad(x, (padding,) * 4)
    kernel_height, kernel_width = weight.shape[2:]
    output = x.new_empty(len(x), len(weight), out_height, out_width)
    for image in range(len(x)):
        for channel in range(len(weight)):
            for row in range(out_height):
                for column in range(out_width):
                    top, left = row * stride, column * stride
                    window = x[image, :, top : top + kernel_height, left : left + kernel_width]
                    output[image, channel, row, column] = (window * weight[channel]).sum()
    return output if bias is None else output + bias[:, None, None]


def im2col(
    x: Images, kernel_height: int, kernel_width: int, stride: int = 1, padding: int = 0
) -> Float[Tensor, "batch window places"]:
    """Images to columns: each column holds the pixels under the kernel at one place.

    Returns:
        A matrix for each image, with ``in_channels * kernel_height * kernel_width`` rows (channel
        by channel, each read row by row) and a column for each of the ``out_height * out_width``
        places.
    """
    windows = _windows(F.pad(x, (padding,) * 4), kernel_height, kernel_width, stride, stride)
    batch, channels, _, _, out_height, out_width = windows.shape
    return windows.reshape(batch, channels * kernel_height * kernel_width, out_height * out_width)


def conv2d_im2col(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Convolution as matrix products: kernels as rows, times windows as columns.

    ``weight.flatten(1) @ im2col(...)`` is the whole idea, but most of its time goes into writing a
    matrix ``kernel_height * kernel_width`` times as large as the image. So only the width is
    unfolded
    here: the windows one pixel high, of every row of the image. The kernel's rows are then
    multiplied one by one with that same matrix, each starting a row of pixels further down, and
    added up (Cho and Brand, 2017). Arguments and errors are those of :func:`conv2d_loops`.
    """
    out_height, out_width = _check(x, weight, bias, stride, padding)
    windows = _windows(F.pad(x, (padding,) * 4), 1, weight.shape[3], 1, stride)
    output = x.new_empty(len(x), len(weight), out_height * out_width)
    at_once = max(1, _BLOCK // max(1, windows[0].numel()))
    for first in range(0, len(x), at_once):
        # Its axes: image, channel and kernel column, row of the image, place along the row.
        columns = windows[first : first + at_once].contiguous().flatten(1, 3)
        sums = output[first : first + at_once]
        for top in range(weight.shape[2]):
            rows = columns[:, :, top : top + (out_height - 1) * stride + 1 : stride].flatten(2)
            kernels = weight[:, :, top].flatten(1).expand(len(sums), -1, -1)
            sums.baddbmm_(kernels, rows, beta=min(top, 1))  # the first row writes, the others add
    output = output.unflatten(2, (out_height, out_width))
    return output if bias is None else output + bias[:, None, None]


def conv2d(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Convolution as torch does it. Arguments and errors are those of :func:`conv2d_loops`."""
    _check(x, weight, bias, stride, padding)
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def flip(weight: Kernels) -> Kernels:
    """Each kernel turned by 180 degrees: last row first, last column first."""
    return weight.flip(-2, -1)


def true_convolution(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Convolution as mathematics defines it: cross-correlation with the flipped kernel."""
    return conv2d(x, flip(weight), bias, stride, padding)


def _windows(x: Tensor, kernel_height: int, kernel_width: int, down: int, across: int) -> Tensor:
    """Every window of the kernel, (batch, channels, kernel rows, kernel columns, rows, columns),
    without a copy.

    One step within a window is one pixel; a step to the next window is ``down`` or ``across``
    pixels. Both are only strides over the same memory, so pixels that windows share are not stored
    twice.
    """
    batch, channels, height, width = x.shape
    places = output_size(height, kernel_height, down), output_size(width, kernel_width, across)
    to_image, to_channel, to_row, to_column = x.stride()
    return x.as_strided(
        (batch, channels, kernel_height, kernel_width, *places),
        (to_image, to_channel, to_row, to_column, to_row * down, to_column * across),
    )


def _check(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> tuple[int, int]:
    """Refuse what doesn't fit together, else return the height and width of the output."""
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"x is {_shape(x)} and weight {_shape(weight)}: give (batch, channels, height, width) and (out_channels, "
            "in_channels, kernel_height, kernel_width). A grey image gets both missing axes with x[None, None]."
        )
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"The images have {x.shape[1]} channels, the kernels {weight.shape[1]}: a kernel is as deep as its input."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias is {_shape(bias)}: give one number for each of the {len(weight)} output channels."
        )
    if x.dtype != weight.dtype:
        raise ValueError(
            f"The images are {x.dtype}, the kernels {weight.dtype}: make them one with weight.to(x.dtype)."
        )
    height = output_size(x.shape[2], weight.shape[2], stride, padding)
    return height, output_size(x.shape[3], weight.shape[3], stride, padding)


def _shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "a single number"
