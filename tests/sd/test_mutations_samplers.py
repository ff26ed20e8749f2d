"""Mutation tests: the comparison with diffusers detects each known mistake in samplers and
pipeline.

``tests/support/mutations.py`` has the functions that make the mistakes.
"""

import functools
from dataclasses import replace as with_fields
from itertools import count

import pytest
import torch

from course_lib.sd import pipeline as pipeline_module
from course_lib.sd import samplers
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import (
    DDIM,
    DDPM,
    PNDM,
    SAMPLERS,
    DPMSolverPP,
    Euler,
    NoiseSchedule,
    Sampler,
)
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel
from course_lib.sd.vae import AutoencoderKL, DiagonalGaussian
from tests.support.mutations import after_init, replace, rewrite, wrap
from tests.support.parity import FLOAT32_TOLERANCE, VAE, relative_error
from tests.support.sampling import random_latents, run_diffusers, run_ours
from tests.support.tiny_sd import IMAGE, diffusers_result, our_result, pipeline_pair

# diffusers triggers a deprecation warning of numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

MARGIN = 100  # a mistake must cause an error of more than this multiple of the allowed one
V_PREDICTION = {"prediction": "v_prediction"}


# Mutations that are too long for the tables below


def betas(schedule):
    """The betas of a schedule: "scaled linear", as in Stable Diffusion."""
    start, end = schedule.beta_start**0.5, schedule.beta_end**0.5
    roots = torch.linspace(start, end, schedule.num_train_timesteps, dtype=torch.float64)
    return roots**2


def linear_alphas_cumprod(schedule):
    start, end = schedule.beta_start, schedule.beta_end
    linear = torch.linspace(start, end, schedule.num_train_timesteps, dtype=torch.float64)
    return (1 - linear).cumprod(0)


def rotated_timesteps(timesteps, schedule, steps):
    """The timesteps with their halves swapped, so that skipping the first steps drops the last."""
    times = timesteps(schedule, steps)
    return times[steps // 2 :] + times[: steps // 2]


def add_noise_with_squares(schedule, x0, noise, t):
    alpha_bar = schedule.alphas_cumprod[t]
    return alpha_bar * x0 + (1 - alpha_bar) * noise, noise


def predict_without_sigma(sampler, model_output, t, x):
    alpha, _ = sampler.alpha_sigma(t)
    return (x - model_output) / alpha, model_output


def predict_without_alpha(sampler, model_output, t, x):
    _, sigma = sampler.alpha_sigma(t)
    return x - sigma * model_output, model_output


def predict_with_wrong_sign(sampler, model_output, t, x):
    alpha, sigma = sampler.alpha_sigma(t)
    return alpha * x + sigma * model_output, sigma * x + alpha * model_output


def predict_v_as_noise(sampler, model_output, t, x):
    alpha, sigma = sampler.alpha_sigma(t)
    return (x - sigma * model_output) / alpha, model_output


def predict_before_scaling(predict, sampler, model_output, t, x):
    return predict(sampler, model_output, t, x / sampler.input_scale(t))


def keep_extrapolated(step, sampler, model_output, t, x, generator=None):
    """A step of DPM-Solver++ that stores the extrapolated x0, computed from the result."""
    result = step(sampler, model_output, t, x, generator)
    alpha, sigma = sampler.alpha_sigma(t)
    next_alpha, next_sigma = sampler.alpha_sigma(sampler.next_timestep[t])
    ratio = next_sigma / sigma
    x0 = (result - ratio * x) / (next_alpha - ratio * alpha)
    sampler.previous = (x0, sampler.previous[1])
    return result


def use_first_call_only(sampler):
    sampler.timesteps = list(dict.fromkeys(sampler.timesteps))
    sampler.calls = 2


def correct_from_the_end(step, sampler, model_output, t, x, generator=None):
    if sampler.calls == 1:
        sampler.latest_step_x = x
    return step(sampler, model_output, t, x, generator)


def correct_at_the_second_time(step, sampler, model_output, t, x, generator=None):
    if sampler.calls == 1:
        sampler.timesteps = [t, *sampler.timesteps[1:]]
    return step(sampler, model_output, t, x, generator)


def init_with_other_strength(init, sampler, schedule, steps, strength=1.0, eta=0.0):
    init(sampler, schedule, steps, round(1 - strength, 6), eta)


def init_with_full_strength(init, sampler, schedule, steps, strength=1.0, eta=0.0):
    init(sampler, schedule, steps, 1.0, eta)


def no_noise(shape, generator=None):
    return torch.zeros(*shape)


def stored(name, default, change):
    """A property that stores ``change(old value, new value)`` when it is set."""
    return property(
        lambda self: self.__dict__.get(name, default),
        lambda self, value: self.__dict__.update(
            {name: change(self.__dict__.get(name, default), value)}
        ),
    )


def signs_flipped(weights):
    return (*weights[:-1], (*weights[-1][:-1], -weights[-1][-1]))


# Mistake: (the sampler that it affects, the mutation, options of the run)
SAMPLER_MISTAKES = {
    "betas linear, not their roots": (
        "ddim",
        replace(NoiseSchedule, "alphas_cumprod", property(linear_alphas_cumprod)),
        {},
    ),
    "roots of the betas taken for betas": (
        "ddim",
        replace(
            NoiseSchedule,
            "alphas_cumprod",
            property(lambda self: (1 - betas(self) ** 0.5).cumprod(0)),
        ),
        {},
    ),
    "alphas without the cumulative product": (
        "ddim",
        replace(NoiseSchedule, "alphas_cumprod", property(lambda self: 1 - betas(self))),
        {},
    ),
    "steps_offset forgotten": (
        "ddim",
        wrap(
            NoiseSchedule,
            "timesteps",
            lambda timesteps, self, steps: timesteps(with_fields(self, steps_offset=0), steps),
        ),
        {},
    ),
    "trailing times one too low": (
        "ddim",
        wrap(
            NoiseSchedule,
            "timesteps",
            lambda timesteps, self, steps: [t - 1 for t in timesteps(self, steps)],
        ),
        {"spacing": "trailing"},
    ),
    "next time is the current time": (
        "ddim",
        after_init(Sampler, lambda self: self.next_timestep.update({t: t for t in self.timesteps})),
        {},
    ),
    "next time is the last time": (
        "ddim",
        after_init(
            Sampler, lambda self: self.next_timestep.update(dict.fromkeys(self.timesteps, 0))
        ),
        {},
    ),
    "DDIM ends without noise": ("ddim", replace(DDIM, "final_timestep", -1), {}),
    "PNDM ends without noise": ("pndm", replace(PNDM, "final_timestep", -1), {}),
    "alpha and sigma swapped": (
        "pndm",
        wrap(Sampler, "alpha_sigma", lambda alpha_sigma, self, t: alpha_sigma(self, t)[::-1]),
        {},
    ),
    "alpha and sigma squared": (
        "ddim",
        wrap(
            Sampler,
            "alpha_sigma",
            lambda alpha_sigma, self, t: tuple(factor**2 for factor in alpha_sigma(self, t)),
        ),
        {},
    ),
    "x0 without sigma": ("ddim", replace(Sampler, "predict_x0_eps", predict_without_sigma), {}),
    "x0 not divided by alpha": (
        "ddim",
        replace(Sampler, "predict_x0_eps", predict_without_alpha),
        {},
    ),
    "v with the wrong sign": (
        "ddim",
        replace(Sampler, "predict_x0_eps", predict_with_wrong_sign),
        V_PREDICTION,
    ),
    "v taken for noise": (
        "ddim",
        replace(Sampler, "predict_x0_eps", predict_v_as_noise),
        V_PREDICTION,
    ),
    "DDPM: no new noise": ("ddpm", replace(samplers, "gaussian", no_noise), {}),
    "DDPM: variance for standard deviation": (
        "ddpm",
        rewrite(DDPM, "step", "sqrt(A) * B / C", "A * (B / C) ** 2"),
        {},
    ),
    "DDPM: the larger variance": (
        "ddpm",
        rewrite(DDPM, "step", "sqrt(A) * B / C", "sqrt(A)"),
        {},
    ),
    "DDPM: beta of all steps for that of one": (
        "ddpm",
        rewrite(DDPM, "step", "1 - (A / B) ** 2", "1 - A ** 2"),
        {},
    ),
    "DDPM: mean without beta": ("ddpm", rewrite(DDPM, "step", "X - A / B * C", "X - B * C"), {}),
    "DDIM: eta without new noise": (
        "ddim",
        replace(samplers, "gaussian", no_noise),
        {"eta": 1.0},
    ),
    "DDIM: new noise on top of the old": (
        "ddim",
        rewrite(DDIM, "step", "sqrt(A**2 - B**2)", "A"),
        {"eta": 1.0},
    ),
    "DDIM: eta ignored": (
        "ddim",
        after_init(DDIM, lambda self: setattr(self, "eta", 1.0)),
        {"eta": 0.5},
    ),
    "Euler: input not scaled": ("euler", replace(Euler, "input_scale", lambda self, t: 1.0), {}),
    "Euler: initial noise not scaled": (
        "euler",
        after_init(Sampler, lambda self: setattr(self, "initial_scale", 1.0)),
        {},
    ),
    "Euler: towards more noise": (
        "euler",
        wrap(
            Euler, "step", lambda step, self, output, t, x, *rest: 2 * x - step(self, output, t, x)
        ),
        {},
    ),
    "Euler: x0 predicted before scaling": (
        "euler",
        wrap(Euler, "predict_x0_eps", predict_before_scaling),
        V_PREDICTION,
    ),
    "2M: first step extrapolated from nothing": (
        "dpm++",
        replace(DPMSolverPP, "previous", (0.0, 0.0)),
        {},
    ),
    "2M: never of second order": (
        "dpm++",
        replace(DPMSolverPP, "previous", stored("previous", None, lambda old, new: None)),
        {},
    ),
    "2M: always extrapolated from the first step": (
        "dpm++",
        replace(DPMSolverPP, "previous", stored("previous", None, lambda old, new: old or new)),
        {},
    ),
    "2M: the extrapolated x0 kept": ("dpm++", wrap(DPMSolverPP, "step", keep_extrapolated), {}),
    "2M: steps taken for equally long": (
        "dpm++",
        rewrite(DPMSolverPP, "step", "(A - B) / (B - C)", "1.0"),
        {},
    ),
    "2M: extrapolated twice as far": ("dpm++", rewrite(DPMSolverPP, "step", "A / 2", "A"), {}),
    "PNDM: no second call for the first step": ("pndm", after_init(PNDM, use_first_call_only), {}),
    "PNDM: second call from where the first step led": (
        "pndm",
        wrap(PNDM, "step", correct_from_the_end),
        {},
    ),
    "PNDM: second call from the second time": (
        "pndm",
        wrap(PNDM, "step", correct_at_the_second_time),
        {},
    ),
    "PNDM: second call without the mean": ("pndm", rewrite(PNDM, "step", "(A + B) / 2", "B"), {}),
    "PNDM: weights in the wrong order": (
        "pndm",
        replace(PNDM, "multistep_weights", tuple(row[::-1] for row in PNDM.multistep_weights)),
        {},
    ),
    "PNDM: only two steps remembered": (
        "pndm",
        replace(PNDM, "history", stored("history", (), lambda old, new: new[:2])),
        {},
    ),
    "PNDM: a weight with the wrong sign": (
        "pndm",
        replace(PNDM, "multistep_weights", signs_flipped(PNDM.multistep_weights)),
        {},
    ),
    "noise added with squared factors": (
        "ddim",
        replace(NoiseSchedule, "add_noise", add_noise_with_squares),
        {"image": True},
    ),
    "strength: the last steps left out, not the first": (
        "ddim",
        wrap(NoiseSchedule, "timesteps", rotated_timesteps),
        {"image": True, "strength": 0.5},
    ),
    "strength: counted from the wrong side": (
        "ddim",
        wrap(Sampler, "__init__", init_with_other_strength),
        {"image": True, "strength": 0.8},
    ),
}


# Mutations of the pipeline


def unet_with_swapped_outputs(forward, unet, x, t, context):
    return torch.cat(forward(unet, x, t, context).chunk(2)[::-1])


def unet_with_swapped_texts(forward, unet, x, t, context):
    return forward(unet, x, t, torch.cat(context.chunk(2)[::-1]))


def unet_with_step_index(monkeypatch):
    index = count()
    wrap(
        UNet2DConditionModel,
        "forward",
        lambda forward, unet, x, t, context: forward(unet, x, next(index), context),
    )(monkeypatch)


def noise_of_one_seed(gaussian, shape, generators):
    seed = generators[0].initial_seed()
    return gaussian(shape, [torch.Generator().manual_seed(seed) for _ in generators])


def rescaled_decode(factor):
    return wrap(AutoencoderKL, "decode", lambda decode, vae, latents: decode(vae, latents * factor))


# Mistake: (whether the run is image-to-image, the mutation, the sampler)
PIPELINE_MISTAKES = {
    "guidance: the halves swapped": (
        False,
        wrap(UNet2DConditionModel, "forward", unet_with_swapped_outputs),
        "ddim",
    ),
    "guidance: added to the conditional prediction": (
        False,
        rewrite(StableDiffusion, "generate", "U + G * (C - U)", "C + G * (C - U)"),
        "ddim",
    ),
    "guidance: forgotten": (
        False,
        rewrite(StableDiffusion, "generate", "U + G * (C - U)", "C"),
        "ddim",
    ),
    "prompt and negative prompt swapped": (
        False,
        wrap(UNet2DConditionModel, "forward", unet_with_swapped_texts),
        "ddim",
    ),
    "negative prompt forgotten": (
        False,
        wrap(Tokenizer, "encode", lambda encode, self, prompts: encode(self, ["", *prompts[1:]])),
        "ddim",
    ),
    "one seed for all images": (
        False,
        wrap(pipeline_module, "gaussian", noise_of_one_seed),
        "ddim",
    ),
    "the denoiser gets the index of the step, not the time": (
        False,
        unet_with_step_index,
        "ddim",
    ),
    "decoded without the scaling factor": (False, rescaled_decode(VAE.scaling_factor), "ddim"),
    "decoded times the scaling factor": (False, rescaled_decode(VAE.scaling_factor**2), "ddim"),
    "images left in [-1, 1]": (
        False,
        wrap(AutoencoderKL, "decode", lambda decode, vae, latents: 2 * decode(vae, latents) - 1),
        "ddim",
    ),
    "Euler: input not scaled": (
        False,
        rewrite(StableDiffusion, "generate", "X * S.input_scale(T)", "X"),
        "euler",
    ),
    "Euler: initial noise not scaled": (
        False,
        after_init(Sampler, lambda self: setattr(self, "initial_scale", 1.0)),
        "euler",
    ),
    "encoded without the scaling factor": (
        True,
        wrap(
            DiagonalGaussian,
            "sample",
            lambda sample, self, generator: sample(self, generator) / VAE.scaling_factor,
        ),
        "ddim",
    ),
    "the image encoded in [0, 1]": (
        True,
        wrap(AutoencoderKL, "encode", lambda encode, vae, images: encode(vae, images / 2 + 0.5)),
        "ddim",
    ),
    "the mean of the latents, not a sample": (
        True,
        replace(DiagonalGaussian, "sample", lambda self, generator: self.mean),
        "ddim",
    ),
    "noise of the last time added": (
        True,
        wrap(
            NoiseSchedule,
            "add_noise",
            lambda add_noise, self, x0, noise, t: add_noise(self, x0, noise, 1),
        ),
        "ddim",
    ),
    "strength forgotten": (True, wrap(Sampler, "__init__", init_with_full_strength), "ddim"),
}


@functools.cache
def expected_and_correct(sampler, with_image, strength, options):
    """diffusers' result, and ours without a mistake."""
    x0 = random_latents(seed=1) if with_image else None
    options = dict(options) | {"x0": x0}
    skip = 10 - int(10 * strength)
    expected = run_diffusers(sampler, random_latents(), 10, **options, skip=skip)
    return expected, run_ours(sampler, random_latents(), 10, **options, strength=strength)


@pytest.mark.parametrize("name", SAMPLER_MISTAKES)
def test_mistake_in_a_sampler_is_detected(name, monkeypatch):
    sampler, make_mistake, options = SAMPLER_MISTAKES[name]
    assert sampler in SAMPLERS
    options = dict(options)
    strength, with_image = options.pop("strength", 1.0), options.pop("image", False)
    expected, right = expected_and_correct(sampler, with_image, strength, tuple(options.items()))
    options["x0"] = random_latents(seed=1) if with_image else None
    make_mistake(monkeypatch)
    wrong = run_ours(sampler, random_latents(), 10, **options, strength=strength)
    assert relative_error(right, expected) <= FLOAT32_TOLERANCE
    # "not <=" so that NaN counts as detected.
    assert not relative_error(wrong, expected) <= MARGIN * FLOAT32_TOLERANCE


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """Our pipeline, and a cached function that returns diffusers' result and our correct one."""
    ours, theirs = pipeline_pair(tmp_path_factory.mktemp("tokenizer"))

    @functools.cache
    def expected_and_correct(sampler: str, with_image: bool):
        options = pipeline_options(with_image)
        expected = diffusers_result(theirs, sampler, "leading", **options)
        return expected, our_result(ours, sampler, **options)

    return ours, expected_and_correct


def pipeline_options(with_image: bool) -> dict:
    return {"image": IMAGE, "strength": 0.6} if with_image else {}


@pytest.mark.parametrize("name", PIPELINE_MISTAKES)
def test_mistake_in_the_pipeline_is_detected(name, pipelines, monkeypatch):
    with_image, make_mistake, sampler = PIPELINE_MISTAKES[name]
    ours, expected_and_correct = pipelines
    options = pipeline_options(with_image)
    expected, right = expected_and_correct(sampler, with_image)
    make_mistake(monkeypatch)
    wrong = our_result(ours, sampler, **options)
    assert max(map(relative_error, right, expected)) <= FLOAT32_TOLERANCE
    assert not max(map(relative_error, wrong, expected)) <= MARGIN * FLOAT32_TOLERANCE
