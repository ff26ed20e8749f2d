"""The flow schedule and its sampler give diffusers' results, and reject invalid settings."""

import numpy as np
import pytest
import torch

from course_lib.sd.samplers import (
    FLOW_SAMPLERS,
    SAMPLERS,
    FlowMatchEuler,
    NoiseSchedule,
    gaussian,
)
from course_lib.sd.schedule import FlowSchedule
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    relative_error,
)
from tests.support.sampling import comparable, random_latents, scheduler_class, stub_denoiser
from tests.support.small_sd import small_pipeline

SPACINGS = ["linspace", "trailing"]


def diffusers_scheduler(steps, shift=1.0, spacing="linspace"):
    """diffusers' scheduler with the times of Stable Diffusion 3, or of FLUX ("trailing")."""
    scheduler = scheduler_class("flow-euler")(shift=shift)
    if spacing == "linspace":
        scheduler.set_timesteps(steps)
    else:
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps))
    return scheduler


def run_ours(x, steps, shift=1.0, spacing="linspace", strength=1.0, x0=None):
    schedule = FlowSchedule(shift=shift, timestep_spacing=spacing)
    sampler = FlowMatchEuler(schedule, steps, strength)
    if x0 is not None:
        x, _ = schedule.add_noise(x0, x, sampler.timesteps[0])
    x = x * sampler.initial_scale
    for t in sampler.timesteps:
        x = sampler.step(stub_denoiser(x * sampler.input_scale(t), t), t, x)
    return x


def run_diffusers(x, steps, shift=1.0, spacing="linspace", skip=0, x0=None):
    with comparable(x.dtype, "flow-euler"):
        scheduler = diffusers_scheduler(steps, shift, spacing)
        scheduler.set_begin_index(skip)
        times = scheduler.timesteps[skip:]
        if x0 is not None:
            x = scheduler.scale_noise(x0, times[:1], x)
        for t in times:
            x = scheduler.step(stub_denoiser(x, t), t, x).prev_sample
    return x


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shift", [1.0, 3.0, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 4, 28])
def test_sampler_matches_diffusers(steps, shift, spacing, dtype, limit):
    noise = random_latents(dtype=dtype)
    ours = run_ours(noise, steps, shift, spacing)
    assert ours.dtype == dtype
    assert relative_error(ours, run_diffusers(noise, steps, shift, spacing)) <= limit


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("strength, skip", [(1.0, 0), (0.8, 2), (0.1, 9)])
def test_changing_an_image_matches_diffusers(strength, skip, spacing):
    x0, noise = random_latents(seed=1).clamp(-1, 1), random_latents()
    ours = run_ours(noise, 10, 3.0, spacing, strength, x0)
    assert (
        relative_error(ours, run_diffusers(noise, 10, 3.0, spacing, skip, x0)) <= FLOAT64_TOLERANCE
    )


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_timesteps_match_diffusers(shift, spacing):
    for steps in (1, 2, 3, 7, 28, 50):
        schedule = FlowSchedule(shift=shift, timestep_spacing=spacing)
        theirs = diffusers_scheduler(steps, shift, spacing)
        sampler = FlowMatchEuler(schedule, steps)
        assert sampler.timesteps == pytest.approx(theirs.timesteps.tolist(), rel=1e-6), steps
        sigmas = [sampler.alpha_sigma(t)[1] for t in (*sampler.timesteps, 0.0)]
        assert sigmas == pytest.approx(theirs.sigmas.tolist(), rel=1e-6), steps


def test_few_trailing_steps_are_evenly_spaced():
    assert FlowSchedule().timesteps(4) == [1000, 750, 500, 250]
    assert FlowSchedule(shift=3.0).timesteps(2) == pytest.approx([1000, 750])


def test_noisy_image_and_velocity():
    x0, noise = random_latents(3, 1), random_latents(3, 2)
    times = torch.tensor([0, 250, 1000])
    noisy, velocity = FlowSchedule().add_noise(x0, noise, times)
    assert torch.equal(noisy[0], x0[0]) and torch.equal(noisy[2], noise[2])
    assert torch.allclose(noisy[1], 0.75 * x0[1] + 0.25 * noise[1])
    assert torch.equal(velocity, noise - x0)
    one_time, _ = FlowSchedule().add_noise(x0.float(), noise.float(), 250.0)
    assert one_time.dtype == torch.float32
    assert relative_error(one_time[1], noisy[1].float()) <= FLOAT32_TOLERANCE


def test_x0_and_eps_of_the_true_velocity():
    x0, noise = random_latents(seed=1), random_latents(seed=2)
    sampler = FlowMatchEuler(FlowSchedule(), 5)
    for t in sampler.timesteps:
        x, velocity = sampler.schedule.add_noise(x0, noise, t)
        predicted_x0, predicted_eps = sampler.predict_x0_eps(velocity, t, x)
        assert relative_error(predicted_x0, x0) <= FLOAT64_TOLERANCE
        assert relative_error(predicted_eps, noise) <= FLOAT64_TOLERANCE
        next_x, _ = sampler.schedule.add_noise(x0, noise, sampler.next_timestep[t])
        assert relative_error(sampler.step(velocity, t, x), next_x) <= FLOAT64_TOLERANCE


def test_pipeline_generates_with_a_flow_schedule():
    pipeline = small_pipeline()
    pipeline.schedule = FlowSchedule()
    latents = []
    options = {"steps": 3, "seed": 4, "guidance": 2.0, "sampler": "flow-euler"}
    pipeline.generate("a fox", **options, callback=lambda step, t, x: latents.append(x))

    x = gaussian((1, 4, 8, 8), torch.Generator().manual_seed(4))
    ids, _ = pipeline.tokenizer.encode(["", "a fox"])
    with torch.no_grad():
        context = pipeline.text_encoder(ids)
        for t, next_t in [(1.0, 2 / 3), (2 / 3, 1 / 3), (1 / 3, 0.0)]:
            uncond, cond = pipeline.unet(torch.cat([x, x]), 1000 * t, context).split(1)
            x = x + (next_t - t) * (uncond + 2 * (cond - uncond))
    assert relative_error(latents[-1], x) <= FLOAT32_TOLERANCE
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    changed = pipeline.generate("a fox", **options, image=image, strength=0.7)
    assert changed.shape == (1, 3, 32, 32) and changed.isfinite().all()
    with pytest.raises(ValueError, match="no sampler 'pndm': choose one of flow-euler"):
        pipeline.generate("a fox", sampler="pndm")


def test_schedule_and_sampler_must_belong_together():
    with pytest.raises(ValueError, match="needs a FlowSchedule. For a NoiseSchedule, choose one"):
        FlowMatchEuler(NoiseSchedule(), 10)
    for name, sampler in SAMPLERS.items():
        assert name not in FLOW_SAMPLERS
        with pytest.raises(ValueError, match="needs a NoiseSchedule.*choose flow-euler"):
            sampler(FlowSchedule(), 10)
    with pytest.raises(ValueError, match="steps \\* strength at least 1"):
        FlowMatchEuler(FlowSchedule(), 10, 0.05)
    with pytest.raises(ValueError, match="0 steps: take at least 1"):
        FlowSchedule().timesteps(0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"prediction_type": "epsilon"}, "'epsilon': give velocity"),
        ({"timestep_spacing": "leading"}, "'leading': give linspace or trailing"),
        ({"num_train_timesteps": 1}, "is 1: give 2 to 1,000,000"),
        ({"shift": 0.0}, "shift is 0.0: give a number above 0"),
        ({"shift": float("inf")}, "shift is inf"),
    ],
)
def test_invalid_settings_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        FlowSchedule(**options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_step_keeps_shape_and_dtype_and_its_input(dtype):
    sampler = FlowMatchEuler(FlowSchedule(), 3)
    for t in sampler.timesteps:
        x = random_latents(3, dtype=dtype)[:, 0]
        copy = x.clone()
        next_x = sampler.step(0.1 * x, t, x)
        assert torch.equal(x, copy)
        assert next_x.dtype == dtype and next_x.shape == x.shape
