"""Five samplers that turn noise into images step by step.

    sampler = DDIM(NoiseSchedule(), steps=50)
    x = gaussian(shape) * sampler.initial_scale
    for t in sampler.timesteps:
        x = sampler.step(model(x * sampler.input_scale(t), t), t, x)

The notation is that of ``schedule.py``. A sampler keeps state between steps: create a new one for
every run.
"""

from collections.abc import Sequence
from math import log, sqrt
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.sd.schedule import NoiseSchedule

Images = Float[Tensor, "batch *rest"]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None


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
