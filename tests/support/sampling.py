"""The samplers of course_lib.sd beside diffusers' schedulers, on a model that is a formula; and
mistakes put in.
"""

import sys
import warnings
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest import mock

import diffusers
import numpy as np
import torch
from torch import Tensor

from course_lib.sd import samplers

# What stands in the published scheduler/scheduler_config.json of Stable Diffusion 1.4 and 1.5.
PUBLISHED = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
PEERS = {
    "ddpm": diffusers.DDPMScheduler,
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "dpm++": diffusers.DPMSolverMultistepScheduler,
    "pndm": diffusers.PNDMScheduler,
}


def formula(x: Tensor, t: float) -> Tensor:
    """A model without weights: what it says depends on the picture, on the time, and on the place
    in the picture.
    """
    place = torch.arange(x[0].numel()).reshape(x[0].shape).to(x)
    return (
        0.8 * torch.tanh(x * (0.5 + float(t) / 1000) + torch.sin(0.007 * float(t) + place))
        + 0.3 * x
    )


def noise(count: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed)).to(dtype)


class _With:
    """A module in which some names mean something else."""

    def __init__(self, module: ModuleType, **names) -> None:
        self.__dict__.update(names, _module=module)

    def __getattr__(self, name: str):
        return getattr(self._module, name)


@contextmanager
def reckoning_in(dtype: torch.dtype, scheduler: type):
    """diffusers' schedulers reckon in float32 by name: here the name may mean float64. Their noise
    is ours.
    """
    module = sys.modules[scheduler.__module__]

    def draw(shape, generator=None, device=None, dtype=None, layout=None):
        return samplers.gaussian(shape, generator).to(dtype)

    with ExitStack() as stack:
        if dtype == torch.float64:
            stack.enter_context(
                mock.patch.object(module, "torch", _With(torch, float32=torch.float64))
            )
            stack.enter_context(mock.patch.object(module, "np", _With(np, float32=np.float64)))
        stack.enter_context(mock.patch.object(module, "randn_tensor", draw, create=True))
        yield


def peer(name: str, steps: int, prediction: str = "epsilon", spacing: str = "leading"):
    """diffusers' scheduler with the published settings, ready to run."""
    base = diffusers.PNDMScheduler(**PUBLISHED)
    scheduler = PEERS[name].from_config(
        base.config, prediction_type=prediction, timestep_spacing=spacing
    )
    # DDPM's and DDIM's own default is for pictures, not latents
    scheduler.register_to_config(clip_sample=False)
    # Its own "leading" divides the times by one step more than all the others' does.
    given = name == "dpm++" and spacing == "leading"
    with warnings.catch_warnings():
        # diffusers' arithmetic with numpy 2
        warnings.filterwarnings("ignore", "__array", DeprecationWarning)
        scheduler.set_timesteps(
            **{"timesteps": samplers.NoiseSchedule().timesteps(steps)}
            if given
            else {"num_inference_steps": steps}
        )
    return scheduler


def run_peer(
    name: str,
    x: Tensor,
    steps: int,
    prediction="epsilon",
    spacing="leading",
    eta=0.0,
    model=formula,
    clean=None,
    skip=0,
) -> Tensor:
    """Where diffusers' sampler leads from standard Gaussian noise; or from ``clean`` with noise,
    after ``skip`` steps.

    PNDM is given what a v-prediction says of the noise: see
    ``test_pndm_averages_noise_whatever_the_model_says``.
    """
    by_noise = name == "pndm" and prediction == "v_prediction"
    with reckoning_in(x.dtype, PEERS[name]):
        scheduler = peer(name, steps, "epsilon" if by_noise else prediction, spacing)
        times = scheduler.timesteps
        if (
            name == "pndm" and skip
        ):  # two calls for the first step that is left, as without skipping
            times = torch.cat(
                [times[skip + 1 : skip + 2], times[skip + 2 : skip + 3], times[skip + 2 :]]
            )
        elif skip:
            times = times[skip:]
            if hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(skip)
        if clean is not None:
            x = scheduler.add_noise(clean, x, times[:1])
        elif name == "euler":
            # its init_noise_sigma, "trailing" as well as "leading"
            x = x * (scheduler.sigmas[0] ** 2 + 1) ** 0.5
        options = (
            {"generator": torch.Generator().manual_seed(5)} if name in ("ddpm", "ddim") else {}
        )
        if name == "ddim":
            options["eta"] = eta
        for t in times:
            output = model(scheduler.scale_model_input(x, t), t)
            if by_noise:
                share = scheduler.alphas_cumprod[int(t)]
                output = (1 - share) ** 0.5 * x + share**0.5 * output
            x = scheduler.step(output, t, x, **options).prev_sample
    return x


def run_ours(
    name: str, x: Tensor, steps: int, prediction="epsilon", spacing="leading", eta=0.0, model=formula, clean=None,
    strength=1.0, module=samplers,
) -> Tensor:  # fmt: skip
    """Where our sampler leads; ``module``: the samplers, or what a mistake has made of them."""
    schedule = module.NoiseSchedule(prediction_type=prediction, timestep_spacing=spacing)
    sampler = module.SAMPLERS[name](schedule, steps, strength, eta)
    if clean is not None:
        x, _ = schedule.add_noise(clean, x, sampler.timesteps[0])
    x, generator = x * sampler.initial_scale, torch.Generator().manual_seed(5)
    for t in sampler.timesteps:
        x = sampler.step(model(x * sampler.input_scale(t), t), t, x, generator)
    return x


def mutant(name: str, old: str, new: str) -> ModuleType:
    """``course_lib.sd.NAME`` with one piece of its source replaced; the piece must be there exactly
    once.
    """
    origin = Path(find_spec(f"course_lib.sd.{name}").origin)
    source = origin.read_text()
    if source.count(old) != 1:
        raise AssertionError(
            f"{old!r} stands {source.count(old)} times in {origin.name}: mend this test's mistake."
        )
    module = ModuleType(f"mutant_{name}")
    with mock.patch.dict(
        sys.modules, {module.__name__: module}
    ):  # dataclasses look their module up
        exec(compile(source.replace(old, new), f"mutant of {origin.name}", "exec"), module.__dict__)
    return module
