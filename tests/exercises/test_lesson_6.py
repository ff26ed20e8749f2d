"""Lesson 6: references pass, and each wrong solution (the reference with some text replaced) fails
the visible check with a specific message and loses points.
"""

import pytest
import torch

from course_lib.checks import call
from tests.support.attempts import attempt, exercise, mutate

LESSON = "06_latent_diffusion"
NAMES = {"torch": torch, "call": call}

WRONG = {
    "add-noise": [
        ([("alpha_bars[:, None, None, None]", "alpha_bars")], "shape (batch, 1, 1, 1)"),
        ([(".sqrt() * x0", " * x0"), (".sqrt() * noise", " * noise")], "square roots"),
        ([("(1 - alpha_bars).sqrt()", "(1 - alpha_bars.sqrt())")], "squares"),
        ([("(1 - alpha_bars).sqrt() * noise", "noise")], "weight the noise"),
        ([("* x0", "* noise_"), ("* noise\n", "* x0\n"), ("noise_", "noise")], "swapped"),
        ([("alpha_bars[:, None, None, None]", "alpha_bars[0]")], "Each image"),
        (
            [("return alpha_bars.sqrt() * x0 +", "x0 *= alpha_bars.sqrt()\n    return x0 +")],
            "modif",
        ),
        ([("* noise\n", "* torch.randn_like(noise)\n")], ""),
        ([("return ", "")], "returned None"),
        ([("* noise\n", "* noise.abs()\n")], ""),
        ([("(1 - alpha_bars).sqrt() * noise", "0")], ""),
    ],
    "zero-at-the-end": [
        ([("alpha_bars.sqrt()", "alpha_bars"), (") ** 2", ")")], "Take their square roots"),
        ([(") ** 2", ")")], "signal rates"),
        ([("(shifted * alphas[0] / shifted[0]) ** 2", "shifted**2")], "rescale"),
        ([("alphas - alphas[-1]", "alphas")], "last signal rate must be 0"),
        ([("* alphas[0] / shifted[0]", "/ shifted[0]")], "first alpha bar"),
        (
            [
                (
                    "(shifted * alphas[0] / shifted[0]) ** 2",
                    "torch.cat([alpha_bars[:-1], alphas[-1:] * 0])",
                )
            ],
            "Shifted by 0.1",
        ),
        ([("alphas = alpha_bars.sqrt()", "alpha_bars[-1] = 0\n    return alpha_bars")], "modified"),
        ([("alphas - alphas[-1]", "alphas - alphas[0]")], "last signal rate"),
        ([("return ", "")], "returned None"),
        ([("shifted[0]) ** 2", "shifted[0])[:-1] ** 2")], "one alpha bar per timestep"),
    ],
    "read-clean": [
        ([("(x - sigma * model_output) / alpha", "x - sigma * model_output")], "divide"),
        (
            [("alpha_bar**0.5", "alpha_bar"), ("(1 - alpha_bar) ** 0.5", "1 - alpha_bar")],
            "square roots",
        ),
        ([("alpha * x - sigma", "sigma * x + alpha")], "That is the noise"),
        ([('if prediction_type == "v":', "if False:")], "equation of the noise"),
        ([("alpha * x - sigma", "alpha * x + sigma")], "cancel"),
        ([('== "v"', '== "noise"')], ""),
        (
            [("(x - sigma * model_output) / alpha", "(x + sigma * model_output) / alpha")],
            "subtract",
        ),
        ([("return (x", "x -= sigma * model_output\n    return (x")], "modified"),
        ([("alpha * x - sigma * model_output", "(alpha * x - sigma * model_output) / alpha")], ""),
        ([("return (x - sigma * model_output) / alpha", "pass")], "returned None"),
    ],
    "posterior-mean": [
        ([("alpha_bar**0.5 * images", "images")], "scale the images by 0.8"),
        ([("alpha_bar**0.5 * images", "alpha_bar * images")], "root of alpha_bar"),
        ([(".sum(dim=2)", ".sum(dim=2) ** 0.5")], "squared distance"),
        ([("(1 - alpha_bar))", "(1 - alpha_bar) ** 0.5)")], "not 2 x 0.6"),
        ([("(2 * (1 - alpha_bar))", "(1 - alpha_bar)")], "the 2 is missing"),
        ([("(2 * (1 - alpha_bar))", "(2 * alpha_bar)")], "not alpha_bar"),
        ([("softmax(dim=1)", "softmax(dim=0)")], "over dim 1"),
        ([("-distances", "distances")], "farthest image"),
        ([("weights @ images", "alpha_bar**0.5 * weights @ images")], "Scale the images only"),
        ([("weights @ images", "images.mean(0).expand(len(x), -1)")], "plain mean"),
        ([("weights @ images", "images[weights.argmax(1)]")], "one image alone"),
        ([("return weights @ images", "return weights")], "one mean for each row"),
        ([("return ", "")], "returned None"),
        ([("x[:, None]", "x")], ""),
        ([("    distances", "    images *= alpha_bar**0.5\n    distances")], "modified"),
        (
            [
                (
                    ".softmax(dim=1)",
                    ".exp()\n    weights = weights / weights.sum(dim=1, keepdim=True)",
                )
            ],
            "0 / 0",
        ),
    ],
    "diffusion-loss": [
        ([("[:, None, None, None]", "")], "shape (batch, 1, 1, 1)"),
        ([("alpha_bars[t]", "alpha_bars[:2]")], "timestep 1"),
        ([(" / bars)", ")")], "Divide each error"),
        ([("** 2 / bars", "** 2 / bars.sqrt()")], "then square it"),
        ([("- noise)", "- x0)")], "target is the noise"),
        ([("denoiser(noisy, t)", "denoiser(x0, t)")], "noisy images"),
        ([(".mean()", ".sum()")], "not their sum"),
        ([(".mean()", ".mean((1, 2, 3))")], "one number"),
        ([("** 2 / bars).mean()", "/ bars.sqrt()).abs().mean()")], ""),
        ([("denoiser(noisy, t)", "denoiser(noisy, t[0])")], "with x and t"),
        ([("* noise\n", "* torch.randn_like(noise)\n")], ""),
        ([("bars.sqrt() * x0 + (1 - bars).sqrt()", "bars * x0 + (1 - bars)")], "timestep 1"),
        ([("* x0 +", "* x0 -")], ""),
        ([("return ((", "return float((")], "stopped"),
    ],
    "ddim-step": [
        (
            [("x0 = (x - (1 - alpha_bar) ** 0.5 * noise_pred) / alpha_bar**0.5", "x0 = x")],
            "mixed again",
        ),
        ([("(1 - next_alpha_bar) ** 0.5 * noise_pred", "(1 - alpha_bar) ** 0.5 * noise_pred")], ""),
        ([("next_alpha_bar**0.5 * x0 + (1 - next_alpha_bar) ** 0.5 * noise_pred", "x0")], ""),
        ([("+ (1 - next_alpha_bar) ** 0.5 * noise_pred", "")], "Without noise"),
        ([("** 0.5", ""), ("**0.5", "")], "square roots"),
        ([("** 0.5 * noise_pred\n    ###", "** 0.5 * torch.randn_like(x)\n    ###")], ""),
        ([(" / alpha_bar**0.5", "")], ""),
        ([("return next_alpha_bar", "x -= x0\n    return next_alpha_bar")], "modified"),
        ([("return ", "")], "returned None"),
        ([("next_alpha_bar**0.5 * x0", "alpha_bar**0.5 * x0")], ""),
    ],
    "sample": [
        (
            [
                (
                    "(alpha_bars[t]) for t in timesteps[1:]",
                    "(alpha_bars[t - 1]) for t in timesteps[:-1]",
                )
            ],
            "*list*",
        ),
        ([("timesteps[1:]] + [1.0]", "timesteps[1:]] + [float(alpha_bars[0])]")], ""),
        ([("        x = next", "        y = next")], ""),
        (
            [("zip(timesteps, next_alpha_bars, strict=True)", "zip(timesteps[:1], [1.0])")],
            "at each of the timesteps",
        ),
        (
            [
                (
                    "zip(timesteps, next_alpha_bars, strict=True)",
                    "zip(timesteps[:-1], next_alpha_bars)",
                )
            ],
            "",
        ),
        ([("denoiser(x, t)", "denoiser(x, timesteps[0])")], "in their order"),
        (
            [
                (
                    "next_alpha_bar) ** 0.5 * noise_pred",
                    "next_alpha_bar) ** 0.5 * torch.randn_like(x)",
                )
            ],
            "",
        ),
        ([("return x", "return x0 * 0")], ""),
        ([("for t, next", "timesteps.reverse()\n    for t, next")], ""),
        ([("return x\n", "return None\n")], "returned None"),
        ([("[float(alpha_bars[t]) for t in timesteps[1:]] + [1.0]", "[1.0] * len(timesteps)")], ""),
        (
            [("float(alpha_bars[t])\n        noise", "float(alpha_bars[t]) ** 0.5\n        noise")],
            "",
        ),
    ],
    "choose-timesteps": [
        ([(" ** 2) for", ") for")], "times that of equal distances"),
        ([(" ** 2) for", " ** 0.5) for")], "times that of equal distances"),
        ([(" ** 2) for", " ** 6) for")], "smaller than the one before"),
        ([("round(", "float(")], "whole numbers"),
        ([("in range(calls)", "in range(count)")], "return 8 timesteps"),
        ([("len(alpha_bars) - 1", "len(alpha_bars)")], "Start at the noisiest"),
        ([("for k in range(calls)]", "for k in range(calls)][::-1]")], "Start at the noisiest"),
        ([("round(last * (1 - k / count) ** 2)", "last - 200 * k")], "below 0"),
        ([("round(last * (1 - k / count) ** 2)", "last")], "smaller than the one before"),
        ([("round(last * (1 - k / count) ** 2)", "last - k")], "times that of equal distances"),
        ([("return [", "[")], "returned None"),
        (
            [
                (
                    "return [round(last * (1 - k / count) ** 2) for k in range(calls)]",
                    "ratios = (alpha_bars / (1 - alpha_bars)).log()\n"
                    "    goals = torch.linspace(float(ratios[-1]), float(ratios[40]), calls)\n"
                    "    return [int((ratios - goal).abs().argmin()) for goal in goals]",
                )
            ],
            "times that of equal distances",
        ),
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
    message, score = attempt(LESSON, name, mutate(exercise(LESSON, name).solution, *changes), NAMES)
    assert message and expected in message, message
    assert score < 1


@pytest.mark.parametrize(
    "rule",
    [
        # equal distances in log(alpha / sigma) to timestep 5, and in the cube root of t
        "ratios = (alpha_bars / (1 - alpha_bars)).log()\n"
        "    goals = torch.linspace(float(ratios[-1]), float(ratios[5]), calls)\n"
        "    return [int((ratios - goal).abs().argmin()) for goal in goals]",
        "return [round(last * (1 - k / calls) ** 3) for k in range(calls)]",
        # equal distances in the noise rate
        "rates = (1 - alpha_bars).sqrt()\n"
        "    goals = [float(rates[-1]) * (1 - k / calls) for k in range(calls)]\n"
        "    return [int((rates - goal).abs().argmin()) for goal in goals]",
    ],
)
def test_other_rules_for_the_timesteps_pass(rule):
    task = exercise(LESSON, "choose-timesteps")
    old = "return [round(last * (1 - k / count) ** 2) for k in range(calls)]"
    assert attempt(LESSON, task.name, mutate(task.solution, (old, rule)), NAMES) == ("", 1.0)


def test_seventy_wrong_solutions_are_tried():
    assert sum(map(len, WRONG.values())) >= 70
