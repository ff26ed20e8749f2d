"""The official weights of Stable Diffusion 1.x in a lesson: where they are, and what to do where
they are not.
"""

import os
from pathlib import Path

import torch

from course_lib.sd.pipeline import StableDiffusion

VARIABLE = "COURSE_SD_WEIGHTS"


def find() -> Path | None:
    """The folder or file that ``COURSE_SD_WEIGHTS`` names, if something is there."""
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named and Path(named).exists() else None


def advice(place: Path | None, device: torch.device) -> str:
    """What is there, what is missing, and how to get it, in a few lines.

    Args:
        place: what :func:`find` says.
        device: what the lesson runs on.
    """
    from course_lib.commands.stable_diffusion import HOMES, LICENCE, LICENCE_TEXT
    from course_lib.sd.weights import inspect

    if place is None:
        lines = [
            f"No official weights here: {VARIABLE} names no folder and no file. The rest of the lesson needs none.",
            f"They are under the licence {LICENCE}: read it first, {LICENCE_TEXT}",
            "They can be had, as safetensors, a folder or one file, from",
            *(f"  {home}" for home in HOMES),
            f'Then set os.environ["{VARIABLE}"] to the path, and run this cell again.',
            "To see whether all of it has arrived: course sd verify PATH",
        ]
        if device.type != "cuda":
            lines.append(
                "This machine has no CUDA GPU: in Colab choose Runtime > Change runtime type > a GPU."
            )
        return "\n".join(lines)
    try:
        parts = inspect(place)
    except ValueError as error:
        return f"{error}\nGet them again, and look with: course sd verify {place}"
    total = sum(weights.numel() for part in parts.values() for weights in part.model.parameters())
    told = f"{place}: complete, {total:,} parameters, licence {LICENCE}."
    if device.type == "cuda":
        return told
    return f"{told}\nWithout a CUDA GPU the next cell draws nothing: a picture takes minutes here. In a terminal: " \
           f'course sd generate "a red fox in the snow" --weights {place}'  # fmt: skip


def ready(place: Path | None, device: torch.device) -> bool:
    """Whether the lesson can draw with them: complete weights, and a GPU."""
    from course_lib.sd.weights import inspect

    try:
        return place is not None and device.type == "cuda" and bool(inspect(place))
    except ValueError:
        return False


def load(place: Path, device: torch.device) -> StableDiffusion:
    """The weights on the device, in 16 bits.

    Raises:
        ValueError: if they are not Stable Diffusion 1.x, or not all of it; the message says what is
            wrong.
    """
    from course_lib.sd import weights

    return weights.load(place, torch.float16).to(device)
