"""The state of a training run on disk: one file, replaced atomically.

A process killed at any moment leaves either the previous state or the new one.
"""

import os
from pathlib import Path
from typing import Any

import torch


def write(path: Path, state: dict[str, Any]) -> None:
    """Save the state at ``path``, replacing a previous one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".unfinished")
    torch.save(state, temporary)
    os.replace(temporary, path)


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state at ``path``. Only tensors and plain values are unpickled: untrusted files can't
    run code.

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
    """Delete the state, and a temporary file left by a killed process."""
    for file in (path, path.with_name(path.name + ".unfinished")):
        file.unlink(missing_ok=True)
