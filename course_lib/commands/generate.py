"""``course generate``, and what it shares with ``course sd generate``: from a sentence to a file
with a picture.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course_lib.console import fail

if TYPE_CHECKING:
    import torch

    from course_lib.sd.pipeline import StableDiffusion


def generate(
    prompt: Annotated[
        str, typer.Argument(help='What is to be seen, as "a fox on a purple background".')
    ],
    out: Annotated[
        Path, typer.Option(help="The picture; of several, each has its seed in its name.")
    ] = Path("x.png"),
    seed: Annotated[int, typer.Option(min=0, help="The same one gives the same picture.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="From noise to picture.")] = 20,
    guidance: Annotated[
        float, typer.Option(help="How much the prompt counts; at 1 half the work.")
    ] = 5.0,
    negative: Annotated[str, typer.Option(help="What is not to be seen.")] = "",
    sampler: Annotated[str, typer.Option(help="ddpm, ddim, euler, dpm++ or pndm.")] = "dpm++",
    count: Annotated[
        int, typer.Option(min=1, help="How many pictures, one seed after the other.")
    ] = 1,
    image: Annotated[
        Path | None, typer.Option(help="Change this picture instead; it is cut to 128x128.")
    ] = None,
    strength: Annotated[float, typer.Option(help="How much of --image may change, up to 1.")] = 0.8,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; if left out, the best one here.")
    ] = None,
) -> None:
    """Make a picture of a sentence with the course's own Stable Diffusion."""
    from rich.console import Console

    from course_lib.assets import checkpoints
    from course_lib.data.captioned import COLOURS
    from course_lib.diffusion import text_to_image

    if not checkpoints.shipped("tiny-sd"):
        fail(
            "the weights of tiny-sd are not here: course train tiny-sd --ship makes them, which takes hours on a CPU"
        )
    words = set(re.findall(r"\w+", prompt.lower()))
    unknown = [
        kind
        for kind, known in (("object", text_to_image.OBJECTS), ("colour", COLOURS))
        if not words & set(known)
    ]
    for kind in unknown:
        known = ", ".join(text_to_image.OBJECTS if kind == "object" else COLOURS)
        Console(stderr=True, soft_wrap=True).print(
            f"The prompt has no {kind} that it knows: {known}.", style="yellow"
        )
    draw(
        lambda: text_to_image.load().to(resolve_device(device)),
        prompt,
        out,
        size="128",
        image=image,
        strength=strength,
        sampler=sampler,
        steps=steps,
        seed=seed,
        count=count,
        guidance=guidance,
        negative=negative,
    )


def draw(
    ready: Callable[[], "StableDiffusion"],
    prompt: str,
    out: Path,
    *,
    size: str | None,
    image: Path | None,
    strength: float,
    sampler: str,
    steps: int,
    seed: int,
    count: int,
    **options: Any,
) -> None:
    """Write what the model that ``ready`` loads makes of the prompt; the options are those of both
    commands.

    What can't be done is said in one sentence, and ends the program.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from course_lib.sd.samplers import SAMPLERS

    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp") or not out.parent.is_dir():
        fail(f"{out} cannot be written: give a .png in a folder that is there")
    console = Console(stderr=True, soft_wrap=True)
    bars = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    try:
        width, height = _sides(size)
        with console.status("reading the weights"):
            model = ready()
        (cut,) = model.tokenizer.encode(prompt)[1]
        if cut:
            console.print(
                f"The prompt is too long: its last {cut} pieces were not read.", style="yellow"
            )
        with Progress(*bars, console=console) as progress:
            part = 1.0 if image is None else strength
            calls = (
                SAMPLERS[sampler](model.schedule, steps, part).timesteps
                if sampler in SAMPLERS
                else ()
            )
            task = progress.add_task(sampler, total=len(calls))
            pictures = model.generate(
                prompt,
                image=None
                if image is None
                else _read(image, width, height, model.vae.config.factor),
                strength=strength,
                sampler=sampler,
                steps=steps,
                seed=seed,
                count=count,
                height=height,
                width=width,
                callback=lambda number, t, x: progress.update(task, completed=number + 1),
                **options,
            )
        for number, picture in enumerate(pictures):
            path = out if count == 1 else out.with_name(f"{out.stem}-{seed + number}{out.suffix}")
            _write(picture, path)
            print(path)
    except (ValueError, OSError) as error:
        fail(str(error))


def resolve_device(device: str | None) -> "torch.device":
    """The device of that name, or the best one here.

    Raises:
        ValueError: if it cannot be used.
    """
    import torch

    from course_lib.device import best_device

    try:
        return torch.zeros((), device=device).device if device else best_device()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"The device {device!r} cannot be used here: choose cpu, or leave it out."
        ) from error


def _sides(size: str | None) -> tuple[int | None, int | None]:
    """``"512x768"`` or ``"512"`` as width and height."""
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", size or "0x0")
    if found is None:
        raise ValueError(f"The size {size!r} cannot be read: write it as 512x768, width first.")
    return int(found[1]) or None, int(found[2] or found[1]) or None


def _read(path: Path, width: int | None, height: int | None, factor: int) -> "torch.Tensor":
    """A picture in [0, 1], its middle in this size; without one in its own, less what is no
    multiple of ``factor``.
    """
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    whole = [max(side // factor, 1) * factor for side in picture.size]
    fitted = ImageOps.fit(picture, (width or whole[0], height or whole[1]))
    return torch.from_numpy(np.asarray(fitted, dtype=np.float32) / 255).permute(2, 0, 1)


def _write(picture: "torch.Tensor", path: Path) -> None:
    from PIL import Image

    Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
