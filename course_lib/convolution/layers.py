"""Fully connected and convolutional layers from scratch; torch's convolution for comparison.

"Convolution" has its deep-learning meaning here: cross-correlation, without flipping the kernel.
:func:`true_convolution` rotates the kernel by 180 degrees first, as in mathematics.

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

# conv2d_im2col unfolds this many values at a time: 8 MiB in float32, to fit into the cache.
_VALUES_PER_CHUNK = 2**21

Images = Float[Tensor, "batch in_channels height width"]
Kernels = Float[Tensor, "out_channels in_channels kernel_height kernel_width"]
Maps = Float[Tensor, "batch out_channels out_height out_width"]
Bias = Float[Tensor, " out_channels"] | None


def fully_connected(
    x: Float[Tensor, "batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "batch outputs"]:
    """Every output is a weighted sum of all inputs: ``x @ weight.T + bias``.

    Raises:
        ValueError: if ``x`` and ``weight`` differ in the number of inputs, or ``weight`` and
            ``bias`` in the number of outputs.
    """
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x is {_shape(x)} and weight {_shape(weight)}: give (batch, inputs) and "
            "(outputs, inputs) with the same number of inputs. Flatten images with x.flatten(1)."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias is {_shape(bias)}: give one number for each of the {weight.shape[0]} outputs."
        )
    output = x @ weight.T
    return output if bias is None else output + bias


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """The output size of a convolution along one axis (Dumoulin and Visin, 2016, relationship 6).

    Args:
        size: input size in pixels.
        kernel: kernel size in pixels.
        stride: distance in pixels between neighbouring kernel positions.
        padding: zeros added on each side.

    Raises:
        ValueError: if an argument is out of range, or the kernel is larger than the padded input.
    """
    if kernel < 1 or stride < 1 or padding < 0:
        raise ValueError(
            f"kernel {kernel}, stride {stride}, padding {padding}: "
            "kernel and stride must be at least 1, padding at least 0."
        )
    if size + 2 * padding < kernel:
        raise ValueError(
            f"A kernel of {kernel} doesn't fit into {size} pixels with {padding} of padding on "
            "each side: make the kernel smaller or the padding larger."
        )
    return (size + 2 * padding - kernel) // stride + 1


def receptive_field(layers: Iterable[tuple[int, int]]) -> int:
    """The receptive field of a stack of layers, in input pixels along one axis.

    Araujo et al. (2019).

    Args:
        layers: (kernel, stride) of each layer, from the input.
    """
    field = 1
    jump = 1  # input pixels between neighbouring outputs of the layers so far
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


def conv2d_loops(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Convolution by its definition, in nested loops: each output is a sum of products. Slow.

    Args:
        x: the images.
        weight: one kernel per output channel.
        bias: one value per output channel.
        stride: distance in pixels between neighbouring kernel positions.
        padding: rows and columns of zeros added on each side of the images.

    Raises:
        ValueError: if the shapes don't match.
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
) -> Float[Tensor, "batch window positions"]:
    """Image to columns: each column holds the window of the kernel at one position.

    Returns:
        One matrix per image with ``in_channels * kernel_height * kernel_width`` rows (channels
        first, then kernel rows, then kernel columns) and ``out_height * out_width`` columns.
    """
    windows = _windows(F.pad(x, (padding,) * 4), kernel_height, kernel_width, stride, stride)
    batch, channels, _, _, out_height, out_width = windows.shape
    return windows.reshape(batch, channels * kernel_height * kernel_width, out_height * out_width)


def conv2d_im2col(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Convolution as matrix multiplication: kernels as rows, windows as columns.

    The basic idea is ``weight.flatten(1) @ im2col(...)``, which spends most of its time writing
    a matrix ``kernel_height * kernel_width`` times as large as the image. So only the width is
    unfolded here, into windows one pixel high (Cho and Brand, 2017). Each kernel row is multiplied
    by the same matrix, shifted down by one image row each time, and the products are summed.
    Arguments and errors: see :func:`conv2d_loops`.
    """
    out_height, out_width = _check(x, weight, bias, stride, padding)
    windows = _windows(F.pad(x, (padding,) * 4), 1, weight.shape[3], 1, stride)
    output = x.new_empty(len(x), len(weight), out_height * out_width)
    chunk = max(1, _VALUES_PER_CHUNK // max(1, windows[0].numel()))  # images
    for first in range(0, len(x), chunk):
        # axes: image; channel and kernel column; image row; position in the row
        columns = windows[first : first + chunk].contiguous().flatten(1, 3)
        sums = output[first : first + chunk]
        for top in range(weight.shape[2]):
            rows = columns[:, :, top : top + (out_height - 1) * stride + 1 : stride].flatten(2)
            kernels = weight[:, :, top].flatten(1).expand(len(sums), -1, -1)
            sums.baddbmm_(kernels, rows, beta=min(top, 1))  # 0 overwrites, 1 adds
    output = output.unflatten(2, (out_height, out_width))
    return output if bias is None else output + bias[:, None, None]


def conv2d(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """torch's convolution. Arguments and errors: see :func:`conv2d_loops`."""
    _check(x, weight, bias, stride, padding)
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def flip(weight: Kernels) -> Kernels:
    """The kernels rotated by 180 degrees: rows and columns in reverse order."""
    return weight.flip(-2, -1)


def true_convolution(
    x: Images, weight: Kernels, bias: Bias = None, stride: int = 1, padding: int = 0
) -> Maps:
    """Mathematical convolution: cross-correlation with the flipped kernel."""
    return conv2d(x, flip(weight), bias, stride, padding)


def _windows(
    x: Tensor, kernel_height: int, kernel_width: int, vertical_stride: int, horizontal_stride: int
) -> Tensor:
    """All kernel windows as a view: (batch, channels, kernel_height, kernel_width, rows,
    columns).

    Steps within a window and between windows are strides over the same memory, so overlapping
    windows share pixels without copies.
    """
    batch, channels, height, width = x.shape
    rows = output_size(height, kernel_height, vertical_stride)
    columns = output_size(width, kernel_width, horizontal_stride)
    batch_stride, channel_stride, row_stride, column_stride = x.stride()
    window_strides = (row_stride * vertical_stride, column_stride * horizontal_stride)
    return x.as_strided(
        (batch, channels, kernel_height, kernel_width, rows, columns),
        (batch_stride, channel_stride, row_stride, column_stride, *window_strides),
    )


def _check(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> tuple[int, int]:
    """Check shapes and dtypes, and return the height and width of the output."""
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(
            f"x is {_shape(x)} and weight {_shape(weight)}: give (batch, channels, height, width) "
            "and (out_channels, in_channels, kernel_height, kernel_width). For a grey image, add "
            "both missing axes with x[None, None]."
        )
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"The images have {x.shape[1]} channels, the kernels {weight.shape[1]}: "
            "both must be the same."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"bias is {_shape(bias)}: "
            f"give one number for each of the {len(weight)} output channels."
        )
    if x.dtype != weight.dtype:
        raise ValueError(
            f"The images are {x.dtype}, the kernels {weight.dtype}: "
            "convert the kernels with weight.to(x.dtype)."
        )
    height = output_size(x.shape[2], weight.shape[2], stride, padding)
    return height, output_size(x.shape[3], weight.shape[3], stride, padding)


def _shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "a scalar"
