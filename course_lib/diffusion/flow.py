"""Flow matching: straight paths from images to noise, and models of the velocity along them.

On the straight path ``x = (1 - t) * x0 + t * noise``, with t from 0 (the clean image ``x0``) to 1
(Gaussian noise). Its velocity is the derivative with respect to t: ``noise - x0``. A model learns
the mean velocity at ``x`` and ``t``; following it from t = 1 to 0 turns noise into images.

    loss = compute_loss(model, x0, draw_times(len(x0)))
    path = integrate(model, noise, times=[1.0, 0.75, 0.5, 0.25, 0.0])  # path[-1]: the images

Lipman et al. (2023), arXiv:2210.02747; Liu et al. (2022), arXiv:2209.03003, where time runs the
other way; Esser et al. (2024), arXiv:2403.03206. A denoiser of ``course_lib.sd`` becomes a velocity
model with ``lambda x, t: unet(x, 1000 * t, context)``.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Real
from torch import Tensor
from torch.nn import functional as F

from course_lib.sd.schedule import NoiseSchedule

Images = Float[Tensor, "batch *rest"]
Times = Float[Tensor, " batch"]
# The predicted velocity at ``x`` and t, one t per image.
VelocityModel = Callable[[Images, Times], Images]


def interpolate(x0: Images, noise: Images, t: Times) -> tuple[Images, Images]:
    """The points of the straight paths at t, and the velocity there.

    Args:
        x0, noise: the two ends of each path.
        t: in [0, 1], one per image.

    Raises:
        ValueError: if t is out of range.
    """
    if not ((t >= 0) & (t <= 1)).all():
        raise ValueError(
            f"t is {t.min():g} to {t.max():g}: give values in [0, 1]; divide timesteps by 1000."
        )
    t = _per_image(t, x0)
    return (1 - t) * x0 + t * noise, noise - x0


def compute_loss(
    model: VelocityModel, x0: Images, t: Times, noise: Images | None = None
) -> Float[Tensor, ""]:
    """The flow-matching loss: the mean squared error of the predicted velocity.

    Lipman et al. (2023), section 4.1, with Gaussian noise drawn here by default.

    Args:
        x0: clean images or latents.
        t: in [0, 1], one per image; see :func:`draw_times`.
        noise: the other end of each path, for paths that are given.
    """
    t = t.to(x0.device)
    x, velocity = interpolate(x0, torch.randn_like(x0) if noise is None else noise, t)
    return F.mse_loss(model(x, t), velocity)


def draw_times(
    count: int, mean: float = 0.0, std: float = 1.0, generator: torch.Generator | None = None
) -> Float[Tensor, " count"]:
    """Random times for training, from a logit-normal distribution: the sigmoid of a Gaussian.

    Esser et al. (2024), section 3.1: the middle of the path, where the velocity is hardest to
    predict, is drawn most often.

    Args:
        mean, std: of the Gaussian; a positive mean draws more noise.

    Raises:
        ValueError: if ``std`` is negative.
    """
    if std < 0:
        raise ValueError(f"std is {std}: give 0 or more; 1 is usual.")
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


# Each prediction is a * x0 + b * noise; here a and b, from alpha and sigma.
PREDICTIONS: dict[str, Callable] = {
    "x0": lambda alpha, sigma: (1.0, 0.0),
    "epsilon": lambda alpha, sigma: (0.0, 1.0),
    "v_prediction": lambda alpha, sigma: (-sigma, alpha),
    "velocity": lambda alpha, sigma: (-1.0, 1.0),
}


def convert(
    prediction: Images,
    x: Images,
    alpha: Times | float,
    sigma: Times | float,
    source: str,
    target: str,
) -> Images:
    """A model's prediction, written as another one.

    ``x = alpha * x0 + sigma * noise`` and the prediction are two linear equations for x0 and the
    noise; every other prediction is a combination of these. v is that of Salimans and Ho (2022),
    arXiv:2202.00512, section 4.

    Args:
        prediction: what the model predicts at ``x``.
        x: noisy images.
        alpha, sigma: the factors of the clean image and of the noise, one per image or one for all.
        source, target: ``"x0"``, ``"epsilon"`` (the noise), ``"v_prediction"`` or ``"velocity"``.

    Raises:
        ValueError: if a name is unknown, or the prediction says nothing about x0 (the noise, if
            alpha is 0) or about the noise (x0, if sigma is 0).
    """
    unknown = {source, target} - PREDICTIONS.keys()
    if unknown:
        raise ValueError(
            f"There is no prediction {', '.join(sorted(unknown))}: choose among "
            f"{', '.join(PREDICTIONS)}."
        )
    alpha, sigma = _per_image(alpha, x), _per_image(sigma, x)
    a, b = PREDICTIONS[source](alpha, sigma)
    determinant = alpha * b - sigma * a
    if (determinant == 0).any():
        raise ValueError(
            f"{source} cannot be converted where alpha is {alpha.min():g} and sigma "
            f"{sigma.min():g}: x is then a multiple of the prediction. Choose another time, or a "
            "model that predicts v_prediction or velocity."
        )
    x0 = (b * x - sigma * prediction) / determinant
    noise = (alpha * prediction - a * x) / determinant
    a, b = PREDICTIONS[target](alpha, sigma)
    return a * x0 + b * noise


def find_alpha_sigma(t: Times) -> tuple[Times, Times]:
    """The variance-preserving factors, ``alpha ** 2 + sigma ** 2 = 1``, of t on the straight path.

    Both paths are one: ``alpha * x0 + sigma * noise``, divided by ``alpha + sigma``, is the point
    of the straight path at ``t = sigma / (alpha + sigma)``.
    """
    norm = ((1 - t) ** 2 + t**2).sqrt()
    return (1 - t) / norm, t / norm


def find_flow_time(schedule: NoiseSchedule, timestep: Real[Tensor, " batch"]) -> Times:
    """t on the straight path for a timestep of a noise schedule; real timesteps are interpolated.

    Timesteps outside the schedule count as its first or last one.
    """
    times = _flow_times(schedule)
    found = np.interp(timestep.cpu().double(), np.arange(len(times)), times)
    dtype = timestep.dtype if timestep.is_floating_point() else torch.get_default_dtype()
    return torch.from_numpy(found).to(timestep.device, dtype)


def find_timestep(schedule: NoiseSchedule, t: Times) -> Times:
    """The timestep, a real number, at which a noise schedule has the noise of t.

    Times that the schedule does not reach count as its first or last timestep: that of Stable
    Diffusion ends at t = 0.936.
    """
    times = _flow_times(schedule)
    found = np.interp(t.cpu().double(), times, np.arange(len(times)))
    return torch.from_numpy(found).to(t)


def _flow_times(schedule: NoiseSchedule) -> np.ndarray:
    """t on the straight path for every timestep."""
    alpha, sigma = schedule.alphas_cumprod.sqrt(), (1 - schedule.alphas_cumprod).sqrt()
    return (sigma / (alpha + sigma)).numpy()


def read_as_flow(
    model: Callable[[Images, Times], Images], schedule: NoiseSchedule
) -> VelocityModel:
    """The velocity model in a model that predicts noise or v: nothing is trained.

    Euler steps of this flow are DDIM's: Song et al. (2021), arXiv:2010.02502, section 4.3.

    Args:
        model: called with noisy images and timesteps; predicts the schedule's ``prediction_type``.
        schedule: the one that the model was trained with.
    """

    def predict_velocity(x: Images, t: Times) -> Images:
        alpha, sigma = find_alpha_sigma(t)
        noisy = x * _per_image(alpha + sigma, x)
        prediction = model(noisy, find_timestep(schedule, t))
        return convert(prediction, noisy, alpha, sigma, schedule.prediction_type, "velocity")

    return predict_velocity


@torch.no_grad()
def integrate(
    model: VelocityModel, x: Images, times: Sequence[float]
) -> Float[Tensor, "times batch *rest"]:
    """Follow the velocity with Euler's method.

    Args:
        model: called once per step.
        x: the points at the first time, such as Gaussian noise at t = 1.
        times: from 1 to 0 for images from noise; as many steps as times after the first.

    Returns:
        The points at every time, the first of them ``x``.

    Raises:
        ValueError: if there are fewer than two times.
    """
    if len(times) < 2:
        raise ValueError(f"{len(times)} times: give a start and an end, such as [1.0, 0.0].")
    path = [x]
    for t, next_t in zip(times[:-1], times[1:], strict=True):
        # Half precision would round timesteps.
        dtype = torch.promote_types(x.dtype, torch.float32)
        velocity = model(x, torch.full((len(x),), t, dtype=dtype, device=x.device))
        x = x + (next_t - t) * velocity
        path.append(x)
    return torch.stack(path)


def measure_curvature(path: Float[Tensor, "times batch *rest"], times: Sequence[float]) -> float:
    """How far paths are from straight: 0 is straight, and one Euler step is then enough.

    The mean squared difference between the velocity and its mean over the path, divided by the mean
    square of the latter: Liu et al. (2022), arXiv:2209.03003, section 2, where it is not divided.

    Args:
        path: the result of :func:`integrate`, in many steps.
        times: those given to it.
    """
    lengths = torch.tensor(times, dtype=path.dtype, device=path.device).diff()
    velocities = path.diff(dim=0) / _per_image(lengths, path)
    mean_velocity = (path[-1] - path[0]) / lengths.sum()
    squares = (velocities - mean_velocity).square().flatten(1).mean(1)
    weights = lengths / lengths.sum()
    return ((weights * squares).sum() / mean_velocity.square().mean()).item()


class ReflowPairs(NamedTuple):
    """Noise, and the images that a flow turned it into: the ends of its paths."""

    noise: Images
    x0: Images


def make_reflow_pairs(model: VelocityModel, noise: Images, times: Sequence[float]) -> ReflowPairs:
    """The pairs for reflow: Liu et al. (2022), arXiv:2209.03003, algorithm 1.

    A model trained on straight lines between these ends has straighter paths than ``model``, since
    the lines cross less often than those between images and independent noise.

    Args:
        noise: Gaussian, at the first of the times.
        times: as for :func:`integrate`: from the noise, in enough steps for good images, to 0.
    """
    return ReflowPairs(noise, integrate(model, noise, times)[-1])


def compute_reflow_loss(model: VelocityModel, noise: Images, x0: Images) -> Float[Tensor, ""]:
    """:func:`compute_loss` on straight lines between given pairs, at uniformly distributed times.

    ``noise``, ``x0``: from :func:`make_reflow_pairs`.
    """
    t = torch.rand(len(x0), device=x0.device)
    return compute_loss(model, x0, t, noise)


def _per_image(values: Tensor | float, images: Tensor) -> Tensor:
    """One value per image, or one for all, in a shape that multiplies the images."""
    values = torch.as_tensor(values, dtype=images.dtype, device=images.device)
    return values.view(-1, *[1] * (images.ndim - 1))
