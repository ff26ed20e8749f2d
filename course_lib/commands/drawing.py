"""Images generated batch by batch, each checked before it is written.

``--count 50`` needs no more memory than one batch. An image with values that are not finite, which
a file would show as black, is an error.
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
from course_lib.sd.samplers import find_sampler

_BATCH_PIXELS = 2**16  # per batch: four images of 128 x 128, or one larger image
# In torch's errors: on the CPU (Linux, Windows), on CUDA and MPS, and for sizes beyond 64 bits.
_MEMORY_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "calculation overflowed",
)


@dataclass(frozen=True)
class Request:
    """The arguments of :meth:`StableDiffusion.generate`, without the seeds."""

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
    """Each seed with its image in [0, 1], generated when asked for; shows a progress bar.

    Raises:
        FloatingPointError: if an image is not finite, or consists of 0 and 1 only.
        MemoryError: if the device's memory is below the lower bound for one image.
        ValueError: if the model does not support an option; the message names it.
    """
    steps = _count_steps(model, request)
    available = _total_memory(next(model.unet.parameters()).device)
    if available is not None and _memory_lower_bound(model, request) > available:
        raise MemoryError
    size = max(_BATCH_PIXELS // (request.width * request.height), 1)
    starts = range(0, len(seeds), size)
    with _progress_bar() as progress:
        task = progress.add_task(request.sampler, total=steps * len(starts))
        for start in starts:
            batch = seeds[start : start + size]
            after_step = _StepCheck(batch, request.guidance, lambda: progress.advance(task))
            images = model.generate(
                **vars(request), seed=batch[0], count=len(batch), callback=after_step
            )
            for seed, image in zip(batch, images, strict=True):
                _check_image(image, seed, request.guidance)
                yield seed, image


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY_MESSAGES)
    )


def _count_steps(model: StableDiffusion, request: Request) -> int:
    """The number of sampling steps for a batch.

    Raises:
        ValueError: if there is no such sampler, or the schedule can't have so many steps.
    """
    make_sampler = find_sampler(request.sampler, model.schedule)
    strength = 1.0 if request.image is None else request.strength
    return len(make_sampler(model.schedule, request.steps, strength).timesteps)


@dataclass(frozen=True)
class _StepCheck:
    """Called after every sampling step: raises an error if latents are not finite."""

    seeds: range
    guidance: float
    advance: Callable[[], None]

    def __call__(self, index: int, t: int | float, latents: Tensor) -> None:
        self.advance()
        finite = latents.isfinite().flatten(1).all(1).tolist()
        if not all(finite):
            raise _not_finite(self.seeds[finite.index(False)], self.guidance)


def _check_image(image: Tensor, seed: int, guidance: float) -> None:
    # After an overflow in the decoder, clamping leaves only 0 and 1.
    if not image.isfinite().all() or not ((image > 0) & (image < 1)).any():
        raise _not_finite(seed, guidance)


def _not_finite(seed: int, guidance: float) -> FloatingPointError:
    return FloatingPointError(
        f"The image of seed {seed} was not written: its values are too large or not numbers, so "
        f"it would be black or white. Give a smaller --guidance than {guidance:g}, or --device "
        "cpu, or check that the weights are intact."
    )


def _memory_lower_bound(model: StableDiffusion, request: Request) -> int:
    """The bytes that one image needs at least; the real need is several times as much.

    Counts the input and output of the convolution with the largest feature maps: in the decoder, or
    in the denoiser with guidance.
    """
    decoder = getattr(model.vae.config, "block_out_channels", (0,))[0]
    width = getattr(model.unet.config, "block_out_channels", (0,))[0]  # a transformer has no level
    denoiser = 2 * width / model.vae.config.factor**2
    element = next(model.unet.parameters()).element_size()
    return int(2 * max(decoder, denoiser) * request.width * request.height * element)


def _total_memory(device: torch.device) -> int | None:
    """The device's memory in bytes; None if the system does not report it."""
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
