"""Flow matching: paths, losses, conversions, and the identity with a noise schedule's paths."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.diffusion import flow
from course_lib.sd.samplers import DDIM
from course_lib.sd.schedule import FlowSchedule, NoiseSchedule
from tests.support.parity import FLOAT32_TOLERANCE, FLOAT64_TOLERANCE, relative_error
from tests.support.sampling import random_latents, stub_denoiser

SCHEDULES = {
    prediction: NoiseSchedule(prediction_type=prediction, set_alpha_to_one=True)
    for prediction in ("epsilon", "v_prediction")
}
TIMESTEPS = torch.tensor([0, 1, 500, 999])


def toy_predictions(x, t):
    """A model without weights, with a timestep for each image."""
    return torch.cat(
        [stub_denoiser(image[None], time) for image, time in zip(x, t.tolist(), strict=True)]
    )


def pairs(count=4):
    return random_latents(count, 1), random_latents(count, 2)


def test_path_and_velocity():
    x0, noise = pairs()
    t = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    x, velocity = flow.interpolate(x0, noise, t)
    assert torch.equal(x[0], x0[0]) and torch.equal(x[3], noise[3])
    # The velocity is the derivative of the path.
    ahead, _ = flow.interpolate(x0[:3], noise[:3], t[:3] + 1e-3)
    assert torch.allclose((ahead - x[:3]) / 1e-3, velocity[:3])
    with_schedule, same_velocity = FlowSchedule().add_noise(x0, noise, 1000 * t)
    assert relative_error(with_schedule, x) <= FLOAT64_TOLERANCE
    assert torch.equal(same_velocity, velocity)


def test_loss_is_the_error_of_the_velocity():
    x0, noise = pairs()
    t = torch.linspace(0, 1, 4, dtype=torch.float64)
    assert flow.compute_loss(lambda x, t: noise - x0, x0, t, noise) == 0
    wrong_by_two = flow.compute_loss(lambda x, t: noise - x0 + 2, x0, t, noise)
    assert wrong_by_two == pytest.approx(4)
    # With noise drawn inside: x is on the way to it.
    torch.manual_seed(0)
    drawn = torch.randn_like(x0)
    torch.manual_seed(0)
    x, velocity = flow.interpolate(x0, drawn, t)
    loss = flow.compute_loss(lambda got, t: velocity + (got - x), x0, t)
    assert loss.item() <= FLOAT64_TOLERANCE


def test_gradient_of_the_loss_reaches_the_model():
    model = nn.Conv2d(4, 4, 1).double()
    x0, _ = pairs()
    flow.compute_loss(lambda x, t: model(x), x0, flow.draw_times(len(x0)).double()).backward()
    assert model.weight.grad.abs().max() > 0


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (1.0, 0.5)])
def test_times_are_logit_normal(mean, std):
    times = flow.draw_times(100_000, mean, std, torch.Generator().manual_seed(0))
    assert ((times > 0) & (times < 1)).all()
    logits = torch.logit(times.double())
    assert logits.mean().item() == pytest.approx(mean, abs=0.02)
    assert logits.std().item() == pytest.approx(std, abs=0.02)
    same = flow.draw_times(100_000, mean, std, torch.Generator().manual_seed(0))
    assert torch.equal(times, same)


@pytest.mark.parametrize("source", flow.PREDICTIONS)
@pytest.mark.parametrize("target", flow.PREDICTIONS)
def test_predictions_are_converted_into_each_other(source, target):
    x0, noise = pairs()
    alpha = torch.tensor([0.9, 0.5, 0.3, 0.2], dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.5, 0.6, 0.9], dtype=torch.float64)  # on no particular path
    a, s = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)
    true = {
        "x0": x0,
        "epsilon": noise,
        "v_prediction": a * noise - s * x0,
        "velocity": noise - x0,
    }
    x = a * x0 + s * noise
    found = flow.convert(true[source], x, alpha, sigma, source, target)
    assert relative_error(found, true[target]) <= FLOAT64_TOLERANCE
    one_for_all = flow.convert(true[source][:1], x[:1], 0.9, 0.1, source, target)
    assert relative_error(one_for_all, true[target][:1]) <= FLOAT64_TOLERANCE


def test_v_of_the_schedule_is_converted():
    x0, noise = pairs()
    schedule = SCHEDULES["v_prediction"]
    noisy, v = schedule.add_noise(x0, noise, TIMESTEPS)
    alpha_bar = schedule.alphas_cumprod[TIMESTEPS]
    factors = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    velocity = flow.convert(v, noisy, *factors, "v_prediction", "velocity")
    assert relative_error(velocity, noise - x0) <= FLOAT64_TOLERANCE


@pytest.mark.parametrize("prediction", SCHEDULES)
def test_noise_schedule_is_a_straight_path_rescaled(prediction):
    """Noisy images, divided by alpha + sigma, are points of the straight path."""
    x0, noise = pairs()
    schedule = SCHEDULES[prediction]
    noisy, _ = schedule.add_noise(x0, noise, TIMESTEPS)
    t = flow.find_flow_time(schedule, TIMESTEPS.double())
    alpha, sigma = flow.find_alpha_sigma(t)
    assert torch.allclose(alpha**2, schedule.alphas_cumprod[TIMESTEPS])
    assert torch.allclose(alpha**2 + sigma**2, torch.ones(4).double())
    x, _ = flow.interpolate(x0, noise, t)
    assert relative_error(noisy / (alpha + sigma).view(-1, 1, 1, 1), x) <= FLOAT64_TOLERANCE


def test_timesteps_and_flow_times_are_inverse():
    schedule = NoiseSchedule()
    timesteps = torch.tensor([0.0, 0.5, 123.4, 999.0], dtype=torch.float64)
    t = flow.find_flow_time(schedule, timesteps)
    assert torch.allclose(flow.find_timestep(schedule, t), timesteps)
    assert flow.find_flow_time(schedule, torch.tensor([999])).item() == pytest.approx(
        0.936, abs=1e-3
    )
    ends = flow.find_timestep(schedule, torch.tensor([0.0, 1.0]))
    assert ends.tolist() == [0, 999] and ends.dtype == torch.float32
    half_noise = flow.find_timestep(schedule, torch.tensor([0.5])).round().int()
    assert schedule.alphas_cumprod[half_noise].item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("prediction", SCHEDULES)
def test_euler_steps_of_the_flow_are_ddim(prediction):
    schedule, noise = SCHEDULES[prediction], random_latents()
    ddim, x = DDIM(schedule, 10), noise
    for t in ddim.timesteps:
        x = ddim.step(stub_denoiser(x, t), t, x)

    times = flow.find_flow_time(schedule, torch.tensor(ddim.timesteps).double())
    alpha, sigma = flow.find_alpha_sigma(times[:1])
    model = flow.read_as_flow(toy_predictions, schedule)
    path = flow.integrate(model, noise / (alpha + sigma), [*times.tolist(), 0.0])
    # DDIM's last step leads to the clean image, where alpha + sigma is 1, only without an offset.
    assert ddim.next_timestep[ddim.timesteps[-1]] == -1
    assert relative_error(path[-1], x) <= 1e-9  # the timesteps are rounded
    assert path.shape == (11, *noise.shape)


def test_flow_of_a_v_model_starts_at_pure_noise():
    noise = random_latents()
    model = flow.read_as_flow(toy_predictions, SCHEDULES["v_prediction"])
    t = torch.ones(2).double()
    v = toy_predictions(noise, torch.tensor([999.0, 999.0]))
    assert relative_error(model(noise, t), noise + v) <= FLOAT64_TOLERANCE
    with pytest.raises(ValueError, match="epsilon cannot be converted where alpha is 0"):
        flow.read_as_flow(toy_predictions, SCHEDULES["epsilon"])(noise, t)


def test_integration_follows_the_velocity():
    """The velocity of a single image, x0, leads there in one step."""
    x0, noise = pairs(2)
    straight = flow.integrate(lambda x, t: (x - x0) / t.view(-1, 1, 1, 1), noise, [1.0, 0.0])
    assert torch.equal(straight[0], noise) and relative_error(straight[-1], x0) <= FLOAT64_TOLERANCE
    seen = []
    half = torch.zeros(2, 1, dtype=torch.float16)
    flow.integrate(lambda x, t: seen.append(t) or x, half, [1.0, 0.999, 0.0])
    assert [t.dtype for t in seen] == [torch.float32] * 2
    assert seen[1].tolist() == pytest.approx([0.999] * 2)


def test_euler_converges_with_first_order():
    def end(steps):
        times = torch.linspace(1, 0, steps + 1).tolist()
        return flow.integrate(lambda x, t: x, torch.ones(1, 1).double(), times)[-1].item()

    exact = torch.tensor(-1.0).double().exp().item()
    assert (end(50) - exact) / (end(100) - exact) == pytest.approx(2, abs=0.05)


def test_curvature_of_known_paths():
    times = torch.linspace(1, 0, 401).tolist()
    t = torch.tensor(times).double().view(-1, 1, 1)
    straight = torch.cat([3 * t, 1 - t], dim=2).expand(-1, 5, -1)
    assert flow.measure_curvature(straight, times) == pytest.approx(0, abs=1e-12)
    # x = t ** 2 has velocity 2 t, which differs from its mean, 1, by 1 / 3 in the mean square.
    assert flow.measure_curvature(t**2, times) == pytest.approx(1 / 3, rel=1e-3)
    uneven = [1.0, 0.9, 0.5, 0.45, 0.0]
    on_line = torch.tensor(uneven).double().view(-1, 1, 1)
    assert flow.measure_curvature(on_line, uneven) == pytest.approx(0, abs=1e-12)


def test_reflow_pairs_are_the_ends_of_paths():
    noise, times = random_latents(), [1.0, 0.5, 0.0]

    def model(x, t):
        return toy_predictions(x, 1000 * t)

    ends = flow.make_reflow_pairs(model, noise, times)
    assert torch.equal(ends.noise, noise)
    assert torch.equal(ends.x0, flow.integrate(model, noise, times)[-1])
    perfect = flow.compute_reflow_loss(lambda x, t: ends.noise - ends.x0, *ends)
    assert perfect == 0
    torch.manual_seed(0)
    t = torch.rand(2)
    torch.manual_seed(0)
    x, velocity = flow.interpolate(ends.x0, ends.noise, t.double())
    expected = F.mse_loss(toy_predictions(x, t), velocity)
    found = flow.compute_reflow_loss(toy_predictions, *ends)
    assert found.item() == pytest.approx(expected.item(), rel=FLOAT32_TOLERANCE)


def test_training_and_reflow_in_two_dimensions():
    """A small network learns two points; reflow makes its paths straighter."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU())
    network.append(nn.Linear(32, 2))

    def model(x, t):
        return network(torch.cat([x, t[:, None].to(x)], dim=1))

    def train(loss, steps):
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

    def two_points():
        return torch.randint(2, (256, 1)) * torch.tensor([[4.0, 0.0]]) - torch.tensor([[2.0, 0.0]])

    train(lambda: flow.compute_loss(model, two_points(), flow.draw_times(256)), 150)
    times = torch.linspace(1, 0, 21).tolist()
    noise = torch.randn(512, 2)
    path = flow.integrate(model, noise, times)
    assert (path[-1].abs() - torch.tensor([2.0, 0.0])).abs().mean() < 0.25
    before = flow.measure_curvature(path, times)

    ends = flow.make_reflow_pairs(model, torch.randn(2048, 2), times)

    def reflow_loss():
        chosen = torch.randint(2048, (256,))
        return flow.compute_reflow_loss(model, ends.noise[chosen], ends.x0[chosen])

    train(reflow_loss, 100)
    after = flow.measure_curvature(flow.integrate(model, noise, times), times)
    assert after < before / 3


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda x: flow.interpolate(x, x, torch.tensor([0.0, 500.0])),
            "t is 0 to 500: give values in .0, 1.; divide timesteps by 1000",
        ),
        (lambda x: flow.draw_times(3, std=-1.0), "std is -1.0: give 0 or more"),
        (
            lambda x: flow.convert(x, x, 1.0, 0.0, "noise", "velocity"),
            "no prediction noise: choose among x0, epsilon, v_prediction, velocity",
        ),
        (
            lambda x: flow.convert(x, x, 1.0, 0.0, "x0", "velocity"),
            "x0 cannot be converted where alpha is 1 and sigma 0",
        ),
        (lambda x: flow.integrate(stub_denoiser, x, [1.0]), "1 times: give a start and an end"),
    ],
)
def test_invalid_arguments_are_rejected(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_latents())
