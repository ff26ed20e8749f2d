"""Lesson 8: references pass, and each wrong solution (the reference with some text replaced) fails
the visible check with a specific message and loses points.
"""

import pytest
import torch
from torch.nn import functional as F

from course_lib.checks import call
from tests.support.attempts import attempt, exercise, mutate

LESSON = "08_after_stable_diffusion"
NAMES = {"torch": torch, "F": F, "call": call}

X0_OF_V = "(alpha * x - sigma * prediction)"
NOISE_OF_V = "(sigma * x + alpha * prediction)"
SCORES = "(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5)"

WRONG = {
    "straight-path": [
        ([("(1 - t) * x0 + t * noise", "t * x0 + (1 - t) * noise")], "swapped"),
        ([("noise - x0", "x0 - noise")], "noise - x0"),
        (
            [("(1 - t) * x0 + t * noise, noise - x0", "noise - x0, (1 - t) * x0 + t * noise")],
            "first",
        ),
        ([("    t = t.reshape(-1, *[1] * (x0.ndim - 1))\n", "")], ""),
        ([("(-1, *[1] * (x0.ndim - 1))", "(-1, 1)")], "reshape it"),
        ([("(-1, *[1] * (x0.ndim - 1))", "(-1, 1, 1, 1)")], "shape of x0"),
        ([("t.reshape(-1, *[1] * (x0.ndim - 1))", "t[0]")], "Each image has its t"),
        ([("t.reshape(-1, *[1] * (x0.ndim - 1))", "t.mean()")], ""),
        ([("(1 - t) * x0", "(1 - t) ** 0.5 * x0"), ("t * noise", "t**0.5 * noise")], "0.75 x 2"),
        ([("(1 - t) * x0", "(1 - t**2) ** 0.5 * x0")], "0.75 x 2"),
        ([("(1 - t) * x0 + t * noise", "x0 + t * noise")], ""),
        ([("noise - x0", "t * (noise - x0)")], "whole way"),
        ([("noise - x0", "noise")], "whole way"),
        ([("noise - x0", "(noise - x0) / 1000")], "whole way"),
        ([("    return", "    x0 *= 1 - t\n    return")], "modified"),
        (
            [("return (1 - t) * x0 + t * noise, noise - x0", "return (1 - t) * x0 + t * noise")],
            "tuple",
        ),
        ([("return ", "")], "returned None"),
    ],
    "euler": [
        ([("(next_t - t)", "(t - next_t)")], "next_t - t"),
        ([("(next_t - t)", "-1 / (len(times) - 1)")], "differ in length"),
        ([("(next_t - t)", "-t")], ""),
        ([("(next_t - t)", "next_t")], ""),
        ([("torch.full((len(x),), t)", "torch.full((len(x),), next_t)")], "beginning of the step"),
        ([("torch.full((len(x),), t)", "torch.tensor(t)")], "one time per image"),
        ([("torch.full((len(x),), t)", "torch.full((len(x),), 1 - t)")], ""),
        ([("torch.full((len(x),), t)", "torch.full((len(x),), times[0])")], ""),
        ([("        path.append(x)\n", "")], "(times, batch"),
        ([("path = [x]", "path = []")], "four times"),
        ([("torch.stack(path)", "path[-1]")], "at all times"),
        ([("torch.stack(path)", "torch.stack(path[::-1])")], "first point"),
        ([("torch.stack(path)", "path")], "must return a Tensor"),
        ([("        x = x + ", "        x += ")], "modified"),
        ([("x = x + (next_t - t) *", "x = (next_t - t) *")], ""),
        ([("times[:-1], times[1:]", "times[:-2], times[1:-1]")], "four times"),
        (
            [
                ("@torch.no_grad()\n", ""),
                ("torch.stack(path)", "torch.stack(path).requires_grad_()"),
            ],
            "no_grad",
        ),
        ([("return ", "")], "returned None"),
    ],
    "to-velocity": [
        (
            [("return prediction - (x - sigma * prediction) / alpha", "return prediction")],
            "is the noise",
        ),
        (
            [
                (
                    "return prediction - (x - sigma * prediction) / alpha",
                    "return (x - sigma * prediction) / alpha",
                )
            ],
            "clean image",
        ),
        (
            [
                (
                    "prediction - (x - sigma * prediction) / alpha",
                    "(x - sigma * prediction) / alpha - prediction",
                )
            ],
            "not x0 - noise",
        ),
        ([("(x - sigma * prediction) / alpha", "(x - sigma * prediction)")], "divide by alpha"),
        ([("(x - sigma * prediction) / alpha", "(x - alpha * prediction) / sigma")], "From noise"),
        ([("prediction - (x - sigma * prediction) / alpha", "prediction - x")], "From noise"),
        (
            [
                (
                    "(x - alpha * prediction) / sigma - prediction",
                    "(x - alpha * prediction) - prediction",
                )
            ],
            "divide by sigma",
        ),
        (
            [
                (
                    "(x - alpha * prediction) / sigma - prediction",
                    "prediction - (x - alpha * prediction) / sigma",
                )
            ],
            "x0: it is",
        ),
        (
            [("(x - alpha * prediction) / sigma - prediction", "(x - alpha * prediction) / sigma")],
            "x0: that is the noise",
        ),
        ([('if kind == "x0"', 'if kind == "clean"')], "x0"),
        # through v, which is right on the circle only
        (
            [
                (
                    "return prediction - (x - sigma * prediction) / alpha",
                    "prediction = (prediction - sigma * x) / alpha",
                )
            ],
            "From noise, with alpha 0.25",
        ),
        (
            [
                (
                    "return (x - alpha * prediction) / sigma - prediction",
                    "prediction = (alpha * x - prediction) / sigma",
                )
            ],
            "From x0, with alpha 0.25",
        ),
        ([(f"return {NOISE_OF_V} - {X0_OF_V}", "return prediction")], "v: that is v"),
        ([(f"{NOISE_OF_V} - {X0_OF_V}", f"{X0_OF_V} - {NOISE_OF_V}")], "v: it is"),
        ([(f"{NOISE_OF_V} - {X0_OF_V}", NOISE_OF_V)], "v: that is the noise"),
        ([(NOISE_OF_V, "(alpha * x + sigma * prediction)")], "From v"),
        ([(X0_OF_V, "(x - sigma * prediction) / alpha")], "From v"),
        ([("    if kind", "    x *= 1.5\n    if kind")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "reflow-loss": [
        ([("    with torch.no_grad():\n        x0", "    if True:\n        x0")], "no_grad"),
        ([("(noise - x0)", "(x0 - noise)")], "noise - x0"),
        ([("(noise - x0)", "x0")], "not the end x0"),
        ([("(noise - x0)", "noise")], "not the noise"),
        ([("(noise - x0)", "(noise - x)")], ""),
        ([("(1 - share) * x0 + share * noise", "share * x0 + (1 - share) * noise")], "swapped"),
        ([("student(x, t)", "student(x0, t)")], "That is the end"),
        ([("student(x, t)", "student(noise, t)")], "That is the noise"),
        ([("student(x, t)", "student(x, 1 - t)")], "the same t"),
        ([("teacher(noise)", "teacher(torch.randn_like(noise))")], "starts at the noise itself"),
        ([("x0 = teacher(noise)", "x0 = teacher(noise).flip(0)")], ""),
        ([("teacher(noise)", "teacher(t.view(-1, 1) * noise)")], "starts at the noise itself"),
        ([(".mean()", ".sum()")], ""),
        ([(".mean()", "")], "one number"),
        ([(".square()", ".abs()")], ""),
        ([("t.reshape(-1, *[1] * (noise.ndim - 1))", "t.mean()")], "its own t"),
        ([("t.reshape(-1, *[1] * (noise.ndim - 1))", "t.reshape(-1, 1)")], "reshape it"),
        ([("        x0 = teacher", "        noise += 1\n        x0 = teacher")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "patchify": [
        ([("x.permute(0, 2, 4, 3, 5, 1)", "x")], ""),
        ([("permute(0, 2, 4, 3, 5, 1)", "permute(0, 2, 4, 5, 3, 1)")], "not by columns"),
        ([("permute(0, 2, 4, 3, 5, 1)", "permute(0, 4, 2, 3, 5, 1)")], "to the right"),
        ([("permute(0, 2, 4, 3, 5, 1)", "permute(0, 2, 4, 1, 3, 5)")], "channels last"),
        (
            [
                (
                    "batch, channels, height // size, size, width // size, size",
                    "batch, channels, size, height // size, size, width // size",
                ),
                ("permute(0, 2, 4, 3, 5, 1)", "permute(0, 3, 5, 2, 4, 1)"),
            ],
            "every second position",
        ),
        ([(".reshape(batch, -1, size * size * channels)", "")], "Return (batch, patches"),
        (
            [(".reshape(batch, -1, size * size * channels)", ".flatten(1, 2)")],
            "Return (batch, patches",
        ),
        (
            [
                (
                    "reshape(batch, -1, size * size * channels)",
                    "reshape(batch, -1, size * size, channels)",
                )
            ],
            "Return (batch",
        ),
        (
            [("reshape(batch, -1, size * size * channels)", "reshape(batch, -1, size * size)")],
            "values",
        ),
        (
            [
                (
                    "reshape(batch, -1, size * size * channels)",
                    "reshape(1, -1, size * size * channels)",
                )
            ],
            "(2, 2, 9)",
        ),
        (
            [
                (
                    "permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, size * size * channels)",
                    "permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, size * size * channels).flip(1)",
                )
            ],
            "",
        ),
        ([("height // size, size, width // size, size", "height // 2, 2, width // 2, 2")], ""),
        (
            [
                (
                    "x.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, size * size * channels)",
                    "latents.reshape(batch, -1, size * size * channels)",
                )
            ],
            "whole rows",
        ),
        ([("return x", "latents += 1\n    return x")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "joint-attention": [
        ([("dim=-2) for", "dim=1) for")], "dim=-2"),
        ([("dim=-2) for", "dim=-1) for")], ""),
        ([("for pair in zip(image, text, strict=True)", "for pair in zip(image, image)")], ""),
        ([("(torch.cat(pair, dim=-2) for pair in zip(image, text, strict=True))", "image")], ""),
        ([(" / q.shape[-1] ** 0.5", "")], "root of the channels"),
        ([("q.shape[-1] ** 0.5", "q.shape[-1]")], "Scores 2 and 1"),
        ([("softmax(dim=-1)", "softmax(dim=-2)")], ""),
        ([("softmax(dim=-1)", "sigmoid()")], "6"),
        ([("output = weights @ v", "output = weights @ k")], ""),
        ([("image[0].shape[-2]", "text[0].shape[-2]")], "come first"),
        (
            [
                (
                    "return output[..., :tokens, :], output[..., tokens:, :]",
                    "return output[..., tokens:, :], output[..., :tokens, :]",
                )
            ],
            "come first",
        ),
        (
            [("return output[..., :tokens, :], output[..., tokens:, :]", "return output")],
            "must return a tuple",
        ),
        ([("zip(image, text, strict=True)", "zip(text, image, strict=True)")], ""),
        ([("q @ k", "k @ q")], ""),
        ([("    q, k, v = ", "    image[2].mul_(2)\n    q, k, v = ")], ""),
        ([("return ", "")], "returned None"),
    ],
    "lora": [
        ([("alpha / rank *", "alpha *")], "Divide alpha"),
        ([("alpha / rank *", "rank / alpha *")], "factor of 2"),
        ([("alpha / rank * ", "")], "alpha is not used"),
        ([("A.shape[0]", "A.shape[1]")], ""),
        ([("rank = A.shape[0]", "rank = 2")], "here 3"),
        ([("x @ weight.T + alpha", "alpha")], "B = 0"),
        ([(" + alpha / rank * (x @ A.T @ B.T)", "")], "change is missing"),
        ([("x @ weight.T +", "x @ weight.T -")], ""),
        ([("x @ weight.T", "x @ weight")], "stopped"),
        ([("x @ A.T @ B.T", "x @ A @ B")], "stopped"),
        ([("x @ A.T @ B.T", "x @ B @ A")], "stopped"),
        ([("(x @ A.T @ B.T)", "(x @ A.T @ B.T).relu()")], ""),
        (
            [
                (
                    "x @ weight.T + alpha / rank * (x @ A.T @ B.T)",
                    "alpha / rank * (x @ weight.T + x @ A.T @ B.T)",
                )
            ],
            "",
        ),
        ([("alpha / rank", "(alpha / rank) ** 2")], "factor of 2"),
        ([("    rank =", "    weight += alpha * B @ A\n    rank =")], "modified"),
        ([("return ", "")], "returned None"),
    ],
    "edges": [
        ([('F.pad(images, (1, 1, 1, 1), mode="replicate")', "images")], "Pad each side"),
        ([('mode="replicate"', 'mode="constant"')], "replicate"),
        ([(" / 4", "")], ""),
        ([(" / 4", " / 8")], ""),
        ([("[sobel, sobel.T]", "[sobel, sobel]")], ""),
        ([("[sobel, sobel.T]", "[sobel, 0 * sobel]")], "Horizontal"),
        ([("responses.square().sum(1).sqrt()", "responses.square().sum(1)")], "square root"),
        (
            [("responses.square().sum(1).sqrt()", "responses.abs().sum(1)")],
            "root of the sum of squares",
        ),
        ([("responses.square().sum(1).sqrt()", "responses.abs().amax(1)")], "not only the larger"),
        ([("responses.square().sum(1).sqrt()", "responses.sum(1)")], ""),
        ([("amax(1, keepdim=True)", "mean(1, keepdim=True)")], "strongest channel"),
        ([("amax(1, keepdim=True)", "amin(1, keepdim=True)")], ""),
        ([(".amax(1, keepdim=True)", "")], "One strength per pixel"),
        ([("amax(1, keepdim=True)", "amax(1)")], "Return (batch, 1"),
        ([(".clamp(max=1)", "")], "Clamp"),
        ([("    sobel =", "    images *= 2\n    sobel =")], "modified"),
        ([("return ", "")], "returned None"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_reference_passes(name):
    assert attempt(LESSON, name, exercise(LESSON, name).solution, NAMES) == ("", 1.0)


@pytest.mark.parametrize(
    ("name", "index"), [(name, n) for name, wrong in WRONG.items() for n in range(len(wrong))]
)
def test_wrong_solution_gets_a_specific_message_and_loses_points(name, index):
    changes, expected = WRONG[name][index]
    solution = exercise(LESSON, name).solution
    message, score = attempt(LESSON, name, mutate(solution, *changes), NAMES)
    assert message and expected in message, message
    # One solution returns correct values: only the visible check also tests the gradient mode.
    assert score < 1 or expected == "no_grad"


def test_a_hundred_wrong_solutions_are_tried():
    assert sum(map(len, WRONG.values())) >= 100
