"""The samplers go where diffusers' go, are what their papers say, and refuse what cannot work."""

from math import log2

import diffusers
import pytest
import torch

from course_lib.sd.samplers import DDIM, DDPM, SAMPLERS, DPMSolverPP, Euler, NoiseSchedule, gaussian
from tests.support.parity import EXACT, SINGLE, apart
from tests.support.sampling import (
    PEERS,
    PUBLISHED,
    formula,
    noise,
    peer,
    reckoning_in,
    run_ours,
    run_peer,
)

KINDS = [
    ("ddpm", 0.0),
    ("ddim", 0.0),
    ("ddim", 0.5),
    ("ddim", 1.0),
    ("euler", 0.0),
    ("dpm++", 0.0),
    ("pndm", 0.0),
]
BARS = [(torch.float32, SINGLE), (torch.float64, EXACT)]


@pytest.mark.parametrize("dtype, bar", BARS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name, eta", KINDS)
def test_it_goes_where_the_peer_goes(name, eta, prediction, spacing, dtype, bar):
    if name == "ddpm" and dtype == torch.float64:
        bar = 1e-9  # diffusers' adds noise with a deviation of 1e-10 after the last step
    for steps in (10, 20, 50):
        ours = run_ours(name, noise(dtype=dtype), steps, prediction, spacing, eta)
        assert ours.dtype == dtype
        assert (
            apart(ours, run_peer(name, noise(dtype=dtype), steps, prediction, spacing, eta)) <= bar
        ), steps


@pytest.mark.parametrize("dtype, bar", BARS)
@pytest.mark.parametrize("strength, skip", [(1.0, 0), (0.8, 2), (0.35, 7), (0.1, 9)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_picture_is_changed_as_the_peer_changes_it(name, strength, skip, dtype, bar):
    if name == "ddpm" and dtype == torch.float64:
        bar = 1e-9
    clean, drawn = noise(seed=1, dtype=dtype).clamp(-1, 1), noise(dtype=dtype)
    ours = run_ours(name, drawn, 10, clean=clean, strength=strength)
    assert apart(ours, run_peer(name, drawn, 10, clean=clean, skip=skip)) <= bar


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_times_are_the_peers(name, spacing):
    for steps in (1, 2, 3, 7, 10, 20, 25, 30, 50, 99, 100, 250):
        sampler = SAMPLERS[name](NoiseSchedule(timestep_spacing=spacing), steps)
        assert sampler.timesteps == [
            int(t) for t in peer(name, steps, spacing=spacing).timesteps
        ], steps


@pytest.mark.parametrize("dtype, bar", BARS)
def test_noise_is_put_in_as_the_peer_puts_it_in(dtype, bar):
    clean, drawn, times = noise(4, 1, dtype), noise(4, 2, dtype), torch.tensor([0, 1, 500, 999])
    schedule = NoiseSchedule()
    with reckoning_in(dtype, diffusers.DDPMScheduler):
        theirs = peer("ddpm", 10)
        assert apart(schedule.alphas_cumprod.to(dtype), theirs.alphas_cumprod) <= bar
        noisy, target = schedule.add_noise(clean, drawn, times)
        assert apart(noisy, theirs.add_noise(clean, drawn, times)) <= bar and target is drawn
        same, speed = NoiseSchedule(prediction_type="v_prediction").add_noise(clean, drawn, times)
        assert apart(speed, theirs.get_velocity(clean, drawn, times)) <= bar and torch.equal(
            same, noisy
        )
    one, _ = schedule.add_noise(clean, drawn, 500)
    assert torch.equal(one[2], noisy[2]) and one.dtype == speed.dtype == dtype


@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_a_picture_with_noise_is_what_the_peer_begins_with(name):
    """Euler works on what the others have divided by the signal, at the start of a change too."""
    clean, drawn = noise(seed=1), noise(seed=2)
    sampler = SAMPLERS[name](NoiseSchedule(), 10, 0.5)
    with reckoning_in(torch.float64, PEERS[name]):
        theirs = peer(name, 10).add_noise(clean, drawn, torch.tensor(sampler.timesteps[:1]))
    ours = sampler.schedule.add_noise(clean, drawn, sampler.timesteps[0])[0] * sampler.initial_scale
    assert apart(ours, theirs) <= EXACT


def test_other_numbers_than_stable_diffusions():
    numbers = {"num_train_timesteps": 200, "beta_start": 1e-4, "beta_end": 0.05}
    schedule = NoiseSchedule(**numbers, steps_offset=0)
    with reckoning_in(torch.float64, diffusers.DDIMScheduler):
        options = PUBLISHED | numbers | {"steps_offset": 0, "clip_sample": False}
        del options["skip_prk_steps"]
        theirs = diffusers.DDIMScheduler(**options)
        theirs.set_timesteps(8)
        sampler, x, y = DDIM(schedule, 8), noise(), noise()
        assert sampler.timesteps == theirs.timesteps.tolist()
        for t in sampler.timesteps:
            x = sampler.step(formula(x, t), t, x)
            y = theirs.step(formula(y, t), t, y).prev_sample
    assert apart(x, y) <= EXACT


def whole(name):
    """DDIM, but to the very end, where no noise is left."""
    return type(name, (DDIM,), {"end": -1})


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_samplers_are_one_family(prediction):
    """DDPM is DDIM with eta 1; Euler is DDIM in other units; DPM-Solver++ is DDIM where it does not
    extrapolate.
    """

    class FirstOrder(DPMSolverPP):
        before = property(lambda self: None, lambda self, value: None)

    def run(kind, eta=0.0):
        sampler, x = kind(NoiseSchedule(prediction_type=prediction), 20, eta=eta), noise()
        x, generator = x * sampler.initial_scale, torch.Generator().manual_seed(3)
        for t in sampler.timesteps:
            x = sampler.step(formula(x * sampler.input_scale(t), t), t, x, generator)
        return x

    ddim = whole("ddim")
    assert apart(run(DDPM), run(ddim, eta=1.0)) <= EXACT
    assert apart(run(Euler), run(ddim)) <= EXACT
    assert apart(run(FirstOrder), run(ddim)) <= EXACT
    assert apart(run(DPMSolverPP), run(ddim)) > 1e-3
    assert apart(run(DDPM), run(ddim)) > 0.1


MEAN, VARIANCE = noise(1, 8), 0.01 + 0.3 * noise(1, 9).sigmoid()


def knows(x, t, prediction="epsilon"):
    """The perfect model of pictures that are Gaussian, each value with its own mean and
    variance.
    """
    share = NoiseSchedule().alphas_cumprod[int(t)]
    signal, amount = share.sqrt(), (1 - share).sqrt()
    inside = amount * (x - signal * MEAN) / (share * VARIANCE + 1 - share)
    return (
        inside
        if prediction == "epsilon"
        else signal * inside - amount * (x - amount * inside) / signal
    )


def off(run, name, steps, prediction):
    """How far from the exact solution a run ends: a Gaussian's values keep their distance in
    standard deviations.
    """
    schedule = NoiseSchedule()

    def place(t):
        share = schedule.alphas_cumprod[t]
        return share.sqrt() * MEAN, (share * VARIANCE + 1 - share).sqrt()

    (middle, width), (end, narrow) = place(schedule.timesteps(steps)[0]), place(0)
    ours = run(name, noise(), steps, prediction, model=lambda x, t: knows(x, t, prediction))
    return apart(ours, end + narrow * (noise() - middle) / width)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_pndm_averages_noise_whatever_the_model_says(prediction):
    """As in the paper, what is averaged is noise: then it beats DDIM from 10 steps on, by noise and
    by v alike.

    diffusers' averages v as it comes, which turns with the picture, and is then no better than
    DDIM; so the parity above is with its PNDM on the noise.
    """
    for steps in (10, 20, 50):
        assert off(run_ours, "pndm", steps, prediction) < 0.6 * off(
            run_ours, "ddim", steps, prediction
        )


@pytest.mark.parametrize("name, order", [("ddim", 1), ("euler", 1), ("dpm++", 2), ("pndm", 2)])
def test_twice_the_steps_divide_the_error_as_the_order_says(name, order):
    """Down to time 200, on the perfect model: by two for the first order, by four and more for the
    second.
    """

    def error(steps):
        schedule = NoiseSchedule(timestep_spacing="trailing")
        sampler, x = SAMPLERS[name](schedule, steps), noise()
        start, stop = (schedule.alphas_cumprod[t] for t in (999, 199))
        unit = (x - start.sqrt() * MEAN) / (start * VARIANCE + 1 - start).sqrt()
        x = x * sampler.initial_scale
        for t in [t for t in sampler.timesteps if t > 199]:
            x = sampler.step(knows(x * sampler.input_scale(t), t), t, x)
        return apart(
            x * sampler.input_scale(199),
            stop.sqrt() * MEAN + unit * (stop * VARIANCE + 1 - stop).sqrt(),
        )

    assert log2(error(50) / error(100)) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize(
    "steps, spacing",
    [
        (1000, "leading"),
        (600, "leading"),
        (334, "leading"),
        (0, "leading"),
        # fmt: skip
        (-1, "leading"),
        (0, "trailing"),
        (1001, "trailing"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps, spacing):
    """1,000 steps from an offset of 1 would begin at a time that is not there; 600, in the middle
    of the noise.
    """
    with pytest.raises(
        ValueError, match=r"take 1 to 100 steps; with timestep_spacing='trailing', up to 1000"
    ):
        NoiseSchedule(timestep_spacing=spacing).timesteps(steps)


def test_a_thousand_steps_are_every_time_once():
    assert NoiseSchedule(timestep_spacing="trailing").timesteps(1000) == list(range(999, -1, -1))
    assert NoiseSchedule(steps_offset=0).timesteps(1000) == list(range(999, -1, -1))
    assert NoiseSchedule().timesteps(999) == list(range(999, 0, -1))
    for name in SAMPLERS:
        ended = run_ours(name, noise(1), 1000, spacing="trailing")
        assert ended.isfinite().all() and ended.abs().max() < 100


@pytest.mark.parametrize(
    "steps, strength", [(10, 0.0), (10, -1.0), (10, 1.01), (10, 0.09), (0, 1.0)]
)
def test_a_strength_that_leaves_nothing_to_do_is_refused(steps, strength):
    with pytest.raises(ValueError, match="take more steps, or a strength up to 1"):
        DDPM(NoiseSchedule(), steps, strength)


def test_unknown_settings_are_refused():
    for wrong in ({"prediction_type": "sample"}, {"timestep_spacing": "linspace"}):
        with pytest.raises(
            ValueError, match="give epsilon or v_prediction, and leading or trailing"
        ):
            NoiseSchedule(**wrong)


def test_noise_of_several_seeds_is_that_of_each_alone():
    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    drawn = gaussian((3, 4, 5, 5), [seeded(7), seeded(8), seeded(9)])
    assert torch.equal(drawn[1:2], gaussian((1, 4, 5, 5), seeded(8))) and drawn.shape == (
        3,
        4,
        5,
        5,
    )
    torch.manual_seed(7)
    assert torch.equal(gaussian((2, 3)), gaussian((2, 3), seeded(7)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_keeps_what_it_is_given(name, dtype):
    """Neither shape nor type changes, and the picture before the step is left alone."""
    sampler = SAMPLERS[name](NoiseSchedule(), 5, eta=0.5)
    for t in sampler.timesteps:
        x = noise(3, dtype=dtype)[:, 0]
        before = x.clone()
        after = sampler.step(0.1 * x, t, x)
        assert (
            torch.equal(x, before)
            and after.dtype == dtype
            and after.shape == x.shape
            and after.isfinite().all()
        )
