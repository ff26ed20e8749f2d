"""Trained weights as they are shipped: safetensors in float16, each with a card that says where it
came from.

Nothing is ever unpickled: a safetensors file holds numbers and names only,
https://huggingface.co/docs/safetensors
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from course_lib.assets import paths

CARD = {"command", "seed", "data", "metrics", "hardware", "minutes"}


def save(
    name: str,
    state: Mapping[str, Tensor],
    card: Mapping[str, Any],
    folder: str | Path | None = None,
) -> Path:
    """Write ``NAME.safetensors`` and its card ``NAME.json``. Returns the checkpoint's path.

    Args:
        name: what the checkpoint is called, without a suffix.
        state: tensors by name, as ``module.state_dict()`` gives them; floats are stored in float16.
        card: ``command`` that trained it, ``seed``, ``data``, ``metrics``, ``hardware`` and
            ``minutes``, and whatever else is worth knowing.
        folder: where to, made if it is not there; by default ``data/checkpoints``.

    Raises:
        ValueError: if the card lacks one of these.
    """
    missing = CARD - set(card)
    if missing:
        raise ValueError(
            f"The card of {name!r} lacks {', '.join(sorted(missing))}: every checkpoint says where it is from."
        )
    folder = paths.data("checkpoints") if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    halves = {
        key: value.half() if value.is_floating_point() else value for key, value in state.items()
    }
    save_file({key: value.detach().cpu().contiguous() for key, value in halves.items()}, path)
    (folder / f"{name}.json").write_text(json.dumps(dict(card), indent=2) + "\n")
    return path


def load(name: str) -> dict[str, Tensor]:
    """The tensors of a shipped checkpoint by name, on the CPU, floats as float32.

    Raises:
        FileNotFoundError: if the checkpoint is not there; the message says how to get it back.
    """
    return read(paths.data("checkpoints", f"{name}.safetensors"))


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of any safetensors file by name, on the CPU, floats as float32.

    Raises:
        ValueError: if the file is not there, or is no safetensors file.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is not there: give the path of a .safetensors file.")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}): give one that course train wrote."
        ) from error
    return {
        key: value.to(torch.float32) if value.is_floating_point() else value
        for key, value in state.items()
    }


def shipped(name: str) -> bool:
    """Whether there is a checkpoint of that name to load."""
    return (paths.data() / "checkpoints" / f"{name}.safetensors").is_file()


def card(name: str) -> dict[str, Any]:
    """What the card of a checkpoint says.

    Raises:
        FileNotFoundError: if the card is not there; the message says how to get it back.
    """
    return json.loads(paths.data("checkpoints", f"{name}.json").read_text())
