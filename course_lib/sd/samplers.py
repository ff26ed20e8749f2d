"""The noise schedule, and five samplers that turn noise into images step by step.

    sampler = DDIM(NoiseSchedule(), steps=50)
    x = gaussian(shape) * sampler.initial_scale
    for t in sampler.timesteps:
        x = sampler.step(model(x * sampler.input_scale(t), t), t, x)

Notation: at time t a noisy image is ``alpha * x0 + sigma * eps``, where ``x0`` is the clean image,
``eps`` standard Gaussian noise, ``alpha = sqrt(alpha_bar)`` and ``sigma = sqrt(1 - alpha_bar)``.
A sampler keeps state between steps: create a new one for every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, log, sqrt
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "batch *rest"]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None


@dataclass(frozen=True)
class NoiseSchedule:
    """The amount of noise at every time; fields are named as in ``scheduler_config.json``.

    Raises:
        ValueError: if a setting is unknown, or a number is out of its range.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    # What the model predicts: "epsilon", or "v_prediction" (arXiv:2202.00512, section 4).
    prediction_type: str = "epsilon"
    # arXiv:2305.08891, table 2: "leading" counts up from steps_offset, "trailing" down from the
    # last time, "linspace" goes evenly from the last time to the first.
    timestep_spacing: str = "leading"
    steps_offset: int = 1
    # A beta for every time, instead of those between beta_start and beta_end.
    trained_betas: Sequence[float] | None = None
    # Whether the last time is pure noise: arXiv:2305.08891, section 3.1.
    rescale_betas_zero_snr: bool = False
    # Whether the last step of DDIM and PNDM leads to no noise at all, not to the first time.
    set_alpha_to_one: bool = False

    def __post_init__(self) -> None:
        _check_schedule(self)

    @cached_property
    def alphas_cumprod(self) -> Float[Tensor, " times"]:
        """alpha_bar at every time, in float64: arXiv:2006.11239, equation 4."""
        if self.trained_betas is None:
            # "Scaled linear": the square roots of the betas are evenly spaced.
            start, end = self.beta_start**0.5, self.beta_end**0.5
            roots = torch.linspace(start, end, self.num_train_timesteps, dtype=torch.float64)
            betas = roots**2
        else:
            betas = torch.tensor(self.trained_betas, dtype=torch.float64)
        alpha_bar = (1 - betas).cumprod(0)
        return _end_at_pure_noise(alpha_bar) if self.rescale_betas_zero_snr else alpha_bar

    def add_noise(
        self, x0: Images, noise: Images, t: Int[Tensor, " batch"] | int
    ) -> tuple[Images, Images]:
        """Noisy images at time t, and the training target of the model.

        ``t``: one time for each image, or one for all.
        """
        alpha_bar = self.alphas_cumprod[torch.as_tensor(t).cpu()].view(-1, *[1] * (x0.ndim - 1))
        alpha, sigma = alpha_bar.sqrt().to(x0), (1 - alpha_bar).sqrt().to(x0)
        target = noise if self.prediction_type == "epsilon" else alpha * noise - sigma * x0
        return alpha * x0 + sigma * noise, target

    def timesteps(self, steps: int) -> list[int]:
        """The times at which the model is called, the noisiest first.

        Raises:
            ValueError: if the schedule has no room for so many steps.
        """
        total, stride = self.num_train_timesteps, self.num_train_timesteps // max(steps, 1)
        if self.timestep_spacing == "leading":
            times = [i * stride + self.steps_offset for i in reversed(range(steps))]
            # The first time must be close to pure noise and inside the schedule.
            valid = steps * stride >= 0.9 * total and times[0] < total
        elif self.timestep_spacing == "linspace":
            stride = (total - 1) / max(steps - 1, 1)
            times = [round(i * stride) for i in reversed(range(steps))]
            valid = 2 <= steps <= total  # one step would start at the end, without noise
        else:
            times = [round(total - i * total / steps) - 1 for i in range(steps)]
            valid = 1 <= steps <= total
        if not valid:
            raise ValueError(
                f"{steps} steps do not fit a schedule of {total} times whose timestep_spacing is "
                f"{self.timestep_spacing}: take {self._fitting_steps()}."
            )
        return times

    def _fitting_steps(self) -> str:
        """The numbers of steps that always fit, in words."""
        total = self.num_train_timesteps
        if self.timestep_spacing == "leading":
            return f"1 to {max(total // 10, 1)} steps"
        return f"{1 + (self.timestep_spacing == 'linspace')} to {total} steps"


def _check_schedule(schedule: NoiseSchedule) -> None:
    """Raise a ValueError that names the setting that is wrong."""
    total, betas = schedule.num_train_timesteps, schedule.trained_betas
    if schedule.prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(
            f"prediction_type is {schedule.prediction_type!r}: give epsilon or v_prediction."
        )
    if schedule.timestep_spacing not in ("leading", "linspace", "trailing"):
        raise ValueError(
            f"timestep_spacing is {schedule.timestep_spacing!r}: give leading, linspace or "
            "trailing."
        )
    if not 1 <= total <= 1_000_000:
        raise ValueError(f"num_train_timesteps is {total}: give 1 to 1,000,000, usually 1,000.")
    if not 0 <= schedule.steps_offset < total:
        raise ValueError(
            f"steps_offset is {schedule.steps_offset}: give 0 or more, below num_train_timesteps."
        )
    if betas is not None and len(betas) != total:
        raise ValueError(f"trained_betas has {len(betas)} numbers, num_train_timesteps is {total}.")
    ends = {"beta_start": schedule.beta_start, "beta_end": schedule.beta_end}
    for name, beta in ends.items() if betas is None else (("trained_betas", b) for b in betas):
        if not isfinite(beta) or not 0 < beta < 1:
            raise ValueError(f"{name} is {beta}: give numbers between 0 and 1, both excluded.")
    if schedule.rescale_betas_zero_snr and (total < 2 or schedule.prediction_type == "epsilon"):
        # Section 3.2 of the paper: in pure noise, its prediction says nothing about the image.
        raise ValueError(
            "rescale_betas_zero_snr is True: that needs prediction_type v_prediction, and a "
            "num_train_timesteps of at least 2."
        )


def _end_at_pure_noise(alpha_bar: Float[Tensor, " times"]) -> Float[Tensor, " times"]:
    """A schedule whose last alpha is 0: Lin et al. (2024), arXiv:2305.08891, algorithm 1.

    The alphas are shifted by the last one, and scaled so that the first one stays.
    """
    alpha = alpha_bar.sqrt()
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2


def gaussian(shape: Sequence[int], generator: Generators = None) -> Float[Tensor, "..."]:
    """Standard Gaussian noise, drawn on the CPU so that every device gets the same values.

    ``generator``: one for all images, or one for each.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(*shape, generator=generator)
    images = [torch.randn(1, *shape[1:], generator=of_image) for of_image in generator]
    return torch.cat(images)


class Sampler:
    """What all samplers share: the times, and alpha and sigma at each of them.

    Attributes:
        timesteps: the times at which the model is called, the noisiest first.
        next_timestep: for each of them the time that a step leads to; -1 means no noise at all.
        initial_scale: the factor for the Gaussian noise that a run starts from.
    """

    final_timestep = -1
    starts_at_pure_noise = False  # whether a step from pure noise, with alpha 0, is defined
    # With alpha 0, Euler's x would be infinite. diffusers starts from this alpha_bar, too.
    least_alpha_bar = 0.0

    def __init__(
        self, schedule: NoiseSchedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        """
        Args:
            steps: from pure noise to an image.
            strength: the fraction of the steps to run, the last ones; below 1 to change an image.
            eta: how much new noise DDIM adds, from 0, none, to 1, as much as DDPM.

        Raises:
            ValueError: if no step is left to run, the schedule has no room for ``steps``, or it
                starts at pure noise and this sampler cannot.
        """
        count = int(steps * strength)
        if not 0 < strength <= 1 or count < 1:
            raise ValueError(
                f"{steps} steps at strength {strength}: take more steps, or a strength up to 1."
            )
        if schedule.rescale_betas_zero_snr and not self.starts_at_pure_noise:
            able = [name for name, kind in SAMPLERS.items() if kind.starts_at_pure_noise]
            raise ValueError(
                f"{type(self).__name__} cannot start at pure noise, as rescale_betas_zero_snr asks "
                f"for: choose one of {', '.join(able)}."
            )
        self.schedule = schedule
        self.eta = eta
        alphas_cumprod = schedule.alphas_cumprod.clamp(min=self.least_alpha_bar)
        self.alphas_cumprod = alphas_cumprod.tolist()
        self.timesteps = schedule.timesteps(steps)[-count:]
        final = -1 if schedule.set_alpha_to_one else self.final_timestep
        following = [*self.timesteps[1:], final]
        self.next_timestep = dict(zip(self.timesteps, following, strict=True))
        self.initial_scale = 1 / self.input_scale(self.timesteps[0])

    def alpha_sigma(self, t: int) -> tuple[float, float]:
        """The factors of the clean image and of the noise at time t."""
        alpha_bar = self.alphas_cumprod[t] if t >= 0 else 1.0
        return sqrt(alpha_bar), sqrt(1 - alpha_bar)

    def input_scale(self, t: int) -> float:
        """The factor for ``x`` before it goes into the model."""
        return 1.0

    def predict_x0_eps(self, model_output: Images, t: int, x: Images) -> tuple[Images, Images]:
        """The clean image and the noise that the model predicts for ``x`` at time t."""
        alpha, sigma = self.alpha_sigma(t)
        if self.schedule.prediction_type == "epsilon":
            return (x - sigma * model_output) / alpha, model_output
        return alpha * x - sigma * model_output, sigma * x + alpha * model_output

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        """``x`` at the next time, from the model's output at time t.

        ``generator``: of the noise that DDPM and DDIM add.
        """
        raise NotImplementedError


class DDPM(Sampler):
    """Ho et al. (2020), arXiv:2006.11239, algorithm 2: ancestral sampling."""

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        _, eps = self.predict_x0_eps(model_output, t, x)
        beta = 1 - (alpha / next_alpha) ** 2
        mean = next_alpha / alpha * (x - beta / sigma * eps)
        std = sqrt(beta) * next_sigma / sigma  # the smaller of the two choices in section 3.2
        return mean + std * gaussian(x.shape, generator).to(x) if std else mean


class DDIM(Sampler):
    """Song et al. (2021), arXiv:2010.02502, equation 12."""

    # "set_alpha_to_one" is false in Stable Diffusion: a trace of noise remains.
    final_timestep = 0
    starts_at_pure_noise = True

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        x0, eps = self.predict_x0_eps(model_output, t, x)
        std = self.eta * next_sigma / sigma * sqrt(1 - (alpha / next_alpha) ** 2)  # equation 16
        x = next_alpha * x0 + sqrt(next_sigma**2 - std**2) * eps
        return x + std * gaussian(x.shape, generator).to(x) if std else x


class Euler(Sampler):
    """Karras et al. (2022), arXiv:2206.00364, algorithm 1 without churn: Euler's method.

    Its ``x`` is ``x0 + (sigma / alpha) * eps``: that of the other samplers divided by alpha. What
    the paper calls sigma is ``sigma / alpha`` here.
    """

    starts_at_pure_noise = True
    least_alpha_bar = 2.0**-24

    def input_scale(self, t: int) -> float:
        return self.alpha_sigma(t)[0]

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        # The derivative of x with respect to sigma / alpha is the noise itself.
        _, derivative = self.predict_x0_eps(model_output, t, x * self.input_scale(t))
        return x + (next_sigma / next_alpha - sigma / alpha) * derivative


class DPMSolverPP(Sampler):
    """Lu et al. (2022), arXiv:2211.01095, algorithm 2: DPM-Solver++(2M)."""

    starts_at_pure_noise = True
    least_alpha_bar = 2.0**-24
    previous: tuple[Images, float] | None = None  # x0 and lambda of the step before

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        x0, _ = self.predict_x0_eps(model_output, t, x)
        log_snr = log(alpha / sigma)  # lambda in the paper
        extrapolated = x0
        # The first step has no predecessor; a step to no noise at all has an infinite length.
        if self.previous and next_sigma:
            previous_x0, previous_log_snr = self.previous
            ratio = (log(next_alpha / next_sigma) - log_snr) / (log_snr - previous_log_snr)
            extrapolated = x0 + ratio / 2 * (x0 - previous_x0)
        self.previous = x0, log_snr
        return next_alpha * extrapolated + next_sigma / sigma * (x - alpha * extrapolated)


class PNDM(Sampler):
    """Liu et al. (2022), arXiv:2202.09778: DDIM with a linear multistep method for the noise.

    Equation 12, with fewer terms in the first steps. The first step is repeated with the mean of
    the noise at its two ends (Heun's method). It is the default of Stable Diffusion 1.x.
    """

    final_timestep = 0
    # Adams-Bashforth weights of orders 1 to 4, for the latest noise first.
    multistep_weights = (
        (1,),
        (3 / 2, -1 / 2),
        (23 / 12, -16 / 12, 5 / 12),
        (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    )
    calls = 0
    start: Images | None = None  # x before the first step
    history: tuple[Images, ...] = ()  # the noise of the last four times, the latest first

    def __init__(
        self, schedule: NoiseSchedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        super().__init__(schedule, steps, strength, eta)
        self.timesteps = self.timesteps[:2] + self.timesteps[1:]

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        _, eps = self.predict_x0_eps(model_output, t, x)
        self.calls += 1
        if self.calls == 2:  # the corrector of the first step: again from its start
            t, x = self.timesteps[0], self.start
            eps = (self.history[0] + eps) / 2
        else:
            self.start = x
            self.history = (eps, *self.history[:3])
            weights = self.multistep_weights[len(self.history) - 1]
            eps = sum(w * past for w, past in zip(weights, self.history, strict=True))
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        return next_alpha * (x - sigma * eps) / alpha + next_sigma * eps


SAMPLERS = {"ddpm": DDPM, "ddim": DDIM, "euler": Euler, "dpm++": DPMSolverPP, "pndm": PNDM}
