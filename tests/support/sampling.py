"""Runs our samplers and diffusers' schedulers on a stub denoiser.

diffusers is imported lazily for quick test collection.
"""

import functools
import sys
import warnings
from contextlib import ExitStack, contextmanager
from types import ModuleType
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from course_lib.sd import samplers

# The published scheduler/scheduler_config.json of Stable Diffusion 1.4 and 1.5.
PUBLISHED = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
_SCHEDULERS = {
    "ddpm": "DDPMScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "pndm": "PNDMScheduler",
    "flow-euler": "FlowMatchEulerDiscreteScheduler",
}


def stub_denoiser(x: Tensor, t: float) -> Tensor:
    """A function whose output depends on the image, the timestep and the position."""
    position = torch.arange(x[0].numel()).reshape(x[0].shape).to(x)
    return (
        0.8 * torch.tanh(x * (0.5 + float(t) / 1000) + torch.sin(0.007 * float(t) + position))
        + 0.3 * x
    )


def random_latents(count: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)


class _Overlay:
    """A module with some attributes replaced."""

    def __init__(self, module: ModuleType, **names) -> None:
        self.__dict__.update(names, _module=module)

    def __getattr__(self, name: str):
        return getattr(self._module, name)


@functools.cache  # each look-up searches all of diffusers' modules
def scheduler_class(name: str) -> type:
    """The diffusers scheduler for a sampler name."""
    import diffusers

    return getattr(diffusers, _SCHEDULERS[name])


@contextmanager
def comparable(dtype: torch.dtype, name: str):
    """Makes diffusers' scheduler draw our noise and compute in ``dtype``.

    The schedulers hard-code float32, which is replaced with float64 if ``dtype`` is float64.
    """
    module = sys.modules[scheduler_class(name).__module__]

    def randn_tensor(shape, generator=None, device=None, dtype=None, layout=None):
        return samplers.gaussian(shape, generator).to(dtype)

    with ExitStack() as stack:
        if dtype == torch.float64:
            double_torch = _Overlay(torch, float32=torch.float64)
            double_numpy = _Overlay(np, float32=np.float64)
            stack.enter_context(mock.patch.object(module, "torch", double_torch))
            stack.enter_context(mock.patch.object(module, "np", double_numpy))
        stack.enter_context(mock.patch.object(module, "randn_tensor", randn_tensor, create=True))
        yield


def diffusers_scheduler(
    name: str, steps: int, prediction: str = "epsilon", spacing: str = "leading", **settings
):
    """diffusers' scheduler with the published settings, changed by ``settings``, and timesteps."""
    import diffusers

    published = diffusers.PNDMScheduler(**PUBLISHED)
    scheduler = scheduler_class(name).from_config(
        published.config, prediction_type=prediction, timestep_spacing=spacing, **settings
    )
    # The default of DDPM and DDIM is for images, not for latents.
    scheduler.register_to_config(clip_sample=False)
    options = {"num_inference_steps": steps}
    # DPM-Solver++ computes "leading" times for one step more than the other schedulers.
    if name == "dpm++" and spacing == "leading":
        options = {"timesteps": samplers.NoiseSchedule().timesteps(steps)}
    with warnings.catch_warnings():
        # diffusers' arithmetic with numpy 2
        warnings.filterwarnings("ignore", "__array", DeprecationWarning)
        scheduler.set_timesteps(**options)
    return scheduler


def run_diffusers(
    name: str,
    x: Tensor,
    steps: int,
    prediction: str = "epsilon",
    spacing: str = "leading",
    eta: float = 0.0,
    model=stub_denoiser,
    x0: Tensor | None = None,
    skip: int = 0,
    settings: dict | None = None,
) -> Tensor:
    """The result of diffusers' sampler from Gaussian noise, or from ``x0`` with added noise.

    ``skip``: the number of initial steps to skip; ``settings``: of the noise schedule. With
    v-prediction, PNDM gets the noise computed from v: see
    ``test_pndm_averages_the_noise_also_for_v_prediction``.
    """
    noise_from_v = name == "pndm" and prediction == "v_prediction"
    with comparable(x.dtype, name):
        scheduler = diffusers_scheduler(
            name, steps, "epsilon" if noise_from_v else prediction, spacing, **(settings or {})
        )
        times = _skip(scheduler, name, skip)
        if x0 is not None:
            x = scheduler.add_noise(x0, x, times[:1])
        elif name == "euler":
            # Its init_noise_sigma for "trailing" as well as "leading".
            x = x * (scheduler.sigmas[0] ** 2 + 1) ** 0.5
        options = {}
        if name in ("ddpm", "ddim"):
            options["generator"] = torch.Generator().manual_seed(5)
        if name == "ddim":
            options["eta"] = eta
        for t in times:
            model_output = model(scheduler.scale_model_input(x, t), t)
            if noise_from_v:
                alpha_bar = scheduler.alphas_cumprod[int(t)]
                model_output = (1 - alpha_bar) ** 0.5 * x + alpha_bar**0.5 * model_output
            x = scheduler.step(model_output, t, x, **options).prev_sample
    return x


def _skip(scheduler, name: str, skip: int) -> Tensor:
    """The scheduler's times without the first ``skip`` steps."""
    times = scheduler.timesteps
    if name == "pndm" and skip:
        # The first remaining step takes two calls, like the first step of a full run.
        first, second, rest = (
            times[skip + 1 : skip + 2],
            times[skip + 2 : skip + 3],
            times[skip + 2 :],
        )
        return torch.cat([first, second, rest])
    if skip and hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skip)
    return times[skip:]


def run_ours(
    name: str,
    x: Tensor,
    steps: int,
    prediction: str = "epsilon",
    spacing: str = "leading",
    eta: float = 0.0,
    model=stub_denoiser,
    x0: Tensor | None = None,
    strength: float = 1.0,
    settings: dict | None = None,
) -> Tensor:
    """The result of our sampler from Gaussian noise, or from ``x0`` with added noise."""
    schedule = samplers.NoiseSchedule(
        prediction_type=prediction, timestep_spacing=spacing, **(settings or {})
    )
    sampler = samplers.SAMPLERS[name](schedule, steps, strength, eta)
    if x0 is not None:
        x, _ = schedule.add_noise(x0, x, sampler.timesteps[0])
    x, generator = x * sampler.initial_scale, torch.Generator().manual_seed(5)
    for t in sampler.timesteps:
        x = sampler.step(model(x * sampler.input_scale(t), t), t, x, generator)
    return x
