"""Samplers that turn noise into images step by step: five for a noise schedule, one for a flow.

    sampler = DDIM(NoiseSchedule(), steps=50)
    x = gaussian(shape) * sampler.initial_scale
    for t in sampler.timesteps:
        x = sampler.step(model(x * sampler.input_scale(t), t), t, x)

Notation: see ``schedule.py``. A sampler keeps state between steps: create a new one for
every run.
"""

from collections.abc import Sequence
from math import log, sqrt
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.sd.schedule import FlowSchedule, NoiseSchedule

Images = Float[Tensor, "batch *rest"]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
Schedule: TypeAlias = NoiseSchedule | FlowSchedule


def gaussian(shape: Sequence[int], generator: Generators = None) -> Float[Tensor, "..."]:
    """Standard Gaussian noise, drawn on the CPU so that every device gets the same values.

    ``generator``: one for the whole batch, or a sequence with one per image.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(*shape, generator=generator)
    noises = [torch.randn(1, *shape[1:], generator=image_rng) for image_rng in generator]
    return torch.cat(noises)


class Sampler:
    """Base class: the timesteps, and alpha and sigma at each of them.

    Attributes:
        timesteps: the times at which the model is called, noisiest first: integers, or real numbers
            for a flow.
        next_timestep: the time after the step from each timestep; -1 is the clean image, or 0 for a
            flow.
        initial_scale: the factor of the initial Gaussian noise (diffusers: init_noise_sigma).
    """

    final_timestep = -1
    supports_zero_terminal_snr = False  # whether a step from alpha 0 is defined
    min_alpha_bar = 0.0
    schedule: Schedule
    timesteps: list[Any]
    next_timestep: dict[Any, Any]

    def __init__(
        self, schedule: Schedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        """
        Args:
            steps: the number of steps of a full run (strength 1).
            strength: the fraction of the steps that are run, counted from the end; below 1 for
                image-to-image.
            eta: the amount of noise that DDIM adds in each step: 0 is none, 1 is as much as DDPM.

        Raises:
            ValueError: if no step is left to run, the schedule does not allow this number of steps,
                it is a flow, or it has zero terminal SNR and this sampler does not support that.
        """
        count = _count_steps(steps, strength)
        if isinstance(schedule, FlowSchedule):
            raise ValueError(
                f"{type(self).__name__} needs a NoiseSchedule. For a FlowSchedule, choose "
                f"{', '.join(FLOW_SAMPLERS)}."
            )
        if schedule.rescale_betas_zero_snr and not self.supports_zero_terminal_snr:
            supported = [
                name for name, sampler in SAMPLERS.items() if sampler.supports_zero_terminal_snr
            ]
            raise ValueError(
                f"{type(self).__name__} does not support zero terminal SNR "
                f"(rescale_betas_zero_snr): choose one of {', '.join(supported)}."
            )
        self.schedule = schedule
        self.eta = eta
        alphas_cumprod = schedule.alphas_cumprod.clamp(min=self.min_alpha_bar)
        self.alphas_cumprod = alphas_cumprod.tolist()
        self.timesteps = schedule.timesteps(steps)[-count:]
        final = -1 if schedule.set_alpha_to_one else self.final_timestep
        following = [*self.timesteps[1:], final]
        self.next_timestep = dict(zip(self.timesteps, following, strict=True))
        self.initial_scale = 1 / self.input_scale(self.timesteps[0])

    def alpha_sigma(self, t: int) -> tuple[float, float]:
        """The factors of the clean image and of the noise at time t; -1 is the clean image."""
        alpha_bar = self.alphas_cumprod[t] if t >= 0 else 1.0
        return sqrt(alpha_bar), sqrt(1 - alpha_bar)

    def input_scale(self, t: int) -> float:
        """The factor for the model's input ``x`` (diffusers: scale_model_input)."""
        return 1.0

    def predict_x0_eps(self, model_output: Images, t: int, x: Images) -> tuple[Images, Images]:
        """The predicted clean image and noise, from the model's output for ``x`` at time t."""
        alpha, sigma = self.alpha_sigma(t)
        if self.schedule.prediction_type == "epsilon":
            return (x - sigma * model_output) / alpha, model_output
        return alpha * x - sigma * model_output, sigma * x + alpha * model_output

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        """``x`` at the next time, from the model's output at time t.

        ``generator``: random generator for the noise that DDPM and DDIM add.
        """
        raise NotImplementedError


def _count_steps(steps: int, strength: float) -> int:
    """The number of steps that are run."""
    count = int(steps * strength)
    if not 0 < strength <= 1 or count < 1:
        raise ValueError(
            f"{steps} steps at strength {strength}: strength must be in (0, 1], and steps * "
            "strength at least 1."
        )
    return count


class DDPM(Sampler):
    """Ho et al. (2020), arXiv:2006.11239, algorithm 2: ancestral sampling."""

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        _, eps = self.predict_x0_eps(model_output, t, x)
        beta = 1 - (alpha / next_alpha) ** 2
        mean = next_alpha / alpha * (x - beta / sigma * eps)
        std = sqrt(beta) * next_sigma / sigma  # section 3.2: the smaller choice, beta tilde
        return mean + std * gaussian(x.shape, generator).to(x) if std else mean


class DDIM(Sampler):
    """Song et al. (2021), arXiv:2010.02502, equation 12."""

    # "set_alpha_to_one" is false in Stable Diffusion: the noise of time 0 remains.
    final_timestep = 0
    supports_zero_terminal_snr = True

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        x0, eps = self.predict_x0_eps(model_output, t, x)
        std = self.eta * next_sigma / sigma * sqrt(1 - (alpha / next_alpha) ** 2)  # equation 16
        x = next_alpha * x0 + sqrt(next_sigma**2 - std**2) * eps
        return x + std * gaussian(x.shape, generator).to(x) if std else x


class Euler(Sampler):
    """Karras et al. (2022), arXiv:2206.00364, algorithm 1 without churn: Euler's method.

    Its ``x = x0 + (sigma / alpha) * eps`` is in the variance-exploding parametrisation: the other
    samplers' ``x`` divided by alpha. The paper's sigma is ``sigma / alpha`` here.
    """

    supports_zero_terminal_snr = True
    # With alpha 0, x would be infinite. diffusers has the same minimum.
    min_alpha_bar = 2.0**-24

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

    supports_zero_terminal_snr = True
    min_alpha_bar = 2.0**-24
    previous: tuple[Images, float] | None = None  # x0 and lambda of the previous step

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        x0, _ = self.predict_x0_eps(model_output, t, x)
        lambda_t = log(alpha / sigma)  # half the log-SNR
        extrapolated = x0
        # In the last step, sigma can be 0 and lambda infinite.
        if self.previous and next_sigma:
            previous_x0, previous_lambda = self.previous
            ratio = (log(next_alpha / next_sigma) - lambda_t) / (lambda_t - previous_lambda)
            extrapolated = x0 + ratio / 2 * (x0 - previous_x0)
        self.previous = x0, lambda_t
        return next_alpha * extrapolated + next_sigma / sigma * (x - alpha * extrapolated)


class PNDM(Sampler):
    """Liu et al. (2022), arXiv:2202.09778: DDIM with a linear multistep method for the noise.

    Equation 12, with fewer terms in the first steps. This variant is called PLMS: without
    Runge-Kutta steps (diffusers: ``skip_prk_steps``). The first step is repeated with the mean of
    the noise at its two ends (Heun's method). It is the default of Stable Diffusion 1.x.
    """

    final_timestep = 0
    # Adams-Bashforth weights of orders 1 to 4, latest noise first.
    multistep_weights = (
        (1,),
        (3 / 2, -1 / 2),
        (23 / 12, -16 / 12, 5 / 12),
        (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    )
    calls = 0
    latest_step_x: Images | None = None  # x before the latest step
    history: tuple[Images, ...] = ()  # the last four noise predictions, latest first

    def __init__(
        self, schedule: Schedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        super().__init__(schedule, steps, strength, eta)
        self.timesteps = self.timesteps[:2] + self.timesteps[1:]

    def step(self, model_output: Images, t: int, x: Images, generator: Generators = None) -> Images:
        _, eps = self.predict_x0_eps(model_output, t, x)
        self.calls += 1
        if self.calls == 2:  # the corrector of the first step
            t, x = self.timesteps[0], self.latest_step_x
            eps = (self.history[0] + eps) / 2
        else:
            self.latest_step_x = x
            self.history = (eps, *self.history[:3])
            weights = self.multistep_weights[len(self.history) - 1]
            eps = sum(w * past_eps for w, past_eps in zip(weights, self.history, strict=True))
        alpha, sigma = self.alpha_sigma(t)
        next_alpha, next_sigma = self.alpha_sigma(self.next_timestep[t])
        return next_alpha * (x - sigma * eps) / alpha + next_sigma * eps


class FlowMatchEuler(Sampler):
    """Euler's method on the straight path of flow matching: Esser et al. (2024), arXiv:2403.03206.

    The model predicts the velocity ``eps - x0``, the derivative of ``x = alpha * x0 + sigma * eps``
    with respect to sigma, where ``alpha = 1 - sigma``. Times are real numbers: the schedule's
    ``num_train_timesteps`` times sigma.
    """

    def __init__(
        self, schedule: Schedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        """As in :class:`Sampler`; ``eta`` has no effect.

        Raises:
            ValueError: if no step is left to run, or the schedule is not a ``FlowSchedule``.
        """
        count = _count_steps(steps, strength)
        if not isinstance(schedule, FlowSchedule):
            raise ValueError(
                "FlowMatchEuler needs a FlowSchedule. For a NoiseSchedule, choose one of "
                f"{', '.join(SAMPLERS)}."
            )
        self.schedule = schedule
        self.timesteps = schedule.timesteps(steps)[-count:]
        self.next_timestep = dict(zip(self.timesteps, [*self.timesteps[1:], 0.0], strict=True))
        self.initial_scale = 1.0

    def alpha_sigma(self, t: float) -> tuple[float, float]:
        sigma = t / self.schedule.num_train_timesteps
        return 1 - sigma, sigma

    def input_scale(self, t: float) -> float:
        return 1.0

    def predict_x0_eps(self, model_output: Images, t: float, x: Images) -> tuple[Images, Images]:
        alpha, sigma = self.alpha_sigma(t)
        return x - sigma * model_output, x + alpha * model_output

    def step(
        self, model_output: Images, t: float, x: Images, generator: Generators = None
    ) -> Images:
        _, sigma = self.alpha_sigma(t)
        _, next_sigma = self.alpha_sigma(self.next_timestep[t])
        return x + (next_sigma - sigma) * model_output


# For a NoiseSchedule, and for a FlowSchedule.
SAMPLERS: dict[str, type[Sampler]] = {
    "ddpm": DDPM,
    "ddim": DDIM,
    "euler": Euler,
    "dpm++": DPMSolverPP,
    "pndm": PNDM,
}
FLOW_SAMPLERS: dict[str, type[Sampler]] = {"flow-euler": FlowMatchEuler}


def find_sampler(name: str, schedule: Schedule) -> type[Sampler]:
    """The sampler of a name in ``SAMPLERS``, or in ``FLOW_SAMPLERS`` for a ``FlowSchedule``.

    Raises:
        ValueError: if the schedule has no sampler of this name; the message lists those it has.
    """
    samplers = FLOW_SAMPLERS if isinstance(schedule, FlowSchedule) else SAMPLERS
    if name not in samplers:
        raise ValueError(f"There is no sampler {name!r}: choose one of {', '.join(samplers)}.")
    return samplers[name]
