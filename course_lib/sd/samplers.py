"""How noise is put into a picture, and five ways of taking it out again, step by step.

    sampler = DDIM(NoiseSchedule(), steps=50)
    x = gaussian(shape) * sampler.initial_scale
    for t in sampler.timesteps:
        x = sampler.step(model(x * sampler.input_scale(t), t), t, x)

A noisy picture is ``signal * clean + noise * gaussian``, where signal and noise depend on the time
t and their squares add up to 1. A sampler remembers the run that it is in: make a new one for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

Pictures = Float[Tensor, "batch *rest"]
Generators = torch.Generator | Sequence[torch.Generator] | None


@dataclass(frozen=True)
class NoiseSchedule:
    """How much noise there is at which time, under the names of the published
    ``scheduler_config.json``.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    # a model says the noise; or "v_prediction": arXiv:2202.00512, section 4
    prediction_type: str = "epsilon"
    # times count up from steps_offset; or "trailing": down from the noisiest
    timestep_spacing: str = "leading"
    steps_offset: int = 1

    def __post_init__(self) -> None:
        asked = self.prediction_type, self.timestep_spacing
        if asked[0] not in ("epsilon", "v_prediction") or asked[1] not in ("leading", "trailing"):
            raise ValueError(f"{asked}: give epsilon or v_prediction, and leading or trailing.")

    @cached_property
    def alphas_cumprod(self) -> Float[Tensor, " times"]:
        """The square of the signal at every time, in float64: arXiv:2006.11239, equation 4."""
        roots = torch.linspace(
            self.beta_start**0.5, self.beta_end**0.5, self.num_train_timesteps, dtype=torch.float64
        )
        return (1 - roots**2).cumprod(0)  # "scaled linear": the roots of the betas grow evenly

    def add_noise(
        self, clean: Pictures, noise: Pictures, t: Int[Tensor, " batch"] | int
    ) -> tuple[Pictures, Pictures]:
        """The pictures at time t, one for each or one for all, and what a model is trained to say
        of them.
        """
        square = self.alphas_cumprod[torch.as_tensor(t).cpu()].view(-1, *[1] * (clean.ndim - 1))
        signal, amount = square.sqrt().to(clean), (1 - square).sqrt().to(clean)
        target = noise if self.prediction_type == "epsilon" else signal * noise - amount * clean
        return signal * clean + amount * noise, target

    def timesteps(self, steps: int) -> list[int]:
        """The times at which a model is asked, the noisiest first; a ValueError if so many do not
        fit.
        """
        total, stride = self.num_train_timesteps, self.num_train_timesteps // max(steps, 1)
        if self.timestep_spacing == "leading":
            times = [i * stride + self.steps_offset for i in reversed(range(steps))]
            # from near pure noise, and not beyond it
            fits = steps * stride >= 0.9 * total and times[0] < total
        else:
            times, fits = (
                [round(total - i * total / steps) - 1 for i in range(steps)],
                1 <= steps <= total,
            )
        if not fits:
            raise ValueError(
                f"{steps} steps do not fit {total} times, {self.timestep_spacing}: take 1 to {total // 10}"
                # fmt: skip
                f" steps; with timestep_spacing='trailing', up to {total}."
            )
        return times


def gaussian(shape: Sequence[int], generator: Generators = None) -> Float[Tensor, "..."]:
    """Standard Gaussian noise from one generator, or one a picture; drawn on the CPU: the same for
    every device.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(*shape, generator=generator)
    return torch.cat([torch.randn(1, *shape[1:], generator=each) for each in generator])


class Sampler:
    """What all samplers share: of ``steps`` from noise to picture, the last ones are run, the share
    ``strength``.

    ``eta`` is how much of the noise DDIM draws anew, from 0, nothing, to 1, as much as DDPM.
    """

    end = -1  # the time after the last step: no noise at all

    def __init__(
        self, schedule: NoiseSchedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        """A ValueError if no step is left to run, or so many do not fit the schedule."""
        run = int(steps * strength)
        if not 0 < strength <= 1 or run < 1:
            raise ValueError(
                f"{steps} steps at strength {strength}: take more steps, or a strength up to 1."
            )
        self.schedule, self.eta, self.squares = schedule, eta, schedule.alphas_cumprod.tolist()
        self.timesteps = schedule.timesteps(steps)[-run:]
        self.next = dict(zip(self.timesteps, [*self.timesteps[1:], self.end], strict=True))
        # of the Gaussian noise to begin with
        self.initial_scale = 1 / self.input_scale(self.timesteps[0])

    def parts(self, t: int) -> tuple[float, float]:
        """Signal and noise at time t."""
        square = self.squares[t] if t >= 0 else 1.0
        return sqrt(square), sqrt(1 - square)

    def input_scale(self, t: int) -> float:
        """What to multiply ``x`` by before the model sees it."""
        return 1.0

    def read(self, output: Pictures, t: int, x: Pictures) -> tuple[Pictures, Pictures]:
        """The clean picture and the Gaussian noise that the model says there are in ``x`` at time
        t.
        """
        signal, noise = self.parts(t)
        if self.schedule.prediction_type == "epsilon":
            return (x - noise * output) / signal, output
        return signal * x - noise * output, noise * x + signal * output

    def step(self, output: Pictures, t: int, x: Pictures, generator: Generators = None) -> Pictures:
        """``x`` at the next time, from what the model said at time t. ``generator``: of noise that
        is put in.
        """
        raise NotImplementedError


class DDPM(Sampler):
    """Ho et al. (2020), arXiv:2006.11239, algorithm 2: take a little noise out, put less new noise
    in.
    """

    def step(self, output: Pictures, t: int, x: Pictures, generator: Generators = None) -> Pictures:
        (signal, noise), (next_signal, next_noise) = self.parts(t), self.parts(self.next[t])
        beta = 1 - (signal / next_signal) ** 2
        mean = next_signal / signal * (x - beta / noise * self.read(output, t, x)[1])
        # the smaller of the two that section 3.2 offers
        deviation = sqrt(beta) * next_noise / noise
        return mean + deviation * gaussian(x.shape, generator).to(x) if deviation else mean


class DDIM(Sampler):
    """Song et al. (2021), arXiv:2010.02502, equation 12: to the clean picture, and part of the way
    back.
    """

    end = 0  # as Stable Diffusion is published ("set_alpha_to_one": false), a trace of noise stays

    def step(self, output: Pictures, t: int, x: Pictures, generator: Generators = None) -> Pictures:
        (signal, noise), (next_signal, next_noise) = self.parts(t), self.parts(self.next[t])
        clean, direction = self.read(output, t, x)
        new = self.eta * next_noise / noise * sqrt(1 - (signal / next_signal) ** 2)
        x = next_signal * clean + sqrt(next_noise**2 - new**2) * direction
        return x + new * gaussian(x.shape, generator).to(x) if new else x


class Euler(Sampler):
    """Karras et al. (2022), arXiv:2206.00364, algorithm 1 without churn: straight along the slope
    of a curve.

    Here ``x`` is ``clean + sigma * gaussian``: what the others work on, divided by the signal.
    """

    def input_scale(self, t: int) -> float:
        return self.parts(t)[0]

    def step(self, output: Pictures, t: int, x: Pictures, generator: Generators = None) -> Pictures:
        sigma, next_sigma = (
            noise / signal for signal, noise in (self.parts(t), self.parts(self.next[t]))
        )
        # of the curve x(sigma): the noise itself
        _, slope = self.read(output, t, x * self.input_scale(t))
        return x + (next_sigma - sigma) * slope


class DPMSolverPP(Sampler):
    """Lu et al. (2022), arXiv:2211.01095, algorithm 2 (2M): DDIM with a clean picture extrapolated
    from two.
    """

    before = None  # the clean picture of the step before, and the log of its signal / noise

    def step(self, output: Pictures, t: int, x: Pictures, generator: Generators = None) -> Pictures:
        (signal, noise), (next_signal, next_noise) = self.parts(t), self.parts(self.next[t])
        clean, now = self.read(output, t, x)[0], log(signal / noise)
        best = clean
        if (
            self.before and next_noise
        ):  # the first step knows no other picture; the last one is infinitely long
            other, then = self.before
            best = clean + (log(next_signal / next_noise) - now) / (now - then) / 2 * (
                clean - other
            )
        self.before = clean, now
        return next_signal * best + next_noise / noise * (x - signal * best)


class PNDM(Sampler):
    """Liu et al. (2022), arXiv:2202.09778: DDIM with the noise extrapolated from four steps. The
    published default.

    Equation 12; from fewer while there are fewer, and the second call of the model mends the first
    step.
    """

    end, calls, noises = 0, 0, ()
    weights = (
        (1,),
        (3 / 2, -1 / 2),
        (23 / 12, -16 / 12, 5 / 12),
        (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    )

    def __init__(
        self, schedule: NoiseSchedule, steps: int, strength: float = 1.0, eta: float = 0.0
    ) -> None:
        super().__init__(schedule, steps, strength, eta)
        self.timesteps = self.timesteps[:2] + self.timesteps[1:]

    def step(self, output: Pictures, t: int, x: Pictures, generator: Generators = None) -> Pictures:
        noise, self.calls = self.read(output, t, x)[1], self.calls + 1
        if (
            self.calls == 2
        ):  # from the start again, with the mean of the noise there and of that where it led
            t, x, noise = self.timesteps[0], self.start, (self.noises[0] + noise) / 2
        else:
            self.start, self.noises = x, (noise, *self.noises[:3])
            noise = sum(
                w * one
                for w, one in zip(self.weights[len(self.noises) - 1], self.noises, strict=True)
            )
        (signal, amount), (next_signal, next_amount) = self.parts(t), self.parts(self.next[t])
        return next_signal * (x - amount * noise) / signal + next_amount * noise


SAMPLERS = {"ddpm": DDPM, "ddim": DDIM, "euler": Euler, "dpm++": DPMSolverPP, "pndm": PNDM}
