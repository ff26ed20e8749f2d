"""Lesson 7: references pass, and each wrong solution (the reference with some text replaced) fails
the visible check with a specific message and loses points.
"""

import functools
from collections.abc import Callable

import pytest
import torch

from course_lib.checks import call
from course_lib.diffusion import reference
from course_lib.diffusion import text_to_image as tiny_sd
from tests.support.attempts import attempt, exercise, mutate

LESSON = "07_stable_diffusion"

WRONG = {
    "attention": [
        ([("k.transpose(-2, -1)", "k.T")], "swap only the last two"),
        ([("k.transpose(-2, -1)", "k")], "k.transpose(-2, -1)"),
        ([(" / q.shape[-1] ** 0.5", "")], "Divide the scores"),
        ([("q.shape[-1] ** 0.5", "q.shape[-1]")], "not by 4"),
        ([("q.shape[-1] ** 0.5", "k.shape[-2] ** 0.5")], ""),
        ([("softmax(dim=-1)", "softmax(dim=-2)")], "over the tokens"),
        ([("softmax(dim=-1)", "softmax(dim=0)")], "over the tokens"),
        ([("weights @ v, weights", "weights, weights @ v")], "outputs come first"),
        ([("weights @ v, weights", "weights @ v, scores")], ""),
        ([("return weights @ v, weights", "return weights @ v")], "must return a tuple"),
        ([("scores.softmax(dim=-1)", "scores / scores.sum(-1, keepdim=True)")], ""),
        ([("scores.softmax(dim=-1)", "scores.sigmoid()")], ""),
        ([("    scores = q @", "    q /= 2\n    scores = 2 * q @")], "modified"),
        ([("q.shape[-1] ** 0.5", "2")], ""),
    ],
    "split-heads": [
        ([(".transpose(1, 2)", "")], "before the tokens"),
        (
            [
                (
                    "batch, tokens, heads, channels // heads).transpose(1, 2)",
                    "batch, heads, tokens, channels // heads)",
                )
            ],
            "mixes up",
        ),
        (
            [
                (
                    "heads, channels // heads).transpose(1, 2)",
                    "channels // heads, heads).permute(0, 3, 1, 2)",
                )
            ],
            "not every third",
        ),
        ([(".transpose(1, 2)", ".transpose(0, 2)")], ""),
        ([("channels // heads", "channels / heads")], "stopped"),
        ([("reshape(batch, tokens, heads, channels // heads)", "view(1, tokens, heads, -1)")], ""),
        ([(".transpose(1, 2)", ".transpose(1, 2)[:, :, :2]")], ""),
        ([(".transpose(1, 2)", ".transpose(1, 2).flip(1)")], ""),
        ([("return ", "")], "returned None"),
        ([("return x", "x += 0.5\n    return x")], "modified"),
    ],
    "causal-mask": [
        ([(".masked_fill(later, -torch.inf)", "")], "no mask yet"),
        ([("triu(1)", "triu(0)")], "nan"),
        ([("triu(1)", "triu(2)")], "later token"),
        ([("triu(1)", "tril(-1)")], "other triangle"),
        ([("triu(1)", "tril()")], "nan"),
        ([("-torch.inf", "0")], "no mask yet"),
        ([("-torch.inf", "-1")], "later token"),
        ([("-torch.inf", "-1_000")], "Only minus infinity"),
        ([("-torch.inf", "torch.inf")], "nan"),
        (
            [
                (
                    "scores.masked_fill(later, -torch.inf).softmax(dim=-1)",
                    "scores.softmax(dim=-1).masked_fill(later, 0)",
                )
            ],
            "before* softmax",
        ),
        (
            [
                (
                    "scores.masked_fill(later, -torch.inf).softmax(dim=-1)",
                    "scores.tril().softmax(dim=-1)",
                )
            ],
            "no mask yet",
        ),
        ([("softmax(dim=-1)", "softmax(dim=-2)")], "over the columns"),
        ([("softmax(dim=-1)", "softmax(dim=0)")], "over the columns"),
        ([(".softmax(dim=-1)", "")], ""),
        ([("masked_fill(", "masked_fill_(")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "read-timestep": [
        ([("argmax", "argmin")], "t = 3"),
        ([("range(1000)", "range(100)")], "come back after a few"),
        ([("range(1000)", "range(1, 1000)")], "t = 3"),
        ([("range(1000)", "range(999)")], "t = 999"),
        ([("range(1000)", "range(0, 1000, 2)")], "t = 3"),
        ([("len(vector)) for", "64) for")], ""),
        ([("int((table @ vector).argmax())", "(table @ vector).argmax()")], "must return an int"),
        (
            [("int((table @ vector).argmax())", "float((table @ vector).argmax())")],
            "must return an int",
        ),
        ([("(table @ vector).argmax()", "(table - vector).abs().amax(0).argmin()")], ""),
        (  # the first angle alone
            [("(table @ vector)", "(table[:, ::32] @ vector[::32])")],
            "t = 999",
        ),
        (  # the last angle alone
            [("(table @ vector)", "(table[:, 31::32] @ vector[31::32])")],
            "",
        ),
        (  # from the last angle, without a table
            [
                (
                    "int((table @ vector).argmax())",
                    "round(float(torch.atan2(vector[-1], vector[len(vector) // 2 - 1]))"
                    " * 10_000 ** (1 - 2 / len(vector)))",
                )
            ],
            "use all channels",
        ),
        ([("    table", "    vector *= 2\n    table")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "guided": [
        ([("uncond + guidance", "cond + guidance")], "*without* the prompt"),
        ([("(cond - uncond)", "cond - uncond")], "only the difference"),
        ([("uncond, cond =", "cond, uncond =")], "second half"),
        ([("predictions.chunk(2)", "predictions[::2], predictions[1::2]")], "every other"),
        ([("uncond + guidance * (cond - uncond)", "cond")], ""),
        ([("guidance * (cond - uncond)", "guidance * cond")], "Guidance 1"),
        ([("uncond + guidance * (cond - uncond)", "guidance * cond")], "only the difference"),
        ([("guidance * (cond", "int(guidance) * (cond")], "fractions"),
        ([("guidance * (cond", "abs(guidance) * (cond")], "below 0"),
        ([("predictions.chunk(2)", "predictions.chunk(2, dim=1)")], "two halves"),
        ([("return uncond", "cond -= uncond\n    return uncond")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "keep-outside": [
        ([("mask * x + (1 - mask) * noisy", "(1 - mask) * x + mask * noisy")], "swapped"),
        ([("(1 - mask) * noisy", "(1 - mask) * known")], "add the noise"),
        ([("** 0.5", ""), ("**0.5", "")], "square roots"),
        (
            [
                (
                    "alpha_bar**0.5 * known + (1 - alpha_bar) ** 0.5 * noise",
                    "alpha_bar**0.5 * noise + (1 - alpha_bar) ** 0.5 * known",
                )
            ],
            "each other",
        ),
        ([("mask * x + (1 - mask) * noisy", "noisy")], "stays as it is"),
        ([("mask * x + (1 - mask) * noisy", "x + (1 - mask) * noisy")], ""),
        ([("mask * x + (1 - mask) * noisy", "mask * x")], ""),
        ([("* noise\n", "* torch.randn_like(x)\n")], ""),
        ([("return mask", "x *= mask\n    return mask")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "text-to-image": [
        ([('["", prompt]', '[prompt, ""]')], "Not the library's image"),
        ([("x / sd.vae.config.scaling_factor", "x")], "Not the library's image"),
        ([("images[0] / 2 + 0.5", "images[0]")], ""),
        ([(".clamp(0, 1)", "")], ""),
        ([("manual_seed(seed)", "manual_seed(0)")], "seed"),
        ([("guidance * (cond", "5.0 * (cond")], "guidance"),
        ([("DPMSolverPP(sd.schedule, steps)", "DPMSolverPP(sd.schedule, 3)")], "number of steps"),
        ([("return (images[0]", "return (images")], "without the batch"),
        ([("with torch.no_grad():", "if True:")], "no_grad"),
        ([(", generator=generator", "")], ""),
        ([("x.repeat(2, 1, 1, 1)", "x")], "both as a batch of 2"),
    ],
}


def memoised(function: Callable) -> Callable:
    """The function with a cache of its results: most wrong solutions share most sampling steps."""
    results: dict[tuple, torch.Tensor] = {}

    def to_key(argument: object) -> object:
        if not isinstance(argument, torch.Tensor):
            return argument
        contents = argument.detach().numpy().tobytes()
        return argument.shape, argument.stride(), argument.dtype, contents

    @functools.wraps(function)
    def cached(*arguments: object) -> torch.Tensor:
        key = (torch.is_grad_enabled(), *map(to_key, arguments))
        if key not in results:
            results[key] = function(*arguments)
        return results[key].clone()

    return cached


@functools.cache
def names() -> dict:
    sd = tiny_sd.load()
    sd.unet.forward = memoised(sd.unet.forward)
    sd.vae.decode = memoised(sd.vae.decode)
    embedding = reference.sinusoidal_embedding
    return {"torch": torch, "call": call, "sd": sd, "sinusoidal_embedding": embedding}


@pytest.mark.parametrize("name", WRONG)
def test_reference_passes(name):
    assert attempt(LESSON, name, exercise(LESSON, name).solution, names()) == ("", 1.0)


@pytest.mark.parametrize(
    ("name", "index"), [(name, n) for name, wrong in WRONG.items() for n in range(len(wrong))]
)
def test_wrong_solution_gets_a_specific_message_and_loses_points(name, index):
    changes, expected = WRONG[name][index]
    solution = exercise(LESSON, name).solution
    message, score = attempt(LESSON, name, mutate(solution, *changes), names())
    assert message and expected in message, message
    # These return correct values; only the visible check also tests their type and gradient mode.
    assert score < 1 or expected in ("must return an int", "no_grad")


def test_sixty_wrong_solutions_are_tried():
    assert sum(map(len, WRONG.values())) >= 60
