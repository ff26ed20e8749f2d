"""The samplers match diffusers, converge as their papers claim, and reject invalid arguments."""

from math import log2

import pytest
import torch

from course_lib.sd import samplers
from course_lib.sd.samplers import DDIM, DDPM, SAMPLERS, DPMSolverPP, Euler, NoiseSchedule, gaussian
from tests.support.parity import (
    FLOAT64_TOLERANCE,
    PRECISIONS,
    relative_error,
)
from tests.support.sampling import (
    PUBLISHED,
    comparable,
    diffusers_scheduler,
    random_latents,
    run_diffusers,
    run_ours,
    scheduler_class,
    stub_denoiser,
)

SAMPLERS_WITH_ETA = [
    ("ddpm", 0.0),
    ("ddim", 0.0),
    ("ddim", 0.5),
    ("ddim", 1.0),
    ("euler", 0.0),
    ("dpm++", 0.0),
    ("pndm", 0.0),
]


def allowed_error(name, dtype, limit):
    """The limit, or 1e-9 for DDPM in float64: diffusers adds noise of 1e-10 after its last step."""
    return 1e-9 if name == "ddpm" and dtype == torch.float64 else limit


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name, eta", SAMPLERS_WITH_ETA)
def test_sampler_matches_diffusers(name, eta, prediction, spacing, dtype, limit):
    for steps in (10, 50):
        noise = random_latents(dtype=dtype)
        ours = run_ours(name, noise, steps, prediction, spacing, eta)
        theirs = run_diffusers(name, noise, steps, prediction, spacing, eta)
        assert ours.dtype == dtype
        assert relative_error(ours, theirs) <= allowed_error(name, dtype, limit), steps


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("strength, skip", [(1.0, 0), (0.8, 2), (0.35, 7), (0.1, 9)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_image_to_image_matches_diffusers(name, strength, skip, dtype, limit):
    x0, noise = random_latents(seed=1, dtype=dtype).clamp(-1, 1), random_latents(dtype=dtype)
    ours = run_ours(name, noise, 10, x0=x0, strength=strength)
    theirs = run_diffusers(name, noise, 10, x0=x0, skip=skip)
    assert relative_error(ours, theirs) <= allowed_error(name, dtype, limit)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_timesteps_match_diffusers(name, spacing):
    for steps in (1, 2, 3, 7, 10, 20, 25, 30, 50, 99, 100, 250):
        sampler = SAMPLERS[name](NoiseSchedule(timestep_spacing=spacing), steps)
        theirs = diffusers_scheduler(name, steps, spacing=spacing)
        assert sampler.timesteps == [int(t) for t in theirs.timesteps], steps


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
def test_add_noise_matches_diffusers(dtype, limit):
    x0, noise = random_latents(4, 1, dtype), random_latents(4, 2, dtype)
    times = torch.tensor([0, 1, 500, 999])
    schedule = NoiseSchedule()
    with comparable(dtype, "ddpm"):
        theirs = diffusers_scheduler("ddpm", 10)
        ours = schedule.alphas_cumprod.to(dtype)
        assert relative_error(ours, theirs.alphas_cumprod) <= limit
        noisy, target = schedule.add_noise(x0, noise, times)
        assert relative_error(noisy, theirs.add_noise(x0, noise, times)) <= limit
        assert target is noise
        with_v = NoiseSchedule(prediction_type="v_prediction")
        same_noisy, v = with_v.add_noise(x0, noise, times)
        assert relative_error(v, theirs.get_velocity(x0, noise, times)) <= limit
        assert torch.equal(same_noisy, noisy)
    one_time, _ = schedule.add_noise(x0, noise, 500)
    assert torch.equal(one_time[2], noisy[2])
    assert one_time.dtype == v.dtype == dtype


@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_noisy_image_matches_diffusers(name):
    """The initial noisy image of image-to-image matches; Euler's is divided by alpha."""
    x0, noise = random_latents(seed=1), random_latents(seed=2)
    sampler = SAMPLERS[name](NoiseSchedule(), 10, 0.5)
    first = sampler.timesteps[0]
    with comparable(torch.float64, name):
        theirs = diffusers_scheduler(name, 10).add_noise(x0, noise, torch.tensor([first]))
    noisy, _ = sampler.schedule.add_noise(x0, noise, first)
    assert relative_error(noisy * sampler.initial_scale, theirs) <= FLOAT64_TOLERANCE


def test_custom_schedule_matches_diffusers():
    numbers = {"num_train_timesteps": 200, "beta_start": 1e-4, "beta_end": 0.05, "steps_offset": 0}
    schedule = NoiseSchedule(**numbers)
    with comparable(torch.float64, "ddim"):
        options = PUBLISHED | numbers | {"clip_sample": False}
        del options["skip_prk_steps"]
        theirs = scheduler_class("ddim")(**options)
        theirs.set_timesteps(8)
        sampler, ours_x, their_x = DDIM(schedule, 8), random_latents(), random_latents()
        assert sampler.timesteps == theirs.timesteps.tolist()
        for t in sampler.timesteps:
            ours_x = sampler.step(stub_denoiser(ours_x, t), t, ours_x)
            their_x = theirs.step(stub_denoiser(their_x, t), t, their_x).prev_sample
    assert relative_error(ours_x, their_x) <= FLOAT64_TOLERANCE


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_samplers_reduce_to_ddim(prediction):
    """DDPM equals DDIM with eta 1, Euler equals DDIM after rescaling, and DPM-Solver++ of first
    order equals DDIM.
    """

    class NoiseFreeEnd(DDIM):
        final_timestep = -1

    class FirstOrder(DPMSolverPP):
        previous = property(lambda self: None, lambda self, value: None)

    def run(sampler_class, eta=0.0):
        sampler = sampler_class(NoiseSchedule(prediction_type=prediction), 20, eta=eta)
        x, generator = random_latents() * sampler.initial_scale, torch.Generator().manual_seed(3)
        for t in sampler.timesteps:
            x = sampler.step(stub_denoiser(x * sampler.input_scale(t), t), t, x, generator)
        return x

    ddim = run(NoiseFreeEnd)
    assert relative_error(run(DDPM), run(NoiseFreeEnd, eta=1.0)) <= FLOAT64_TOLERANCE
    assert relative_error(run(Euler), ddim) <= FLOAT64_TOLERANCE
    assert relative_error(run(FirstOrder), ddim) <= FLOAT64_TOLERANCE
    assert relative_error(run(DPMSolverPP), ddim) > 1e-3
    assert relative_error(run(DDPM), ddim) > 0.1


# A data distribution with a known optimal model and exact solution: independent Gaussians.
MEAN, VARIANCE = random_latents(1, 8), 0.01 + 0.3 * random_latents(1, 9).sigmoid()


def optimal_model(x, t, prediction="epsilon"):
    alpha_bar = NoiseSchedule().alphas_cumprod[int(t)]
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    eps = sigma * (x - alpha * MEAN) / (alpha_bar * VARIANCE + 1 - alpha_bar)
    return eps if prediction == "epsilon" else alpha * eps - sigma * (x - sigma * eps) / alpha


def marginal(alpha_bar):
    """Mean and standard deviation of the noisy data at a noise level."""
    return alpha_bar.sqrt() * MEAN, (alpha_bar * VARIANCE + 1 - alpha_bar).sqrt()


def discretisation_error(run, name, steps, prediction):
    """The error of a run with the optimal model.

    The exact solution keeps each value's z-score.
    """
    schedule = NoiseSchedule()
    first_mean, first_std = marginal(schedule.alphas_cumprod[schedule.timesteps(steps)[0]])
    last_mean, last_std = marginal(schedule.alphas_cumprod[0])
    exact = last_mean + last_std * (random_latents() - first_mean) / first_std
    result = run(
        name,
        random_latents(),
        steps,
        prediction,
        model=lambda x, t: optimal_model(x, t, prediction),
    )
    return relative_error(result, exact)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_pndm_averages_the_noise_also_for_v_prediction(prediction):
    """PNDM averages the predicted noise, as in the paper, and beats DDIM from 10 steps on.

    diffusers averages v itself and is then not better than DDIM, so the parity tests give
    diffusers' PNDM the predicted noise.
    """
    for steps in (10, 20, 50):
        pndm = discretisation_error(run_ours, "pndm", steps, prediction)
        assert pndm < 0.6 * discretisation_error(run_ours, "ddim", steps, prediction)


@pytest.mark.parametrize("name, order", [("ddim", 1), ("euler", 1), ("dpm++", 2), ("pndm", 2)])
def test_order_of_convergence(name, order):
    """Doubling the number of steps divides the error at timestep 199 by 2 ** order."""

    def error(steps):
        schedule = NoiseSchedule(timestep_spacing="trailing")
        sampler, x = SAMPLERS[name](schedule, steps), random_latents()
        first_mean, first_std = marginal(schedule.alphas_cumprod[999])
        last_mean, last_std = marginal(schedule.alphas_cumprod[199])
        exact = last_mean + last_std * (x - first_mean) / first_std
        x = x * sampler.initial_scale
        for t in [t for t in sampler.timesteps if t > 199]:
            x = sampler.step(optimal_model(x * sampler.input_scale(t), t), t, x)
        return relative_error(x * sampler.input_scale(199), exact)

    assert log2(error(50) / error(100)) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize(
    "steps, spacing",
    [
        (1000, "leading"),
        (600, "leading"),
        (334, "leading"),
        (0, "leading"),
        (-1, "leading"),
        (0, "trailing"),
        (1001, "trailing"),
    ],
)
def test_invalid_numbers_of_steps_are_rejected(steps, spacing):
    """Leading spacing rejects 1,000 steps, which would start outside the schedule, and 600, which
    would start in its middle.
    """
    message = f"{spacing}: take 1 to {100 if spacing == 'leading' else 1000} steps"
    with pytest.raises(ValueError, match=message):
        NoiseSchedule(timestep_spacing=spacing).timesteps(steps)


@pytest.mark.extended
def test_thousand_steps_use_every_timestep_once():
    assert NoiseSchedule(timestep_spacing="trailing").timesteps(1000) == list(range(999, -1, -1))
    assert NoiseSchedule(steps_offset=0).timesteps(1000) == list(range(999, -1, -1))
    assert NoiseSchedule().timesteps(999) == list(range(999, 0, -1))
    for name in SAMPLERS:
        result = run_ours(name, random_latents(1), 1000, spacing="trailing")
        assert result.isfinite().all() and result.abs().max() < 100


@pytest.mark.parametrize(
    "steps, strength", [(10, 0.0), (10, -1.0), (10, 1.01), (10, 0.09), (0, 1.0)]
)
def test_strength_that_leaves_no_step_is_rejected(steps, strength):
    with pytest.raises(ValueError, match="steps \\* strength at least 1"):
        DDPM(NoiseSchedule(), steps, strength)


def test_noise_of_a_seed_does_not_depend_on_the_batch():
    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    batch = gaussian((3, 4, 5, 5), [seeded(7), seeded(8), seeded(9)])
    assert batch.shape == (3, 4, 5, 5)
    assert torch.equal(batch[1:2], gaussian((1, 4, 5, 5), seeded(8)))
    torch.manual_seed(7)
    assert torch.equal(gaussian((2, 3)), gaussian((2, 3), seeded(7)))


@pytest.mark.parametrize(
    ("name", "eta", "draws"), [("ddim", 0.0, 0), ("ddim", 1.0, 2), ("ddpm", 0.0, 1)]
)
def test_noise_is_sampled_only_where_it_is_added(name, eta, draws, monkeypatch):
    """DDIM with eta 0 samples no noise, and DDPM none in its last step, which gives the image."""
    calls = []
    monkeypatch.setattr(
        samplers, "gaussian", lambda shape, generator: calls.append(shape) or torch.zeros(shape)
    )
    sampler, x = SAMPLERS[name](NoiseSchedule(), 2, eta=eta), random_latents()
    for t in sampler.timesteps:
        x = sampler.step(x, t, x)
    assert len(calls) == draws


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SAMPLERS)
def test_step_keeps_shape_and_dtype_and_its_input(name, dtype):
    sampler = SAMPLERS[name](NoiseSchedule(), 5, eta=0.5)
    for t in sampler.timesteps:
        x = random_latents(3, dtype=dtype)[:, 0]
        copy = x.clone()
        next_x = sampler.step(0.1 * x, t, x)
        assert torch.equal(x, copy)
        assert next_x.dtype == dtype and next_x.shape == x.shape
        assert next_x.isfinite().all()
