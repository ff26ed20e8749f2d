"""The state of a training on disk: it survives being killed at any moment, in files that are easily
carried.

The file ``NAME.resume`` lists the parts that the state was cut into; those of the state before it
are deleted only when it names the new ones.
"""

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

PART = 16_000_000  # bytes


def write(path: Path, state: dict[str, Any]) -> None:
    """Replace the state at ``path``; a kill in the middle leaves the one before it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    packed, old = io.BytesIO(), _parts(path)
    torch.save(state, packed)
    data, kind = packed.getbuffer(), "b" if any(part.suffixes[-2] == ".a" for part in old) else "a"
    names = [f"{path.name}.{kind}.{number}" for number in range(-(-len(data) // PART))]
    for number, name in enumerate(names):
        path.with_name(name).write_bytes(data[number * PART : (number + 1) * PART])
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps({"parts": names, "bytes": len(data)}) + "\n")
    os.replace(unfinished, path)
    for part in old:
        part.unlink(missing_ok=True)


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state at ``path``. Numbers and names only are read: a foreign file can't run code.

    Raises:
        ValueError: if it is no whole state.
    """
    try:
        data = b"".join(part.read_bytes() for part in _parts(path))
        if len(data) != json.loads(path.read_text())["bytes"]:
            raise ValueError("a part of it is not whole")
        return torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(f"{path} is no whole state of a training: {error}") from error


def discard(path: Path) -> None:
    """Delete the state and its parts."""
    for part in [*_parts(path), path]:
        part.unlink(missing_ok=True)


def _parts(path: Path) -> list[Path]:
    if not path.is_file():
        return []
    return [path.with_name(Path(name).name) for name in json.loads(path.read_text())["parts"]]
