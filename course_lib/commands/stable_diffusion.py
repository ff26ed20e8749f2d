"""``course sd``: commands for the official weights of Stable Diffusion.

Each command imports what it needs: the command line starts without torch.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_lib.assets import paths
from course_lib.commands.generate import MAX_COUNT, generate_files
from course_lib.console import fail, warn
from course_lib.sd.licence import DOWNLOAD_PAGES, LICENCE, LICENCE_SUMMARY, LICENCE_URL

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from course_lib.sd.pipeline import StableDiffusion
    from course_lib.sd.weights import Part, Weights

app = typer.Typer(help="Stable Diffusion 1.x with the official weights.", no_args_is_help=True)


@app.command()
def verify(
    weights: Annotated[
        Path,
        typer.Argument(help="A folder with unet/, vae/ and text_encoder/, or a .safetensors file."),
    ],
) -> None:
    """Check that weights are complete, and list what they contain."""
    from rich.console import Console

    from course_lib.sd.weights import MODELS, read

    weights = _require_weights(weights)
    console = Console(soft_wrap=True)
    try:
        with console.status("reading"):
            found = read(weights)
            parts = found.parts
            table, damaged = _summarise(parts)
    except (ValueError, OSError) as error:
        fail(str(error))
    console.print(table)
    for line in _describe(found, weights):
        console.print(line, markup=False, highlight=False)
    if damaged:
        fail(
            f"{len(damaged)} tensors are all zeros, or contain values that are not finite, such "
            f"as {damaged[0]}: download the file again"
        )
    official = all(part.model.config == MODELS[name][1]() for name, part in parts.items())
    layout = (
        "a folder in diffusers' layout"
        if found.path.is_dir()
        else "a single file with the original names"
    )
    sizes = "of the official sizes" if official else "of other sizes than the official ones"
    console.print(
        f"Complete: Stable Diffusion 1.x, {sizes}, {layout}.", style="green", highlight=False
    )
    if official:
        console.print(
            f"Official weights are under the licence {LICENCE}: {LICENCE_URL}", highlight=False
        )


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the image should show.")],
    weights: Annotated[
        Path, typer.Option(help="The folder with the weights, or the single .safetensors file.")
    ],
    out: Annotated[
        Path, typer.Option(help="The image file; with --count, every name ends with its seed.")
    ] = Path("x.png"),
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 25,
    guidance: Annotated[
        float, typer.Option(help="Guidance scale; 1 ignores --negative and halves the time.")
    ] = 7.5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same image.")] = 0,
    negative: Annotated[str, typer.Option(help="What the image should not show.")] = "",
    sampler: Annotated[
        str | None,
        typer.Option(help="ddpm, ddim, euler, dpm++ or pndm; by default the one in the weights."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT in pixels; by default the size of the training images."),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Number of images, with consecutive seeds.")
    ] = 1,
    image: Annotated[
        Path | None, typer.Option(help="An image to change, cropped to the size.")
    ] = None,
    strength: Annotated[float, typer.Option(help="How much of --image may change, up to 1.")] = 0.8,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; by default the best one available.")
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence", help="You know the licence of the weights and comply with it."
        ),
    ] = False,
) -> None:
    """Generate an image from a prompt."""
    if not accept_licence:
        _confirm_licence()
    weights = _require_weights(weights)
    generate_files(
        lambda: _load(weights, device),
        prompt,
        out,
        size=size,
        image=image,
        strength=strength,
        sampler=sampler or _own_sampler(weights),
        steps=steps,
        seed=seed,
        count=count,
        guidance=guidance,
        negative=negative,
    )


def _summarise(parts: dict[str, "Part"]) -> tuple["Table", list[str]]:
    """A table of the three models, and the names of damaged tensors. Reads every tensor."""
    from rich.table import Table

    table, damaged = Table(box=None, pad_edge=False), []
    for column in ("model", "class", "tensors", "parameters", "type", "MB"):
        table.add_column(
            column, justify="left" if column in ("model", "class", "type") else "right"
        )
    for name, part in parts.items():
        counts: dict[torch.dtype, int] = {}
        size = 0
        for key, value in part.values():
            counts[value.dtype] = counts.get(value.dtype, 0) + value.numel()
            size += value.nbytes
            # An interrupted download can have its full length, with zeros in the missing part.
            total = value.float().abs().sum()
            if not total.isfinite() or (value.ndim > 1 and total == 0):
                damaged.append(f"{name}.{key}")
        table.add_row(
            name,
            type(part.model).__name__,
            str(len(part.tensors)),
            f"{sum(counts.values()):,}",
            ", ".join(str(dtype).removeprefix("torch.") for dtype in sorted(counts, key=str)),
            f"{size / 1e6:,.1f}",
        )
    return table, damaged


def _confirm_licence() -> None:
    """Show the licence and ask for consent; fail if the terminal is not interactive."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(
        f"The weights of Stable Diffusion are under the licence {LICENCE}, {LICENCE_URL}\n"
        f"{LICENCE_SUMMARY}",
        markup=False,
    )
    if not _is_interactive():
        fail("to accept this licence, add --accept-licence")
    typer.confirm("Do you accept this licence?", abort=True, err=True)


def _is_interactive() -> bool:
    return sys.stdin.isatty()


def _describe(weights: "Weights", given: Path) -> list[str]:
    """One line each on the tokenizer, the noise schedule, the path and what is not used."""
    schedule = weights.schedule
    lines = [
        f"tokenizer: {len(weights.tokenizer.ids):,} tokens, prompts of {weights.tokenizer.length}",
        f"noise schedule: {schedule.num_train_timesteps:,} timesteps, {schedule.prediction_type}, "
        f"{schedule.timestep_spacing}; sampler {weights.sampler}",
    ]
    if weights.path != given.absolute():
        lines.append(f"read from {weights.path}")
    return lines + list(weights.notes)


def _own_sampler(weights: Path) -> str:
    """The sampler that the weights name; fails if they cannot be read."""
    from course_lib.sd.weights import find_sampler

    try:
        return find_sampler(weights)
    except (ValueError, OSError) as error:
        fail(str(error))


def _require_weights(weights: Path) -> Path:
    """The path with ``~`` expanded (shells don't in ``--weights=~/sd``); fails if it is missing."""
    weights = paths.expand_user(weights)
    if not os.path.exists(weights):  # unlike weights.exists, also for names that are too long
        pages = "\n  ".join(DOWNLOAD_PAGES)
        fail(
            f"{weights} does not exist. Stable Diffusion's weights, {LICENCE}, can be downloaded "
            f"from\n  {pages}"
        )
    return weights


def _load(weights: Path, device: str | None) -> "StableDiffusion":
    """The pipeline on the device; on CUDA in float16: half the memory, and faster.

    Prints what is ignored or replaced in the weights.
    """
    import torch

    from course_lib.device import resolve_device
    from course_lib.sd.weights import load_parts, read

    target = resolve_device(device)
    found = read(weights)
    for note in found.notes:
        warn(note)
    dtype = torch.float16 if target.type == "cuda" else torch.float32
    return load_parts(found, dtype).to(target)
