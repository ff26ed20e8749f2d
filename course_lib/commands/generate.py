"""``course generate``, and what it shares with ``course sd generate``: from a prompt to files."""

import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_lib.console import fail, stderr, warn

if TYPE_CHECKING:
    import torch

    from course_lib.diffusion.judge import Judge
    from course_lib.sd.pipeline import StableDiffusion

_LAST_SEED = 2**64 - 1  # of torch.Generator.manual_seed


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
    from course_lib.assets import checkpoints

    if not checkpoints.is_shipped("tiny-sd"):
        fail(
            "the weights of tiny-sd are missing: course train tiny-sd --ship makes them, "
            "which takes hours on a CPU"
        )

    def load_model() -> "StableDiffusion":
        from course_lib.device import resolve_device
        from course_lib.diffusion import prompts, text_to_image

        with checkpoints.WithoutInitialisation():
            model = text_to_image.load()
        model.to(resolve_device(device))
        for warning in prompts.warnings_about(prompt, model.tokenizer):
            warn(warning)
        return model

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
        examine=lambda model, picture: _verdict(prompt, model, picture),
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
    examine: Callable[["StableDiffusion", "torch.Tensor"], str] = lambda model, picture: "",
) -> None:
    """Generate images and write them to files, each as soon as it is drawn.

    The options are those of both commands. What can't be done ends the command with one sentence;
    the images that were written stay.

    Args:
        load_model: called after the options were checked.
        prompt: what the images show.
        out: the file; of several, each has its seed in its name.
        examine: what there is to say about an image of this model, 3 x height x width in [0, 1], or
            ``""``.
    """
    from course_lib.commands import drawing

    out = out.expanduser()
    _check_options(out, seed=seed, count=count, guidance=guidance, strength=strength)
    width = height = None
    try:
        width, height = _parse_size(size)
        with stderr().status("loading the weights"):
            model = load_model()
        _warn_of_ignored_words(model, prompt, negative, guidance)
        pixels = None
        if image is not None:
            pixels = _read_image(image.expanduser(), width, height, model.vae.config.factor)
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
        pictures = drawing.draw(model, request, range(seed, seed + count))
        _write(pictures, out, count > 1, lambda picture: examine(model, picture))
    except (ValueError, OSError, FloatingPointError) as error:
        fail(str(error))
    except (MemoryError, RuntimeError) as error:
        if not drawing.ran_out_of_memory(error):
            raise
        pixels_each = f"{width} x {height}" if width else "the model's own number of"
        fail(
            f"there is not enough memory for {count} x {pixels_each} pixels (--count, width and "
            "height), though they are drawn in small batches: choose a smaller size, or close "
            "other programs"
        )


def _check_options(out: Path, *, seed: int, count: int, guidance: float, strength: float) -> None:
    """Refuse what no model can do, before any is loaded."""
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


def _warn_of_ignored_words(
    model: "StableDiffusion", prompt: str, negative: str, guidance: float
) -> None:
    _, cut = model.tokenizer.encode([prompt, negative])
    for name, count in zip(("prompt", "negative prompt"), cut, strict=True):
        if count:
            warn(f"The {name} is too long: its last {count} tokens were ignored.")
    if negative and guidance == 1:
        warn("Without guidance the negative prompt does nothing: give another --guidance than 1.")


def _write(
    pictures: "Iterable[tuple[int, torch.Tensor]]",
    out: Path,
    several: bool,
    examine: Callable[["torch.Tensor"], str],
) -> None:
    """Write each picture when it comes; at the end, print the files and what there is to say."""
    written: list[tuple[Path, str]] = []
    try:
        for seed, picture in pictures:
            path = out.with_name(f"{out.stem}-{seed}{out.suffix}") if several else out
            _write_image(picture, path)
            written.append((path, examine(picture)))
    finally:
        for path, remark in written:
            print(path)
            if remark:
                warn(f"{path.name}: {remark}")


def _verdict(prompt: str, model: "StableDiffusion", picture: "torch.Tensor") -> str:
    """What the judge sees in a picture, where it is not what the prompt names."""
    from course_lib.diffusion import prompts

    (verdict,) = _judge().classify(picture[None])
    return prompts.describe_difference(prompts.check_prompt(prompt, model.tokenizer), verdict)


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
    """An image in [0, 1], cropped around its centre to this size; by default to the largest
    multiple of ``factor`` that fits in it.
    """
    from PIL import ImageOps

    from course_lib.data import image_files

    image = image_files.read_image(path)
    default_width, default_height = (max(side // factor, 1) * factor for side in image.size)
    size = (width or default_width, height or default_height)
    return image_files.to_tensor(ImageOps.fit(image, size))


def _write_image(image: "torch.Tensor", path: Path) -> None:
    from PIL import Image

    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
