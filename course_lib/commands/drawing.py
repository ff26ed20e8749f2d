"""Pictures drawn one batch after the other, each checked before anybody sees it.

Memory for ``--count 50`` is that of a few pictures. A picture whose values are not finite, which a
file shows as black, is an error.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from course_lib.console import stderr
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import SAMPLERS

_BATCH_PIXELS = 2**16  # drawn at once: four pictures of 128 x 128, or one that is larger
# What torch says on the CPU of Linux and of Windows, on CUDA and MPS, and of sizes beyond 64 bits.
_MEMORY_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "calculation overflowed",
)


@dataclass(frozen=True)
class Request:
    """What to draw: the arguments of :meth:`StableDiffusion.generate` without seeds."""

    prompt: str
    width: int
    height: int
    sampler: str
    steps: int
    guidance: float
    negative: str = ""
    image: Float[Tensor, "3 height width"] | None = None
    strength: float = 1.0


def draw(
    model: StableDiffusion, request: Request, seeds: range
) -> Iterator[tuple[int, Float[Tensor, "3 height width"]]]:
    """Each seed with its picture in [0, 1], with a progress bar.

    Raises:
        FloatingPointError: if a picture is not finite, or black or white in every pixel.
        MemoryError: if a picture of this size certainly does not fit in memory.
        ValueError: if the model can't draw it; the message names the option.
    """
    steps = _count_steps(model, request)
    available = _total_memory(model.unet.conv_in.weight.device)
    if available is not None and _least_memory(model, request) > available:
        raise MemoryError
    size = max(_BATCH_PIXELS // (request.width * request.height), 1)
    batches = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    with _progress_bar() as progress:
        task = progress.add_task(request.sampler, total=steps * len(batches))
        for batch in batches:
            after_step = _StepCheck(batch, request.guidance, lambda: progress.advance(task))
            pictures = model.generate(
                **vars(request), seed=batch[0], count=len(batch), callback=after_step
            )
            for seed, picture in zip(batch, pictures, strict=True):
                _check_picture(picture, seed, request.guidance)
                yield seed, picture


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY_MESSAGES)
    )


def _count_steps(model: StableDiffusion, request: Request) -> int:
    """The steps that the sampler takes for a batch.

    Raises:
        ValueError: if there is no such sampler, or the schedule does not allow the number of steps.
    """
    if request.sampler not in SAMPLERS:
        raise ValueError(
            f"There is no sampler {request.sampler!r}: choose one of {', '.join(SAMPLERS)}."
        )
    schedule = model.schedule
    total = schedule.num_train_timesteps
    try:
        schedule.timesteps(request.steps)
    except ValueError as error:
        most = total // 10 if schedule.timestep_spacing == "leading" else total
        raise ValueError(
            f"{request.steps} steps do not fit the {total} times of this model: "
            f"give a number of --steps from 1 to {most}."
        ) from error
    strength = 1.0 if request.image is None else request.strength
    return len(SAMPLERS[request.sampler](schedule, request.steps, strength).timesteps)


@dataclass(frozen=True)
class _StepCheck:
    """Called after every step of a batch: stops at latents that are not finite."""

    seeds: range
    guidance: float
    advance: Callable[[], None]

    def __call__(self, index: int, t: int, latents: Tensor) -> None:
        self.advance()
        finite = latents.isfinite().flatten(1).all(1).tolist()
        if not all(finite):
            raise _not_finite(self.seeds[finite.index(False)], self.guidance)


def _check_picture(picture: Tensor, seed: int, guidance: float) -> None:
    # After an overflow in the decoder, clamping leaves nothing but 0 and 1.
    if not picture.isfinite().all() or not ((picture > 0) & (picture < 1)).any():
        raise _not_finite(seed, guidance)


def _not_finite(seed: int, guidance: float) -> FloatingPointError:
    return FloatingPointError(
        f"The picture of seed {seed} was not written: its values are too large or not numbers, so "
        f"it would be black or white. Give a smaller --guidance than {guidance:g}, or --device "
        "cpu, or check that the weights are intact."
    )


def _least_memory(model: StableDiffusion, request: Request) -> int:
    """The bytes that a picture takes at least.

    They are those of input and output of the convolution with the largest images, in the
    autoencoder or, with guidance, in the denoiser. The real need is several times as much.
    """
    decoder = getattr(model.vae.config, "block_out_channels", (0,))[0]
    denoiser = 2 * model.unet.config.block_out_channels[0] / model.vae.config.factor**2
    element = model.unet.conv_in.weight.element_size()
    return int(2 * max(decoder, denoiser) * request.width * request.height * element)


def _total_memory(device: torch.device) -> int | None:
    """The bytes of memory of the device, or None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr(),
    )
