"""``course generate``, and what it shares with ``course sd generate``: from a prompt to files."""

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
        str, typer.Argument(help='What the image shows, as "a fox on a purple background".')
    ],
    out: Annotated[
        Path, typer.Option(help="The image file; of several, each has its seed in its name.")
    ] = Path("x.png"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same image.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="From noise to image.")] = 20,
    guidance: Annotated[
        float, typer.Option(help="How strongly the prompt counts; 1 halves the work.")
    ] = 5.0,
    negative: Annotated[str, typer.Option(help="What the image must not show.")] = "",
    sampler: Annotated[str, typer.Option(help="ddpm, ddim, euler, dpm++ or pndm.")] = "dpm++",
    count: Annotated[
        int, typer.Option(min=1, help="The number of images, with consecutive seeds.")
    ] = 1,
    image: Annotated[
        Path | None, typer.Option(help="Change this image instead; it is cut to 128x128.")
    ] = None,
    strength: Annotated[float, typer.Option(help="How much --image may change, at most 1.")] = 0.8,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; by default the fastest one here.")
    ] = None,
) -> None:
    """Generate an image from a sentence with the course's own Stable Diffusion."""
    from rich.console import Console

    from course_lib.assets import checkpoints

    if not checkpoints.is_shipped("tiny-sd"):
        fail(
            "the weights of tiny-sd are missing: course train tiny-sd --ship makes them, "
            "which takes hours on a CPU"
        )
    from course_lib.diffusion import prompts

    for warning in prompts.warnings(prompt):
        Console(stderr=True, soft_wrap=True).print(warning, style="yellow")

    def describe(images: "torch.Tensor") -> list[str]:
        from course_lib.diffusion import judge

        verdicts = judge.load().classify(images)
        return [prompts.verdict(prompt, verdict.name, verdict.colour) for verdict in verdicts]

    def load_model() -> "StableDiffusion":
        from course_lib.device import resolve_device
        from course_lib.diffusion import text_to_image

        return text_to_image.load().to(resolve_device(device))

    generate_files(
        load_model,
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
        describe=describe,
    )


def generate_files(
    load_model: Callable[[], "StableDiffusion"],
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
    describe: "Callable[[torch.Tensor], list[str]] | None" = None,
    **options: Any,
) -> None:
    """Generate images and write them to files; the options are those of both commands.

    ``describe`` returns a line for each image, which is printed to stderr. An invalid option ends
    the command with one sentence.
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
        fail(f"{out} cannot be written: give a .png in a folder that exists")
    console = Console(stderr=True, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    try:
        width, height = _parse_size(size)
        with console.status("loading the weights"):
            model = load_model()
        (cut_tokens,) = model.tokenizer.encode(prompt)[1]
        if cut_tokens:
            console.print(
                f"The prompt is too long: its last {cut_tokens} tokens were ignored.",
                style="yellow",
            )
        pixels = (
            None if image is None else _read_image(image, width, height, model.vae.config.factor)
        )
        total_steps = 0  # an unknown sampler is reported by model.generate
        if sampler in SAMPLERS:
            part = 1.0 if image is None else strength
            total_steps = len(SAMPLERS[sampler](model.schedule, steps, part).timesteps)
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(sampler, total=total_steps)
            images = model.generate(
                prompt,
                image=pixels,
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
        for number, generated in enumerate(images):
            path = out if count == 1 else out.with_name(f"{out.stem}-{seed + number}{out.suffix}")
            _write_image(generated, path)
            print(path)
        for line in describe(images) if describe else ():
            console.print(line)
    except (ValueError, OSError) as error:
        fail(str(error))


def _parse_size(size: str | None) -> tuple[int | None, int | None]:
    """``"512x768"`` or ``"512"`` as width and height."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", size or "0x0")
    if match is None:
        raise ValueError(f"The size {size!r} cannot be read: write it as 512x768, width first.")
    return int(match[1]) or None, int(match[2] or match[1]) or None


def _read_image(path: Path, width: int | None, height: int | None, factor: int) -> "torch.Tensor":
    """An image in [0, 1], cropped around its centre to this size; by default to the largest
    multiple of ``factor`` that fits in it.
    """
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    default_width, default_height = (max(side // factor, 1) * factor for side in image.size)
    image = ImageOps.fit(image, (width or default_width, height or default_height))
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


def _write_image(image: "torch.Tensor", path: Path) -> None:
    from PIL import Image

    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
