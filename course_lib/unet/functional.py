"""The U-Net as pure functions of its weights, as in lesson 5's exercises, and its arithmetic.

The weights of a step are a tuple: ``(weight1, bias1, weight2, bias2)`` of its two 3x3 convolutions;
in the decoder, ``(up_weight, up_bias)`` of its 2x2 transposed convolution come first.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.unet.model import UNet, centre_crop

Maps = Float[Tensor, "batch channels height width"]
Skip = Float[Tensor, "batch _ _ _"]  # half as many channels as the maps below, and larger
Weights = Sequence[Tensor]


def two_convolutions(
    x: Maps, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor, *, padding: int = 0
) -> Float[Tensor, "batch out _ _"]:
    """Two 3x3 convolutions, each with ReLU: the bottleneck, and a part of every step."""
    x = F.relu(F.conv2d(x, weight1, bias1, padding=padding))
    return F.relu(F.conv2d(x, weight2, bias2, padding=padding))


def encoder_step(
    x: Maps, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor, *, padding: int = 0
) -> tuple[Float[Tensor, "batch out _ _"], Float[Tensor, "batch out _ _"]]:
    """Two 3x3 convolutions, each with ReLU: the map for the skip connection, and it max-pooled."""
    skip = two_convolutions(x, weight1, bias1, weight2, bias2, padding=padding)
    return skip, F.max_pool2d(skip, 2)


def decoder_step(
    x: Maps, skip: Skip, up_weight: Tensor, up_bias: Tensor, *weights: Tensor, padding: int = 0
) -> Float[Tensor, "batch out _ _"]:
    """Up-convolution, the centre of ``skip`` before its channels, then two 3x3 convolutions."""
    x = F.conv_transpose2d(x, up_weight, up_bias, stride=2)
    x = torch.cat([centre_crop(skip, x.shape[-2], x.shape[-1]), x], dim=1)
    return two_convolutions(x, *weights, padding=padding)


def pointwise_convolution(
    maps: Maps, weight: Float[Tensor, "out channels"], bias: Float[Tensor, " out"]
) -> Float[Tensor, "batch out height width"]:
    """A 1x1 convolution as a matrix product over the channels."""
    sums = weight @ maps.flatten(2) + bias[:, None]
    return sums.unflatten(2, maps.shape[-2:])


def unet_forward(
    x: Maps,
    encoder: Sequence[Weights],
    bottleneck: Weights,
    decoder: Sequence[Weights],
    output: Weights,
    padding: int = 0,
) -> Float[Tensor, "batch out _ _"]:
    """The whole network (Ronneberger et al., 2015, figure 1).

    Args:
        x: images.
        encoder: the weights of each step, from the first.
        bottleneck: of its two convolutions.
        decoder: the weights of each step, from the deepest.
        output: weight (out, channels) and bias (out,) of the 1x1 convolution.
        padding: of every 3x3 convolution, 0 or 1.
    """
    skips = []
    for weights in encoder:
        skip, x = encoder_step(x, *weights, padding=padding)
        skips.append(skip)
    x = two_convolutions(x, *bottleneck, padding=padding)
    for weights in decoder:
        x = decoder_step(x, skips.pop(), *weights, padding=padding)
    return pointwise_convolution(x, *output)


def step_weights(model: UNet) -> tuple[list[Weights], Weights, list[Weights], Weights]:
    """The parameters of a U-Net without normalisation, as :func:`unet_forward` takes them."""
    return (
        [tuple(step.parameters()) for step in model.encoder],
        tuple(model.bottleneck.parameters()),
        [tuple(step.parameters()) for step in model.decoder],
        (model.output.weight[:, :, 0, 0], model.output.bias),
    )


def step_tensors(model: UNet) -> tuple[list[Weights], Weights, list[Weights], Weights]:
    """As :func:`step_weights`, but detached tensors."""
    encoder, bottleneck, decoder, output = step_weights(model)
    return (
        [_detached(step) for step in encoder],
        _detached(bottleneck),
        [_detached(step) for step in decoder],
        _detached(output),
    )


def _detached(weights: Weights) -> Weights:
    return tuple(weight.detach() for weight in weights)


def unet_parameters(in_channels: int, out_channels: int, width: int, depth: int) -> int:
    """The number of parameters of a U-Net with biases everywhere and no normalisation."""
    total, inputs = width * out_channels + out_channels, in_channels
    for outputs in (width * 2**step for step in range(depth + 1)):
        total += 9 * inputs * outputs + outputs + 9 * outputs * outputs + outputs
        inputs = outputs
    for outputs in (width * 2**step for step in range(depth)):
        total += 4 * 2 * outputs * outputs + outputs  # the up-convolution
        total += 9 * 2 * outputs * outputs + outputs + 9 * outputs * outputs + outputs
    return total


def design_unet(field: int, budget: int, in_channels: int, out_channels: int) -> tuple[int, int]:
    """The smallest depth with the required receptive field, and the largest width in the budget.

    Args:
        field: the minimum side of the receptive field at the bottleneck, in pixels.
        budget: the maximum number of parameters.
        in_channels: of the images.
        out_channels: of the result.

    Returns:
        Depth and width; the width is 0 if even a width of 1 exceeds the budget.
    """
    depth = 0
    while bottleneck_field(depth) < field:
        depth += 1
    width = 0
    while unet_parameters(in_channels, out_channels, width + 1, depth) <= budget:
        width += 1
    return depth, width


def bottleneck_field(depth: int) -> int:
    """The side of the receptive field at the bottleneck, in pixels."""
    side, stride = 1, 1
    for _ in range(depth):
        side += 2 * 2 * stride + stride  # two 3x3 convolutions and a 2x2 pooling
        stride *= 2
    return side + 2 * 2 * stride
