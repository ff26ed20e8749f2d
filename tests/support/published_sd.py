"""A tiny Stable Diffusion in the folder layout of diffusers, and changes to its files."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from course_lib.cli import app
from course_lib.sd.unet import UNetConfig
from course_lib.sd.vae import AutoencoderConfig
from tests.support.sampling import PUBLISHED
from tests.support.tiny_sd import SHALLOW_VAE, UNET, pipeline_pair, write_tokenizer

SCHEDULER = "scheduler/scheduler_config.json"
UNET_FILE = "unet/diffusion_pytorch_model.safetensors"
Change = Callable[[Path], "Path | None"]


def write_published(
    folder: Path, unet_config: UNetConfig = UNET, vae_config: AutoencoderConfig = SHALLOW_VAE
) -> Path:
    """Write the tiny pipeline with diffusers, with tokenizer and scheduler files as of 2022."""
    with TemporaryDirectory() as empty:
        _, theirs = pipeline_pair(Path(empty), unet_config, vae_config)
    theirs.save_pretrained(folder)
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    write_tokenizer(folder / "tokenizer")
    (folder / "tokenizer" / "tokenizer_config.json").write_text('{"model_max_length": 77}')
    scheduler = {"_class_name": "PNDMScheduler", "clip_sample": False, "trained_betas": None}
    (folder / SCHEDULER).write_text(json.dumps(scheduler | PUBLISHED))
    return folder


def edit(file: Path, *removed: str, **changes: object) -> None:
    """Change and remove settings in a JSON file."""
    settings = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in settings.items() if k not in removed}))


def setting(file: str, *removed: str, **changes: object) -> Change:
    """A change that applies :func:`edit` to a file of the folder."""
    return lambda folder: edit(folder / file, *removed, **changes)


def course_sd(*arguments: object) -> tuple[int, str]:
    """Exit code and output of ``course sd ...``; unhandled exceptions are raised."""
    result = CliRunner().invoke(app, ["sd", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join((result.output + getattr(result, "stderr", "")).split())


def verify_and_generate(path: Path, out: Path) -> tuple[tuple[int, str], tuple[int, str]]:
    """Exit code and output of ``verify`` and of ``generate`` for the same weights."""
    options = ["--steps", 3, "--device", "cpu", "--accept-licence", "--out", out]
    generated = course_sd("generate", "a fox", "--weights", path, *options)
    return course_sd("verify", path), generated
