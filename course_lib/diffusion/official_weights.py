"""Finds, checks and loads the official weights of Stable Diffusion 1.x for lesson 7."""

import os
from pathlib import Path

import torch

from course_lib.assets import paths
from course_lib.console import to_shell
from course_lib.sd.pipeline import StableDiffusion

ENV_VARIABLE = "COURSE_SD_WEIGHTS"


def find() -> Path | None:
    """The path in the environment variable ``COURSE_SD_WEIGHTS``, or None if it does not exist."""
    value = os.environ.get(ENV_VARIABLE, "")
    path = paths.expand_user(value)
    # unlike path.exists, also for names that are too long
    return path if value and os.path.exists(path) else None


def describe(path: Path | None, device: torch.device) -> str:
    """The state of the weights, and the next steps, in a few lines.

    Args:
        path: the result of :func:`find`.
        device: the device that the lesson uses.
    """
    from course_lib.sd.licence import LICENCE
    from course_lib.sd.weights import inspect

    if path is None:
        return _instructions(device)
    try:
        parts = inspect(path)
    except (ValueError, OSError) as error:
        check = to_shell("course", "sd", "verify", path)
        return f"{error}\nDownload them again, and check them with: {check}"
    total = sum(weights.numel() for part in parts.values() for weights in part.model.parameters())
    summary = f"{path}: complete, {total:,} parameters, licence {LICENCE}."
    if device.type == "cuda":
        return summary
    command = to_shell("course", "sd", "generate", "a red fox in the snow", "--weights", path)
    return (
        f"{summary}\nWithout a CUDA GPU the next cell generates nothing: an image takes minutes "
        f"on this machine. In a terminal: {command}"
    )


def _instructions(device: torch.device) -> str:
    """How to get the weights."""
    from course_lib.sd.licence import DOWNLOAD_PAGES, LICENCE, LICENCE_URL

    lines = [
        f"No official weights: {ENV_VARIABLE} does not name an existing folder or file. "
        "The rest of the lesson does not need them.",
        f"Their licence is {LICENCE}; read it first: {LICENCE_URL}",
        "Download them as safetensors, a folder or a single file, from",
        *(f"  {page}" for page in DOWNLOAD_PAGES),
        f'Then set os.environ["{ENV_VARIABLE}"] to the path, and run this cell again.',
        "To check that the download is complete: course sd verify PATH",
    ]
    if device.type != "cuda":
        lines.append(
            "This machine has no CUDA GPU. In Colab choose Runtime > Change runtime type > a GPU."
        )
    return "\n".join(lines)


def is_usable(path: Path | None, device: torch.device) -> bool:
    """Whether the lesson can generate images: it needs complete weights and a CUDA GPU."""
    from course_lib.sd.weights import inspect

    try:
        return path is not None and device.type == "cuda" and bool(inspect(path))
    except (ValueError, OSError):
        return False


def load(path: Path, device: torch.device) -> StableDiffusion:
    """The pipeline with these weights, in float16, on ``device``.

    Raises:
        ValueError: if they are not the complete weights of Stable Diffusion 1.x.
    """
    from course_lib.sd import weights

    return weights.load(path, torch.float16).to(device)
