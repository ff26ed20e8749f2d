"""Lesson 4: references pass, and the visible check's message identifies the mistake in each wrong
solution, which is the reference with some text replaced.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.checks import call
from course_lib.compression import jpeg
from tests.support.attempts import attempt, exercise, mutate

LESSON = "04_reducing_data"
NAMES = {"torch": torch, "nn": nn, "F": F, "math": math, "call": call, "W": jpeg.dct_matrix()}

WRONG = {
    "jpeg-block": [
        ([("W @ (pixels - 128) @ W.T / steps", "W @ ((pixels - 128) / steps) @ W.T")], "belongs"),
        ([("W.T @ (numbers * steps) @ W", "(W.T @ numbers @ W) * steps")], "before the inverse"),
        ([("@ W.T / steps", "@ W.T / steps.T")], "transposed"),
        ([("@ W.T / steps", "@ W.T / steps.mean()")], "a step belongs to a wave"),
        ([("(pixels - 128)", "pixels")], "subtract 128"),
        ([(".round()", "")], ""),
        ([(".round()", ".trunc()")], "nearest"),
        ([(".round()", ".floor()")], ""),
        ([("(numbers * steps)", "numbers")], ""),
        (
            [(" + 128\n", "\n"), ("decoded.clamp(0, 255)", "decoded.clamp(0, 255) + 128")],
            "before you",
        ),
        ([("decoded.clamp(0, 255)", "decoded")], "Clamp"),
        ([("decoded.clamp(0, 255)", "decoded.clamp(0, 255).round()")], "Don't round"),
        ([("W @ (pixels - 128) @ W.T", "W.T @ (pixels - 128) @ W")], ""),
        ([("W @ (pixels - 128) @ W.T", "W @ (pixels - 128)")], ""),
        (
            [("numbers = (W", "pixels -= 128\n    numbers = (W"), ("(pixels - 128)", "pixels")],
            "no -=",
        ),
        ([("return numbers, ", "return ")], "tuple or a list"),
        ([("return numbers, decoded.clamp(0, 255)", "pass")], "returned None"),
        ([("decoded = ", "decoded = numbers * steps  # ")], ""),
    ],
    "run-lengths": [
        ([("(zeros, number)", "(number, zeros)")], "zeros come first"),
        ([("            zeros = 0\n", "")], "count from 0"),
        ([("pairs + [(0, 0)] if zeros else pairs", "pairs")], "one last pair"),
        ([("pairs + [(0, 0)] if zeros else pairs", "pairs + [(0, 0)]")], "so no pair"),
        (
            [("pairs + [(0, 0)] if zeros else pairs", "pairs + [(zeros, 0)] if zeros else pairs")],
            "",
        ),
        ([("pairs + [(0, 0)] if", "pairs + [(0, 0)] * zeros if")], "one pair"),
        (
            [("            zeros += 1\n", "            pairs.append((0, 0))\n")],
            "pairs of their own",
        ),
        ([("pairs.append((zeros, number))", "pairs.append(number)")], "Each entry is a pair"),
        ([("for number in numbers:", "while numbers:\n        number = numbers.pop(0)")], "no pop"),
        ([("return ", "")], "returned None"),
        ([("pairs, zeros = [], 0", "pairs, zeros = [], 1")], ""),
        ([("number == 0", "number <= 0")], ""),
        ([("for number in numbers:", "for number in numbers[1:]:")], ""),
    ],
    "psnr-by-hand": [
        ([("torch.log10(mse)", "math.log10(mse)")], "math.log10(0)"),
        ([("torch.log10", "torch.log")], "base 10"),
        ([(".clamp(0, 1)", "")], "clamp"),
        ([("-10 *", "10 *")], "sign"),
        ([("-10 *", "-20 *")], ""),
        ([(".double() ** 2", ".double()")], ""),
        ([(".double() ** 2", ".double().abs()")], "square the errors"),
        ([(".mean()", ".sum()")], ""),
        (
            [
                (".mean()", ".mean((1, 2))"),
                ("float(-10 * torch.log10(mse))", "float((-10 * torch.log10(mse)).mean())"),
            ],
            "one mean",
        ),
        ([("float(-10 * torch.log10(mse))", "-10 * torch.log10(mse)")], "Python number"),
        ([("image.clamp(0, 1)", "image.clamp_(0, 1)")], "clamp_()"),
        ([("image.clamp(0, 1) - original", "(image - original).clamp(0, 1)")], ""),
        (
            [
                (
                    "return float(-10 * torch.log10(mse))",
                    "return float(min(-10 * torch.log10(mse), torch.tensor(99.0)))",
                )
            ],
            "float('inf')",
        ),
        ([("return ", "")], "Python number"),
    ],
    "pca-convolution": [
        ([("-(components @ mean)", "components @ mean")], "negative"),
        ([("-(components @ mean)", "-mean")], "one number for each pattern"),
        ([("-(components @ mean)", "torch.zeros(len(components))")], "what has no block"),
        ([("side = round((components.shape[1] / 3) ** 0.5)", "side = 8")], "stopped"),
        (
            [
                (
                    "components.view(-1, 3, side, side)",
                    "components.view(-1, side, side, 3).permute(0, 3, 1, 2)",
                )
            ],
            "in the order",
        ),
        (
            [
                (
                    "components.view(-1, 3, side, side)",
                    "components.view(-1, 3, side, side).transpose(2, 3)",
                )
            ],
            "without a transpose",
        ),
        ([("components.view(-1, 3, side, side)", "components")], "(count, 3, side, side)"),
        ([("-(components @ mean)", "-(components * mean).mean(1)")], "what has no block"),
        ([("-(components @ mean)", "-components.sum(1) * mean.mean()")], ""),
        ([(", -(components @ mean)", "")], "tuple or a list"),
        ([("return ", "")], "returned None"),
    ],
    "reparameterise": [
        ([("(0.5 * logvar).exp()", "logvar.exp()")], "its root"),
        ([("(0.5 * logvar).exp()", "logvar")], ""),
        ([("(0.5 * logvar).exp()", "(0.5 * logvar)")], ""),
        ([("(0.5 * logvar).exp()", "(2 * logvar).exp()")], ""),
        ([("* noise", "* torch.randn_like(noise)")], ""),
        ([("+ (0.5", "- (0.5")], ""),
        (
            [
                (
                    "mean + (0.5 * logvar).exp() * noise",
                    "mean.detach() + (0.5 * logvar).exp() * noise",
                )
            ],
            "both",
        ),
        ([("(0.5 * logvar).exp() *", "(0.5 * logvar).exp().detach() *")], "both"),
        ([("return mean +", "mean += noise\n    return mean +")], ""),
        ([("return ", "")], "returned None"),
        ([("return mean + (0.5 * logvar).exp() * noise", "return mean")], ""),
    ],
    "kl-by-sampling": [
        ([("of_first - of_second", "of_second - of_first")], "not the reverse"),
        ([("z = mean + std * noise", "z = noise")], "Sample from the first"),
        ([("((z - mean) / std)", "(noise / std)"), ("z = ", "z = noise  # ")], "Sample from the"),
        ([("((z - mean) / std)", "(noise / std)")], "not the noise"),
        ([(".mean())", ".sum())")], "not the sum"),
        ([(" - math.log(std)", "")], "leave it out"),
        ([("- math.log(std)", "+ math.log(std)")], "is minus"),
        ([("math.log(std)", "math.log(std**2)")], "not ln of the variance"),
        ([("std * noise", "std**2 * noise")], ""),
        ([("of_second = -0.5 * z**2", "of_second = -0.5 * (z - mean) ** 2")], "p0 has the mean 0"),
        ([("((z - mean) / std)", "(z / std)")], "its own mean"),
        ([("z = mean +", "noise *= 1.5\n    z = mean +")], ""),
        ([("* noise\n", "* torch.randn(1000)\n")], ""),
        ([("float((of_first - of_second).mean())", "(of_first - of_second).mean()")], "float"),
        ([("return ", "")], "Python number"),
    ],
    "vae-loss": [
        ([("kl.mean()", "kl.sum()")], "take the mean"),
        ([("F.mse_loss(decoded, images)", "((decoded - images) ** 2).sum()")], "Mean, not sum"),
        ([("F.mse_loss(decoded, images)", "(decoded - images).abs().mean()")], "Square"),
        ([("0.5 * (mean", "(mean")], "factor 1/2"),
        ([(" - 1 - logvar", " - logvar")], "the -1"),
        ([("- 1 - logvar", "- 1 + logvar")], "subtracted"),
        ([("logvar.exp()", "(0.5 * logvar).exp()")], "no root"),
        ([("mean**2", "mean")], ""),
        (
            [
                (
                    "F.mse_loss(decoded, images) + weight * kl.mean()",
                    "weight * (F.mse_loss(decoded, images) + kl.mean())",
                )
            ],
            "",
        ),
        ([("+ weight * kl.mean()", "+ kl.mean()")], ""),
        ([("F.mse_loss(decoded, images) + weight", "weight")], ""),
        ([("weight * kl.mean()", "weight * kl")], "one number"),
        ([("return ", "")], ""),
    ],
    "best-std": [
        ([("math.sqrt(variance)", "variance")], "Its root"),
        ([("2 * c", "c")], "factor 1/2"),
        ([("weight / (weight + 2 * c)", "weight / (2 * c)")], "contains s**2"),
        ([("weight / (weight", "2 * c / (weight")], "Upside down"),
        ([("weight / (weight + 2 * c)", "weight / (weight + 4 * c)")], "so s is 1/2"),
        ([("return math.sqrt(variance)", "return round(math.sqrt(variance), 1)")], "about 0.156"),
        ([("return math.sqrt(variance)", "return max(math.sqrt(variance), 0.01)")], "weight 0"),
        ([("return math.sqrt(variance)", "return min(math.sqrt(variance), 0.9)")], "nearly 1"),
        ([("return ", "")], "returned None"),
    ],
    "through-bits": [
        ([("2**bits - 1", "2**bits")], ""),
        (
            [(".amin((1, 2), keepdim=True)", ".min()"), (".amax((1, 2), keepdim=True)", ".max()")],
            "",
        ),
        ([("(1, 2)", "2")], "each channel"),
        ([(".round()", ".floor()")], ""),
        ([(".clamp(min=1e-12)", "")], ""),
        ([("numbers, low + numbers * step", "numbers, latent")], "from the integers"),
        ([("low + numbers * step", "numbers * step")], ""),
        ([("return numbers, ", "return ")], "tuple or a list"),
        ([("(latent - low)", "latent")], ""),
        ([("low, high =", "latent -= 1\n    low, high =")], ""),
        ([("return ", "")], "returned None"),
    ],
}
CASES = [(name, index) for name, wrong in WRONG.items() for index in range(len(wrong))]


@pytest.mark.parametrize("name", WRONG)
def test_reference_passes(name):
    solution = exercise(LESSON, name).solution
    assert attempt(LESSON, name, solution, NAMES) == ("", 1.0)


@pytest.mark.parametrize(("name", "index"), CASES)
def test_wrong_solution_gets_a_specific_message(name, index):
    """The visible check fails with a message that contains the second entry of the row.

    An exercise whose visible check fails earns nothing.
    """
    changes, expected = WRONG[name][index]
    source = mutate(exercise(LESSON, name).solution, *changes)
    message, _ = attempt(LESSON, name, source, NAMES)
    assert message, "the visible check lets it pass"
    assert expected in message


def test_there_are_sixty_wrong_solutions():
    assert len(CASES) >= 60
