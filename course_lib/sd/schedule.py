"""Schedules: the factors of the clean image and of the noise at every time.

Notation: at time t a noisy image is ``alpha * x0 + sigma * eps``, where ``x0`` is the clean image
and ``eps`` standard Gaussian noise. In a :class:`NoiseSchedule`, ``alpha = sqrt(alpha_bar)`` and
``sigma = sqrt(1 - alpha_bar)``; in a :class:`FlowSchedule`, ``alpha = 1 - sigma``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

Images = Float[Tensor, "batch *rest"]


@dataclass(frozen=True)
class NoiseSchedule:
    """The amount of noise at every time; fields are named as in ``scheduler_config.json``.

    Raises:
        ValueError: if a setting has an unknown value or is out of range.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    # What the model predicts: "epsilon", or "v_prediction" (arXiv:2202.00512, section 4).
    prediction_type: str = "epsilon"
    # arXiv:2305.08891, table 2: "leading" counts up from steps_offset, "trailing" counts down from
    # the last time, "linspace" is evenly spaced from the last time to the first.
    timestep_spacing: str = "leading"
    steps_offset: int = 1
    # A beta for every time, instead of betas between beta_start and beta_end.
    trained_betas: Sequence[float] | None = None
    # Zero terminal SNR: the last time is pure noise. arXiv:2305.08891, section 3.1.
    rescale_betas_zero_snr: bool = False
    # Whether the last step of DDIM and PNDM leads to the clean image, not to time 0.
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
        return _zero_terminal_snr(alpha_bar) if self.rescale_betas_zero_snr else alpha_bar

    def add_noise(
        self, x0: Images, noise: Images, t: Int[Tensor, " batch"] | int
    ) -> tuple[Images, Images]:
        """Noisy images at time t, and the model's training target: the noise or v.

        ``t``: one time per image, or one for all.
        """
        alpha_bar = self.alphas_cumprod[torch.as_tensor(t).cpu()].view(-1, *[1] * (x0.ndim - 1))
        alpha, sigma = alpha_bar.sqrt().to(x0), (1 - alpha_bar).sqrt().to(x0)
        target = noise if self.prediction_type == "epsilon" else alpha * noise - sigma * x0
        return alpha * x0 + sigma * noise, target

    def timesteps(self, steps: int) -> list[int]:
        """The times at which the model is called, noisiest first.

        Raises:
            ValueError: if the schedule does not allow this number of steps.
        """
        total, stride = self.num_train_timesteps, self.num_train_timesteps // max(steps, 1)
        if self.timestep_spacing == "leading":
            times = [i * stride + self.steps_offset for i in reversed(range(steps))]
            # The first time must be close to pure noise and inside the schedule.
            valid = steps * stride >= 0.9 * total and times[0] < total
        elif self.timestep_spacing == "linspace":
            distance = (total - 1) / max(steps - 1, 1)
            times = [round(i * distance) for i in reversed(range(steps))]
            valid = 2 <= steps <= total  # a single step would be at time 0, without noise
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
        """The numbers of steps that are always valid, in words."""
        total = self.num_train_timesteps
        if self.timestep_spacing == "leading":
            return f"1 to {max(total // 10, 1)} steps"
        return f"{1 + (self.timestep_spacing == 'linspace')} to {total} steps"


@dataclass(frozen=True)
class FlowSchedule:
    """Flow matching: the straight path ``(1 - sigma) * x0 + sigma * eps``, with sigma in [0, 1].

    Esser et al. (2024), arXiv:2403.03206, section 2. The model gets the time
    ``num_train_timesteps * sigma``, a real number, and predicts the velocity ``eps - x0``. Fields
    are named as in ``scheduler_config.json`` of Stable Diffusion 3.

    Raises:
        ValueError: if a setting has an unknown value or is out of range.
    """

    num_train_timesteps: int = 1000
    # Section 5.3.2: above 1, more of the steps are spent on noisy images; Stable Diffusion 3 has 3.
    shift: float = 1.0
    # Before the shift: "trailing" is evenly spaced from 1 down to the last step's length, as in
    # FLUX; "linspace" from 1 down to the smallest training time, as in Stable Diffusion 3.
    timestep_spacing: str = "trailing"
    prediction_type: str = "velocity"

    def __post_init__(self) -> None:
        if self.prediction_type != "velocity":
            raise ValueError(f"prediction_type is {self.prediction_type!r}: give velocity.")
        if self.timestep_spacing not in ("linspace", "trailing"):
            raise ValueError(
                f"timestep_spacing is {self.timestep_spacing!r}: give linspace or trailing."
            )
        if not 2 <= self.num_train_timesteps <= 1_000_000:
            raise ValueError(
                f"num_train_timesteps is {self.num_train_timesteps}: give 2 to 1,000,000, usually "
                "1,000."
            )
        if not isfinite(self.shift) or self.shift <= 0:
            raise ValueError(f"shift is {self.shift}: give a number above 0; 1 shifts nothing.")

    def shift_sigma(self, sigma: float) -> float:
        """Sigma after the shift: arXiv:2403.03206, equation 23, with ``shift = sqrt(m / n)``."""
        return self.shift * sigma / (1 + (self.shift - 1) * sigma)

    def add_noise(
        self, x0: Images, noise: Images, t: Real[Tensor, " batch"] | float
    ) -> tuple[Images, Images]:
        """Noisy images at time t, and the model's training target, the velocity.

        ``t``: in [0, num_train_timesteps], one time per image, or one for all.
        """
        times = t.cpu() if isinstance(t, Tensor) else t
        sigma = torch.as_tensor(times, dtype=torch.float64) / self.num_train_timesteps
        sigma = sigma.view(-1, *[1] * (x0.ndim - 1)).to(x0)
        return (1 - sigma) * x0 + sigma * noise, noise - x0

    def timesteps(self, steps: int) -> list[float]:
        """The times at which the model is called, noisiest first.

        Raises:
            ValueError: if the number of steps is not positive.
        """
        if steps < 1:
            raise ValueError(f"{steps} steps: take at least 1.")
        # In Stable Diffusion 3 the smallest sigma is shifted twice: here, and with all others.
        last = self.shift_sigma(1 / self.num_train_timesteps)
        if self.timestep_spacing == "trailing":
            last = 1 / steps
        distance = (1 - last) / max(steps - 1, 1)
        sigmas = [1 - i * distance for i in range(steps)]
        return [self.num_train_timesteps * self.shift_sigma(sigma) for sigma in sigmas]


def _check_schedule(schedule: NoiseSchedule) -> None:
    """Raise a ValueError that names the invalid setting."""
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
        if not 0 < beta < 1:  # also for NaN
            raise ValueError(f"{name} is {beta}: give numbers between 0 and 1, both excluded.")
    if schedule.rescale_betas_zero_snr and (total < 2 or schedule.prediction_type == "epsilon"):
        # Section 3.2: at pure noise, predicted noise carries no information about the image.
        raise ValueError(
            "rescale_betas_zero_snr is True: it needs prediction_type v_prediction, and a "
            "num_train_timesteps of at least 2."
        )


def _zero_terminal_snr(alpha_bar: Float[Tensor, " times"]) -> Float[Tensor, " times"]:
    """A schedule whose last alpha is 0: Lin et al. (2024), arXiv:2305.08891, algorithm 1.

    The alphas are shifted by the last one, then scaled so that the first one is unchanged.
    """
    alpha = alpha_bar.sqrt()
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2
