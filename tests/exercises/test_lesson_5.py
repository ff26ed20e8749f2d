"""Lesson 5: references pass, and the visible check's message identifies the mistake in each wrong
solution, which is the reference with some text replaced.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.checks import call
from course_lib.unet import UNet, functional
from tests.support.attempts import attempt, exercise, mutate

LESSON = "05_unet"
NAMES = {
    "math": math,
    "torch": torch,
    "nn": nn,
    "F": F,
    "call": call,
    "UNet": UNet,
    "functional": functional,
}
_FIRST = "x = F.relu(F.conv2d(x, weight1, bias1, padding=padding))"
_BOTTLENECK = (
    "    weight1, bias1, weight2, bias2 = bottleneck\n"
    "    x = F.relu(F.conv2d(x, weight1, bias1, padding=padding))\n"
    "    x = F.relu(F.conv2d(x, weight2, bias2, padding=padding))\n"
)

WRONG = {
    "unet-output-size": [
        ([("size -= 4\n        if size < 2", "if size < 2")], ""),
        ([(" or size % 2", "")], ""),
        ([("size //= 2", "size /= 2")], ""),
        ([("    size -= 4\n    for", "    for")], ""),
        ([("2 * size - 4", "2 * size")], ""),
        ([("2 * size - 4", "2 * size - 2")], ""),
        ([("size if size >= 1 else None", "size")], ""),
        ([("size if size >= 1 else None", "max(size, 0)")], ""),
        ([("return None", "return 0")], ""),
        ([("return size if", "return 388 if")], ""),
        (
            [
                (
                    "for _ in range(depth):\n        size -= 4",
                    "for _ in range(4):\n        size -= 4",
                )
            ],
            "",
        ),
    ],
    "transposed-convolution": [
        ([("+= x[row", "= x[row")], "add them"),
        ([("row * stride, column * stride", "row, column")], ""),
        ([("row * stride, column * stride", "2 * row, 2 * column")], ""),
        ([("* kernel", "* kernel.flip(0, 1)")], "flip the kernel"),
        ([("* kernel", "* kernel.T")], ""),
        ([("x[row, column] * kernel", "x.T[row, column] * kernel")], ""),
        (
            [
                (
                    "(height - 1) * stride + rows, (width - 1) * stride + columns",
                    "height * stride, width * stride",
                )
            ],
            "large enough",
        ),
        ([("(height - 1) * stride + rows", "(width - 1) * stride + rows")], ""),
        ([("(height - 1) * stride", "height * stride")], ""),
        (
            [
                (
                    "(height - 1) * stride + rows, (width - 1) * stride + columns",
                    "height + rows - 1, width + columns - 1",
                ),
                ("row * stride, column * stride", "row, column"),
            ],
            "not one",
        ),
        ([("rows, columns = kernel.shape", "rows, columns = 2, 2")], ""),
        ([("return output", "return None")], ""),
    ],
    "encoder-step": [
        ([("(x, weight2, bias2", "(x, weight1, bias1")], "weight1 first"),
        (
            [(_FIRST, "x = F.conv2d(x, weight1, bias1, padding=padding)")],
            "first convolution directly",
        ),
        (
            [
                (
                    "skip = F.relu(F.conv2d(x, weight2, bias2, padding=padding))",
                    "skip = F.conv2d(x, weight2, bias2, padding=padding)",
                )
            ],
            "second convolution too",
        ),
        ([("return skip, F.max_pool2d(skip, 2)", "return skip")], "tuple or a list"),
        (
            [("return skip, F.max_pool2d(skip, 2)", "return F.max_pool2d(skip, 2), skip")],
            "skip first",
        ),
        ([("F.max_pool2d(skip, 2)", "F.avg_pool2d(skip, 2)")], "max pooling"),
        ([("F.max_pool2d(skip, 2)", "F.max_pool2d(skip, 2, stride=1)")], "max pooling"),
        ([("F.max_pool2d(skip, 2)", "F.max_pool2d(x, 2)")], ""),
        ([("padding=padding", "padding=1")], "don't pad"),
        ([(", padding=padding", "")], "Use padding in both"),
        ([("(x, weight1, bias1, p", "(x, weight1, None, p")], "both biases"),
        ([("(x, weight2, bias2,", "(x, weight2, None,")], "both biases"),
        ([(_FIRST, "x = F.relu(x)\n    " + _FIRST)], "before the first"),
        ([(_FIRST, "x.relu_()\n    " + _FIRST)], ""),
        ([("return ", "")], "returned None"),
    ],
    "decoder-step": [
        (
            [("top : top + x.shape[-2], left : left + x.shape[-1]", "top:-top, left:-left")],
            ":-0 is empty",
        ),
        (
            [
                (
                    "top : top + x.shape[-2], left : left + x.shape[-1]",
                    ": x.shape[-2], : x.shape[-1]",
                )
            ],
            "top left corner",
        ),
        ([("[cropped, x]", "[x, cropped]")], "come second"),
        ([("left = (skip.shape[-1] - x.shape[-1]) // 2", "left = top")], ""),
        (
            [
                (
                    "x = F.conv_transpose2d(x, up_weight, up_bias, stride=2)",
                    "x = F.relu(F.conv_transpose2d(x, up_weight, up_bias, stride=2))",
                )
            ],
            "No ReLU",
        ),
        ([("up_weight, up_bias, stride=2", "up_weight, None, stride=2")], "three biases"),
        ([("up_weight, up_bias, stride=2", "up_weight, up_bias")], ""),
        (
            [("    " + _FIRST + "\n", "    x = F.conv2d(x, weight1, bias1, padding=padding)\n")],
            "first 3x3",
        ),
        (
            [
                (
                    "return F.relu(F.conv2d(x, weight2, bias2, padding=padding))",
                    "return F.conv2d(x, weight2, bias2, padding=padding)",
                )
            ],
            "second one too",
        ),
        (
            [
                (
                    "cropped = skip[..., top : top + x.shape[-2], left : left + x.shape[-1]]",
                    "cropped = skip",
                )
            ],
            "cropped",
        ),
        (
            [
                (
                    "cropped = skip[..., top : top + x.shape[-2], left : left + x.shape[-1]]",
                    "cropped = F.interpolate(skip, x.shape[-2:])",
                )
            ],
            "",
        ),
        ([("padding=padding", "padding=1")], "don't pad"),
        ([("torch.cat([cropped, x], dim=1)", "torch.cat([cropped, x], dim=0)")], "stopped"),
        ([("torch.cat([cropped, x], dim=1)", "cropped + x")], "stopped"),
        ([("return ", "")], "returned None"),
    ],
    "one-by-one": [
        ([("bias[:, None]", "bias")], "column"),
        ([(" + bias[:, None]", "")], "Add the bias"),
        ([("sums.unflatten(2, maps.shape[-2:])", "sums")], "Restore"),
        ([("weight @ maps.flatten(2)", "weight.T @ maps.flatten(2)")], "stopped"),
        ([("maps.flatten(2)", "maps.flatten(1)")], "stopped"),
        ([("bias[:, None]", "bias.sum()")], ""),
        ([("weight @", "weight.flip(0) @")], ""),
        ([("weight @ maps", "weight.abs() @ maps")], ""),
        ([("return ", "")], "returned None"),
    ],
    "unet-forward": [
        ([("skips.pop()", "skips.pop(0)")], ""),
        (
            [
                (
                    _BOTTLENECK,
                    "    _, x = functional.encoder_step(x, *bottleneck, padding=padding)\n",
                )
            ],
            "",
        ),
        ([(_BOTTLENECK, "")], ""),
        ([(_BOTTLENECK.split("\n", 1)[1], "")], ""),
        ([("conv2d(x, weight1, bias1, padding=padding)", "conv2d(x, weight1, bias1)")], ""),
        ([("for weights in decoder", "for weights in decoder[::-1]")], ""),
        ([("for weights in encoder", "for weights in encoder[::-1]")], ""),
        ([("return functional.pointwise_convolution(x, *output)", "return x")], ""),
        ([("*weights, padding=padding", "*weights, padding=0")], "padding"),
        ([("skips.append(skip)", "skips.append(x)")], ""),
        ([("skip, x = functional", "x, skip = functional")], ""),
        ([("(x, *output)", "(x, output[0], 0 * output[1])")], "other numbers"),
        ([("return ", "")], "returned None"),
    ],
    "unet-parameters": [
        ([("before * after + after", "before * after")], "biases"),
        ([("layer(3, 2 * after, after)", "layer(3, after, after)")], "copied channels"),
        ([("range(depth + 1)", "range(depth)")], ""),
        ([("layer(2, 2 * after, after)", "layer(3, 2 * after, after)")], ""),
        ([("layer(2, 2 * after, after)", "layer(2, after, after)")], ""),
        ([("total + layer(1, width, out_channels)", "total")], ""),
        ([("layer(1, width, out_channels)", "width * out_channels")], ""),
        ([("before = in_channels", "before = 1")], ""),
        ([("        before = after\n", "")], ""),
        ([("return total", "return float(total)")], ""),
    ],
    "design-unet": [
        ([("while side < field", "while side <= field")], "5 pixels"),
        ([("stride // 2 + 4 * stride", "4 * stride")], "14"),
        ([("depth, side, stride = 0, 5, 1", "depth, side, stride = 0, 3, 1")], ""),
        ([("<= budget", "< budget")], ""),
        ([("width = 0", "width = 1")], ""),
        ([("return depth, width", "return width, depth")], ""),
        ([("return depth, width", "return depth, width + 1")], ""),
        ([("side += stride // 2 + 4 * stride", "side *= 2")], ""),
        ([("(in_channels, out_channels, width + 1, depth)", "(1, 2, width + 1, depth)")], None),
        ([("stride *= 2", "stride += 2")], ""),
        ([("return depth, width", "return depth")], "tuple or a list"),
        ([("return depth, width", "return 4, 64")], ""),
    ],
    "added-errors": [
        ([("distance > low", "distance >= low")], "low itself"),
        ([("distance <= high", "distance < high")], "4 pixels"),
        ([(" & (distance <= high)", "")], ""),
        ([("((before != truth) & inside)", "(before != truth)")], ""),
        ([("wrong_after - wrong_before", "wrong_before - wrong_after")], "After minus before"),
        ([("wrong_after - wrong_before", "wrong_after")], "*added*"),
        ([("wrong_after - wrong_before", "abs(wrong_after - wrong_before)")], "negative"),
        (
            [("(after != truth) & inside", "(after != before) & inside"), (" - wrong_before", "")],
            "",
        ),
        (
            [
                ("(after != truth)", "(after != truth) & (before == truth)"),
                ("- wrong_before", ""),
            ],
            "wrong before, 1 after",
        ),
        ([("wrong_after - wrong_before", "int(((after != before) & inside).sum())")], ""),
        ([("100 * added", "added")], "Percentage points"),
        ([("int(inside.sum())", "truth.numel()")], "not by all 8"),
        ([("int(inside.sum())", "wrong_before")], "former errors"),
        ([("max(int(inside.sum()), 1)", "int(inside.sum())")], "ZeroDivisionError"),
        ([("max(int(inside.sum()), 1)", "inside.sum()")], "No pixel is that far"),
        ([("return added, 100", "return 100")], "tuple or a list"),
        ([("return added, ", "return inside, ")], "single numbers"),
        ([("return ", "")], "returned None"),
    ],
    "denoising-loss": [
        ([("model(noisy)", "model(images)")], "*noisy* images"),
        ([("images + noise_level * noise", "images + noise")], "Scale the noise"),
        ([("images + noise_level * noise", "images - noise_level * noise")], "The input is"),
        ([("images + noise_level * noise", "images + noise_level**0.5 * noise")], "The input is"),
        ([("images + noise_level * noise", "images + 0.5 * noise")], "Use noise_level"),
        (
            [("noisy = images", "noise = torch.randn_like(images)\n    noisy = images")],
            "with the given noise",
        ),
        ([("noise)\n    ### END", "noise_level * noise)\n    ### END")], "before* it is scaled"),
        ([("noise)\n    ### END", "images)\n    ### END")], "not the images"),
        ([("noise)\n    ### END", "noisy)\n    ### END")], ""),
        ([("F.mse_loss(model(noisy), noise)", "((model(noisy) - noise) ** 2).sum()")], "their sum"),
        ([("F.mse_loss(model(noisy), noise)", "(model(noisy) - noise) ** 2")], "one number"),
        ([("F.mse_loss", "F.l1_loss")], "Square the errors"),
        ([("F.mse_loss(model(noisy), noise)", "F.mse_loss(model(noisy), noise) ** 0.5")], ""),
        ([("model(noisy), noise)", "-model(noisy), noise)")], "prediction"),
        ([("model(noisy), noise)", "model(noisy).detach(), noise)")], "gradient"),
        ([("F.mse_loss(model(noisy), noise)", "float(F.mse_loss(model(noisy), noise))")], ""),
        ([("model(noisy), noise)", "noise, noise)")], "Call the model"),
        ([("return ", "")], "returned None"),
    ],
    "psnr-of-a-loss": [
        ([("2**2 /", "1 /")], "range is 2"),
        ([("2**2 /", "2 /")], "*square* of the range"),
        ([("noise_level**2 * loss", "loss")], "noise_level times"),
        ([("noise_level**2 * loss", "noise_level * loss")], "scaled by its square"),
        ([("noise_level**2 * loss", "0.5**2 * loss")], "6.02 dB"),
        (
            [("noise_level**2 * loss", "(noise_level if noise_level == 1 else 0.5) ** 2 * loss")],
            "Use",
        ),
        ([("math.log10", "math.log")], "6.02 dB"),
        ([("10 * math.log10(", "10 * math.log10(1 / ("), ("loss))", "loss)))")], ""),
        ([("10 * math", "20 * math")], ""),
        ([("    if loss == 0:\n        return math.inf\n", "")], "ZeroDivisionError"),
        ([("return math.inf", "return 0.0")], "return math.inf"),
        ([("return 10", "10")], "returned None"),
    ],
}
CASES = [(name, index) for name, wrong in WRONG.items() for index in range(len(wrong))]


@pytest.mark.parametrize("name", WRONG)
def test_reference_passes(name):
    assert attempt(LESSON, name, exercise(LESSON, name).solution, NAMES) == ("", 1.0)


@pytest.mark.parametrize(("name", "index"), CASES)
def test_wrong_solution_gets_a_specific_message(name, index):
    """The visible check fails with a message that contains the second entry of the row; None means
    that only the hidden cases find the mistake.

    An exercise whose visible check fails earns nothing.
    """
    changes, expected = WRONG[name][index]
    source = mutate(exercise(LESSON, name).solution, *changes)
    message, score = attempt(LESSON, name, source, NAMES)
    if expected is None:
        assert score < 1
    else:
        assert message, "the visible check lets it pass"
        assert expected in message


def test_there_are_sixty_wrong_solutions():
    assert len(CASES) >= 60


def test_bottleneck_of_one_pixel_is_not_pooled():
    """A padded network of depth 3 accepts 8 x 8 images, whose bottleneck has one position."""
    network = UNet(3, 2, width=2, depth=3, normalisation="none").eval()
    images = torch.rand(1, 3, 8, 8)
    weights = functional.step_tensors(network)
    scores = functional.unet_forward(images, *weights, padding=1)
    assert torch.allclose(scores, network(images), atol=1e-5)
    names = dict(NAMES)
    exec(exercise(LESSON, "unet-forward").solution, names)
    assert torch.allclose(names["unet_forward"](images, *weights, padding=1), scores, atol=1e-5)
