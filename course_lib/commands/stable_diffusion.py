"""``course sd``: what is done with Stable Diffusion's official weights. Each command imports what
it needs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_lib.commands.generate import draw, resolve_device
from course_lib.console import fail

if TYPE_CHECKING:
    from course_lib.sd.pipeline import StableDiffusion

app = typer.Typer(help="Stable Diffusion 1.x with the official weights.", no_args_is_help=True)

LICENCE = "CreativeML OpenRAIL-M"
LICENCE_TEXT = "https://huggingface.co/spaces/CompVis/stable-diffusion-license"
# Where the official weights are to be had. Such addresses die, as the first one did in 2024: so
# these are several.
HOMES = (
    # version 1.5: a folder, and single files
    "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
    "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive",  # version 1.5: single files
    "https://huggingface.co/CompVis/stable-diffusion-v1-4",  # version 1.4: a folder, of the authors
)

# What it says, in our words.
RULES = """\
You may use, change and share them, also for money, and answer for what you make with them. Its attachment A names what
they must not be used for: breaking the law; harming minors; falsehoods or personal data meant to harm others;
defaming and harassing; discriminating, and exploiting people's weaknesses; automatic decisions about people's rights;
medical advice; the administration of justice. Whoever passes the weights on passes these rules on. And no filter looks
at the pictures that are made here."""


@app.command()
def verify(
    weights: Annotated[
        Path,
        typer.Argument(help="A folder with unet/, vae/ and text_encoder/, or a .safetensors file."),
    ],
) -> None:
    """Say whether weights are complete, and what they are."""
    from rich.console import Console
    from rich.table import Table

    from course_lib.sd.weights import MODELS, inspect

    _need(weights)
    console, damaged = Console(soft_wrap=True), []
    table = Table(box=None, pad_edge=False)
    for column in ("model", "class", "tensors", "parameters", "type", "MB"):
        table.add_column(
            column, justify="left" if column in ("model", "class", "type") else "right"
        )
    try:
        with console.status("reading"):
            parts = inspect(weights)
            for name, part in parts.items():
                counts, size = {}, 0
                for key, value in part.values():
                    counts[value.dtype] = counts.get(value.dtype, 0) + value.numel()
                    size += value.nbytes
                    # A download that was broken off can have its full length, and zeros for what
                    # never came.
                    total = value.float().abs().sum()
                    if not total.isfinite() or (value.ndim > 1 and total == 0):
                        damaged.append(f"{name}.{key}")
                types = ", ".join(
                    str(dtype).removeprefix("torch.") for dtype in sorted(counts, key=str)
                )
                numbers = (
                    str(len(part.tensors)),
                    f"{sum(counts.values()):,}",
                    types,
                    f"{size / 1e6:,.1f}",
                )
                table.add_row(name, type(part.model).__name__, *numbers)
    except ValueError as error:
        fail(str(error))
    console.print(table)
    if damaged:
        fail(
            f"{len(damaged)} tensors are all zeros, or hold what is no number, such as {damaged[0]}: get the file again"
        )
    official = all(part.model.config == MODELS[name][1]() for name, part in parts.items())
    form = (
        "a folder in diffusers' layout"
        if weights.is_dir()
        else "a single file with the original names"
    )
    sizes = "of the official sizes" if official else "at other sizes than the official ones"
    console.print(
        f"Complete: Stable Diffusion 1.x, {sizes}, {form}.", style="green", highlight=False
    )
    if official:
        console.print(
            f"Official weights are under the licence {LICENCE}: {LICENCE_TEXT}", highlight=False
        )


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What is to be seen.")],
    weights: Annotated[
        Path, typer.Option(help="The folder of the weights, or the one .safetensors file.")
    ],
    out: Annotated[
        Path, typer.Option(help="The picture; of several, each has its seed in its name.")
    ] = Path("x.png"),
    steps: Annotated[int, typer.Option(min=1, help="From noise to picture.")] = 25,
    guidance: Annotated[
        float, typer.Option(help="How much the prompt counts; at 1 half the work.")
    ] = 7.5,
    seed: Annotated[int, typer.Option(min=0, help="The same one gives the same picture.")] = 0,
    negative: Annotated[str, typer.Option(help="What is not to be seen.")] = "",
    sampler: Annotated[str, typer.Option(help="ddpm, ddim, euler, dpm++ or pndm.")] = "pndm",
    size: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT in pixels; if left out, what the model was trained on."),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="How many pictures, one seed after the other.")
    ] = 1,
    image: Annotated[
        Path | None, typer.Option(help="Change this picture instead; it is cut to the size.")
    ] = None,
    strength: Annotated[float, typer.Option(help="How much of --image may change, up to 1.")] = 0.8,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; if left out, the best one here.")
    ] = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence", help="You know the licence of the weights and keep to it."
        ),
    ] = False,
) -> None:
    """Make a picture of a sentence."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    if not accept_licence:
        console.print(
            f"The weights of Stable Diffusion come under {LICENCE}, {LICENCE_TEXT}\n{RULES}",
            markup=False,
        )
        if not _asked_by_a_person():
            fail("to accept this licence, add --accept-licence")
        typer.confirm("Do you accept this licence?", abort=True, err=True)
    _need(weights)
    draw(
        lambda: _ready(weights, device),
        prompt,
        out,
        size=size,
        image=image,
        strength=strength,
        sampler=sampler,
        steps=steps,
        seed=seed,
        count=count,
        guidance=guidance,
        negative=negative,
    )


def _need(weights: Path) -> None:

    if not weights.exists():
        homes = "\n  ".join(HOMES)
        fail(
            f"{weights} is not there. Stable Diffusion's weights, {LICENCE}, can be had from\n  {homes}"
        )


def _asked_by_a_person() -> bool:
    import sys

    return sys.stdin.isatty()


def _ready(weights: Path, device: str | None) -> "StableDiffusion":
    """The weights on the device, in 16 bits on CUDA: half the memory, and faster."""
    import torch

    from course_lib.sd.weights import load

    place = resolve_device(device)
    return load(weights, torch.float16 if place.type == "cuda" else torch.float32).to(place)
