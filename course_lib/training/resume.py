"""The state of a training run on disk: one file, replaced atomically.

A process killed at any moment leaves either the previous state or the new one.
"""

import os
from pathlib import Path
from typing import Any

import torch


def write(path: Path, state: dict[str, Any]) -> None:
    """Replace the state at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state at ``path``. Only tensors and plain values are unpickled: a foreign file can't run
    code.

    Raises:
        ValueError: if it is not a complete state.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # the unpickler raises many types on an invalid file
        raise ValueError(
            f"{path} is not a complete training state: delete it to train from the beginning."
        ) from error


def discard(path: Path) -> None:
    """Delete the state, and what a killed process left of the next one."""
    for file in (path, path.with_name(path.name + ".unfinished")):
        file.unlink(missing_ok=True)
