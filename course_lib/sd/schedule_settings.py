"""The noise schedule in ``scheduler/scheduler_config.json``; unsupported settings are rejected.

The file configures one of diffusers' schedulers, whose defaults replace missing settings. The
schedule is a property of the weights; the sampler is a choice, by default the one in the file.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from course_lib.sd.samplers import SAMPLERS
from course_lib.sd.schedule import NoiseSchedule
from course_lib.sd.settings import read_json, reject
from course_lib.sd.tensor_files import shown

# diffusers' schedulers, and our sampler for each.
_SAMPLERS = {
    "DDPMScheduler": "ddpm",
    "DDIMScheduler": "ddim",
    "EulerDiscreteScheduler": "euler",
    "DPMSolverMultistepScheduler": "dpm++",
    "PNDMScheduler": "pndm",
}
# Schedulers with a compatible noise schedule, but without a sampler here.
_OTHER_SCHEDULERS = (
    "DEISMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "UniPCMultistepScheduler",
)
# diffusers' defaults for missing settings; below, the defaults that differ by scheduler.
_COMMON = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "timestep_spacing": "linspace",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "DDPMScheduler": {"timestep_spacing": "leading"},
    "DDIMScheduler": {"timestep_spacing": "leading", "set_alpha_to_one": True},
    "PNDMScheduler": {"timestep_spacing": "leading", "skip_prk_steps": False},
    "HeunDiscreteScheduler": {"beta_start": 0.00085, "beta_end": 0.012},
    "KDPM2DiscreteScheduler": {"beta_start": 0.00085, "beta_end": 0.012},
    "KDPM2AncestralDiscreteScheduler": {"beta_start": 0.00085, "beta_end": 0.012},
    "DPMSolverSDEScheduler": {"beta_start": 0.00085, "beta_end": 0.012},
    "LCMScheduler": {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "timestep_spacing": "leading",
        "set_alpha_to_one": True,
    },
}
# By timestep_spacing, the samplers whose steps or initial noise can differ from those of diffusers'
# scheduler. For example, its DDIM and PNDM step by 1000 // steps, even past the next timestep.
_DIFFERENT_STEPS = {
    "leading": ("dpm++",),
    "linspace": ("ddim", "dpm++", "euler", "pndm"),
    "trailing": ("ddim", "euler", "pndm"),
}
_OFF = (False, None)
# Settings of our five samplers that must have one of these values.
_FIXED: dict[str, tuple] = {
    "algorithm_type": ("dpmsolver++",),
    "euler_at_final": _OFF,
    "final_sigmas_type": ("zero",),
    "interpolation_type": ("linear",),
    "lambda_min_clipped": (-float("inf"),),
    "lower_order_final": (True,),
    "sigma_max": (None,),
    "sigma_min": (None,),
    "skip_prk_steps": (True,),
    "solver_order": (2,),
    "solver_type": ("midpoint",),
    "thresholding": _OFF,
    "timestep_type": ("discrete",),
    "use_beta_sigmas": _OFF,
    "use_dynamic_shifting": _OFF,
    "use_exponential_sigmas": _OFF,
    "use_flow_sigmas": _OFF,
    "use_karras_sigmas": _OFF,
    "use_lu_lambdas": _OFF,
    "variance_type": (None, "fixed_small"),
}
# They only apply together with a setting that must be off; clip_sample is for pixels, and diffusers
# turns it off for latents.
_WITHOUT_EFFECT = (
    "clip_sample",
    "clip_sample_range",
    "dynamic_thresholding_ratio",
    "flow_shift",
    "sample_max_value",
    "time_shift_type",
)
_SCHEDULE = ("beta_schedule", *(field.name for field in fields(NoiseSchedule)))


@dataclass(frozen=True)
class ScheduleSettings:
    """The contents of ``scheduler_config.json``.

    Attributes:
        schedule: the noise schedule.
        sampler: a name in ``SAMPLERS``: the file's sampler, or one that supports the schedule.
        notes: sentences on settings that are ignored or replaced.
    """

    schedule: NoiseSchedule = NoiseSchedule()
    sampler: str = "pndm"
    notes: tuple[str, ...] = ()


def read_schedule(file: Path) -> ScheduleSettings:
    """The noise schedule and the sampler of a ``scheduler_config.json``.

    A missing ``steps_offset``, or 0, is read as 1, as in diffusers' pipeline: the first published
    files were wrong.

    Raises:
        ValueError: if the file cannot be read, or has a setting that our samplers do not support.
    """
    settings = read_json(file)
    scheduler = settings.get("_class_name")
    if scheduler is not None and scheduler not in (*_SAMPLERS, *_OTHER_SCHEDULERS):
        reject(file, "_class_name", scheduler, "PNDMScheduler")
    if scheduler is not None:
        settings = _COMMON | _DEFAULTS.get(scheduler, {}) | settings
    if scheduler not in _OTHER_SCHEDULERS:
        for key, allowed in _FIXED.items():
            if key in settings and settings[key] not in allowed:
                raise ValueError(
                    f"{file}: {key} is {shown(repr(settings[key]))}, which the samplers here do "
                    f"not support. Change it to {json.dumps(allowed[0])} to generate without it."
                )
    expected = "scaled_linear"
    if (
        settings.get("trained_betas") is None
        and settings.get("beta_schedule", expected) != expected
    ):
        reject(file, "beta_schedule", settings["beta_schedule"], expected)
    chosen = {key: settings[key] for key in _SCHEDULE[1:] if key in settings}
    offset = chosen.get("steps_offset", 1)
    if isinstance(offset, bool) or offset not in (0, 1):
        reject(file, "steps_offset", offset, 1)
    try:
        schedule = _build(chosen | {"steps_offset": 1})
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    sampler = _choose_sampler(scheduler, schedule)
    return ScheduleSettings(schedule, sampler, tuple(_notes(file, settings, sampler)))


def _build(chosen: dict[str, Any]) -> NoiseSchedule:
    """The schedule; raises a ValueError if a setting has the wrong type."""
    for key, value in chosen.items():
        default = NoiseSchedule.__dataclass_fields__[key].default
        if key == "trained_betas":
            valid = value is None or (isinstance(value, list) and all(map(_is_number, value)))
        elif isinstance(default, float):
            valid = _is_number(value)
        else:
            valid = type(value) is type(default)
        if not valid:
            raise ValueError(f"{key} is {shown(repr(value))}, expected a value like {default!r}.")
    betas = chosen.get("trained_betas")
    return NoiseSchedule(**chosen | {"trained_betas": None if betas is None else tuple(betas)})


def _is_number(value: Any) -> bool:
    # an integer that is too large for a float is not a number here
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1023)


def _choose_sampler(scheduler: str | None, schedule: NoiseSchedule) -> str:
    """The scheduler's sampler; DDIM if that does not support the schedule."""
    sampler = _SAMPLERS.get(scheduler or "", "pndm")
    if schedule.rescale_betas_zero_snr and not SAMPLERS[sampler].supports_zero_terminal_snr:
        return "ddim"
    return sampler


def _notes(file: Path, settings: dict[str, Any], sampler: str) -> list[str]:
    notes = []
    scheduler = settings.get("_class_name")
    if scheduler in _OTHER_SCHEDULERS or _SAMPLERS.get(str(scheduler), sampler) != sampler:
        notes.append(
            f"{scheduler} of {file.name} is not among the samplers here for this schedule; by "
            f"default {sampler} is used."
        )
    elif sampler in _DIFFERENT_STEPS.get(spacing := str(settings.get("timestep_spacing")), ()):
        notes.append(
            f"timestep_spacing of {file.name} is {spacing}: with it, steps or initial noise of "
            f"{sampler} can differ a little from those of diffusers' {scheduler}."
        )
    if settings.get("steps_offset") == 0 and settings.get("timestep_spacing") == "leading":
        notes.append(f"steps_offset of {file.name} is 0; as in diffusers, 1 is used.")
    if settings.get("clip_sample"):
        notes.append(f"clip_sample of {file.name} is for pixels; as in diffusers, it is not used.")
    known = {*_SCHEDULE, *_FIXED, *_WITHOUT_EFFECT}
    unknown = [shown(key) for key in settings if key not in known and not key.startswith("_")]
    if unknown and scheduler not in _OTHER_SCHEDULERS:
        notes.append(f"{file.name} has unknown settings, which are not used: {', '.join(unknown)}.")
    return notes
