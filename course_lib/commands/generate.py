"""``course generate``, and its code shared with ``course sd generate``: from a prompt to files."""

import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course_lib.assets import paths
from course_lib.console import fail, stderr, warn

if TYPE_CHECKING:
    import torch

    from course_lib.diffusion.judge import Judge
    from course_lib.sd.pipeline import StableDiffusion

# The models, and the checkpoints that each needs.
_MODELS = {"tiny-sd": ("tiny-sd", "judge"), "one-step": ("tiny-sd", "one-step", "judge")}
_MANY_STEPS: dict[str, Any] = {
    "steps": 20,
    "sampler": "dpm++",
    "guidance": 2.5,
    "negative": "",
    "image": None,
    "strength": 0.8,
}
# Where a model differs from these settings.
_SETTINGS: dict[str, dict[str, Any]] = {
    "tiny-sd": {},
    "one-step": {"steps": 1, "sampler": "flow-euler", "guidance": 1.0},
}
_LAST_SEED = 2**64 - 1  # of torch.Generator.manual_seed
MAX_COUNT = 1_000_000  # images by one command


def generate(
    prompt: Annotated[
        str, typer.Argument(help='What the image shows, such as "a fox on a purple background".')
    ],
    model: Annotated[
        str,
        typer.Option(
            help="tiny-sd; or one-step, for one object on a background: it calls the network once, "
            "without --steps, --sampler, --guidance, --negative, --image and --strength."
        ),
    ] = "tiny-sd",
    out: Annotated[
        Path, typer.Option(help="The image file; with --count, every name ends with its seed.")
    ] = Path("x.png"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same image.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Sampling steps.", show_default="20")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            help="Guidance scale; 1 ignores --negative and halves the time.",
            show_default="2.5",
        ),
    ] = None,
    negative: Annotated[
        str | None, typer.Option(help="What the image must not show.", show_default="nothing")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="ddpm, ddim, euler, dpm++ or pndm.", show_default="dpm++")
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Number of images, with consecutive seeds.")
    ] = 1,
    image: Annotated[
        Path | None, typer.Option(help="An image to change, cropped to 128x128.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(help="How much --image may change, up to 1.", show_default="0.8"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; by default the fastest one here.")
    ] = None,
) -> None:
    """Generate an image from a prompt with the course's own text-to-image model."""
    if model not in _MODELS:
        fail(f"there is no model {model}: choose one of {', '.join(_MODELS)}")
    # None: the option was not given.
    options = {
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "negative": negative,
        "image": image,
        "strength": strength,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if model == "one-step" and given:
        fail(
            "--model one-step makes an image in one step, without guidance: leave out "
            f"{', '.join(f'--{name}' for name in given)}, or give --model tiny-sd"
        )
    _require_weights(model)

    def load_model() -> "StableDiffusion":
        from course_lib.assets import checkpoints
        from course_lib.device import resolve_device
        from course_lib.diffusion import prompts

        with checkpoints.WithoutInitialisation():
            pipeline = _load_pipeline(model)
        pipeline.to(resolve_device(device))
        for warning in prompts.warnings_about(prompt):
            warn(warning)
        return pipeline

    generate_files(
        load_model,
        prompt,
        out,
        size="128",
        seed=seed,
        count=count,
        **(_MANY_STEPS | _SETTINGS[model] | given),
        examine=lambda pipeline, result: _describe_mismatch(prompt, result),
    )


def _load_pipeline(model: str) -> "StableDiffusion":
    from course_lib.diffusion import one_step, text_to_image

    return one_step.load() if model == "one-step" else text_to_image.load()


def _require_weights(model: str) -> None:
    """End the command if weights that the model needs are missing."""
    from course_lib.assets import checkpoints

    for name in _MODELS[model]:
        if not checkpoints.is_shipped(name):
            fail(
                f"the weights of {name} are missing: course train {name} --ship trains them, "
                "which takes long on a CPU"
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
    guidance: float,
    negative: str,
    examine: Callable[["StableDiffusion", "torch.Tensor"], str] = lambda model, result: "",
) -> None:
    """Generate images and write each to its file as soon as it is finished.

    The keyword arguments are the options of both commands. An error ends the command with one
    sentence; images already written stay.

    Args:
        load_model: called after the options were checked.
        prompt: what the images show.
        out: the image file; with a ``count`` above 1, every name ends with its seed.
        examine: called with the model and an image, 3 x height x width in [0, 1]; returns a remark
            for the user, or ``""``.
    """
    from course_lib.commands import drawing

    out = paths.expand_user(out)
    width = height = None
    try:
        _check_options(out, seed=seed, count=count, guidance=guidance, strength=strength)
        width, height = _parse_size(size)
        with stderr().status("loading the weights"):
            model = load_model()
        _warn_of_ignored_options(model, prompt, negative, guidance)
        pixels = None
        if image is not None:
            pixels = _read_image(image, width, height, model.vae.config.factor)
            height, width = pixels.shape[1:]
        default = model.unet.config.sample_size * model.vae.config.factor
        width, height = width or default, height or default
        request = drawing.Request(
            width=width,
            height=height,
            prompt=prompt,
            negative=negative,
            image=pixels,
            strength=strength,
            guidance=guidance,
            sampler=sampler,
            steps=steps,
        )
        images = drawing.draw(model, request, range(seed, seed + count))
        _write(images, out, count > 1, lambda result: examine(model, result))
    except (ValueError, OSError, FloatingPointError) as error:
        fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if not drawing.ran_out_of_memory(error):
            raise
        pixels_each = f"{width} x {height}" if width else "the model's own number of"
        fail(
            f"there is not enough memory for {count} x {pixels_each} pixels, even in batches: "
            "choose a smaller size, or close other programs"
        )


def _check_options(out: Path, *, seed: int, count: int, guidance: float, strength: float) -> None:
    """Reject options that are invalid for every model, before a model is loaded."""
    suffixes = (".png", ".jpg", ".jpeg", ".webp")
    if out.suffix.lower() not in suffixes or not out.parent.is_dir() or out.is_dir():
        fail(f"{out} cannot be written: give a .png in a folder that exists")
    if not math.isfinite(guidance):
        fail(f"--guidance {guidance} cannot be used: give a number such as 5")
    if not 0 < strength <= 1:
        fail(f"--strength {strength} cannot be used: give a number above 0, at most 1")
    if seed + count - 1 > _LAST_SEED:
        fail(
            f"--seed {seed} with --count {count} cannot be used: seeds are whole numbers "
            f"from 0 to {_LAST_SEED}, which is 2^64 - 1"
        )


def _warn_of_ignored_options(
    model: "StableDiffusion", prompt: str, negative: str, guidance: float
) -> None:
    _, truncated = model.tokenizer.encode([prompt, negative])
    for name, count in zip(("prompt", "negative prompt"), truncated, strict=True):
        if count:
            warn(f"The {name} is too long: its last {count} tokens were ignored.")
    if negative and guidance == 1:
        warn("With --guidance 1 the negative prompt has no effect: give a higher --guidance.")


def _write(
    images: "Iterable[tuple[int, torch.Tensor]]",
    out: Path,
    several: bool,
    examine: Callable[["torch.Tensor"], str],
) -> None:
    """Write each image as soon as it is generated; at the end, print the paths and the remarks."""
    written: list[tuple[Path, str]] = []
    try:
        for seed, image in images:
            path = out.with_name(f"{out.stem}-{seed}{out.suffix}") if several else out
            _write_image(image, path)
            written.append((path, examine(image)))
    finally:
        for path, remark in written:
            print(path)
            if remark:
                warn(f"{path.name}: {remark}")


def _describe_mismatch(prompt: str, image: "torch.Tensor") -> str:
    """How the judge's verdict on an image differs from the prompt; empty if it does not."""
    from course_lib.diffusion import prompts

    (found,) = _judge().describe(image[None])
    return prompts.describe_difference(prompt, found)


@cache
def _judge() -> "Judge":
    from course_lib.diffusion import judge

    return judge.load()


def _parse_size(size: str | None) -> tuple[int | None, int | None]:
    """``"512x768"`` or ``"512"`` as width and height."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", size or "0x0")
    if match is None:
        raise ValueError(f"The size {size!r} cannot be read: write it as 512x768, width first.")
    return int(match[1]) or None, int(match[2] or match[1]) or None


def _read_image(path: Path, width: int | None, height: int | None, factor: int) -> "torch.Tensor":
    """An image in [0, 1], scaled and cropped around its centre to this size; by default the largest
    multiple of ``factor`` that fits in it.
    """
    from PIL import ImageOps

    from course_lib.data import image_files

    image = image_files.read_image(paths.expand_user(path))
    default_width, default_height = (max(side // factor, 1) * factor for side in image.size)
    size = (width or default_width, height or default_height)
    return image_files.to_tensor(ImageOps.fit(image, size))


def _write_image(image: "torch.Tensor", path: Path) -> None:
    from PIL import Image

    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
