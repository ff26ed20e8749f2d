"""Safetensors files: names, dtypes and shapes from the header; tensors read one by one.

The layout is documented at https://huggingface.co/docs/safetensors: the length of the header in 8
bytes, the header in JSON, then the data. The data is copied, not memory-mapped: if a mapped file
were truncated while in use, SIGBUS would end the process.
"""

import json
import math
import re
from pathlib import Path
from typing import NoReturn

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

# The supported dtypes of weights.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_READABLE = DTYPES | {"I64": torch.int64, "I32": torch.int32}
# Magic bytes of other file types.
_SIGNATURES = (
    (rb"PK\x03\x04", "a pickle"),
    (rb"\x80[\x02-\x05][^\x00]", "a pickle"),  # \x80\x02\0 is the length of a header
    (rb"GGUF", "a GGUF file"),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer instead of the file: run git lfs pull",
    ),
    (rb"(?i)\s*<(!doctype|html|\?xml)", "a web page"),
)
PICKLE_SUFFIXES = (".ckpt", ".bin", ".pt", ".pth")
PICKLE_ADVICE = (
    "Pickled files (.ckpt, .bin) can run code and are never read: get the .safetensors files."
)
_MAX_SHOWN = 100


def shown(name: str) -> str:
    """A name for a message: control characters escaped, truncated."""
    text = name.encode("unicode_escape").decode()
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


class TensorFile:
    """The header of a safetensors file, and access to its tensors.

    Attributes:
        path: the file.
        names: the tensors' names, in the order of the header.
        metadata: texts by name, which the file's writer added.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ValueError: if it is not a complete safetensors file; the message says what it is.
        """
        self.path = path
        try:
            with safe_open(path, framework="pt"):  # checks that header and length are consistent
                pass
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                self._header: dict = json.loads(file.read(length))
        except (OSError, SafetensorError, RecursionError, ValueError) as error:
            _explain(path, error)
        self.metadata: dict[str, str] = self._header.pop("__metadata__", None) or {}
        self._start = 8 + length
        self.names = list(self._header)

    def dtype(self, name: str) -> str:
        """The dtype as written in the header, such as ``"F16"``."""
        return self._header[name]["dtype"]

    def shape(self, name: str) -> list[int]:
        """The shape of a tensor."""
        return list(self._header[name]["shape"])

    def read(self, name: str) -> Tensor:
        """Read a tensor whose dtype is in ``DTYPES``, or an integer one.

        Raises:
            ValueError: if the file can't be read any more, or has become shorter.
        """
        begin, end = self._header[name]["data_offsets"]
        data = bytearray(end - begin)
        try:
            with self.path.open("rb") as file:
                file.seek(self._start + begin)
                count = file.readinto(data)
        except OSError as error:
            raise ValueError(f"{self.path} can't be read any more: {error}.") from error
        if count < len(data):
            raise ValueError(
                f"{self.path} has become shorter since it was opened: {shown(name)} is truncated. "
                "Let the download finish, then try again."
            )
        dtype, shape = _READABLE[self.dtype(name)], self.shape(name)
        if not data:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).reshape(shape)


def _explain(path: Path, error: Exception) -> NoReturn:
    """Raise a ValueError that says what the file is."""
    if path.is_symlink() and not path.exists():
        found = f"a link to {path.readlink()}, which does not exist: download it again"
    elif not path.is_file():
        found = "No such file" if not path.exists() else "something that is not a file"
    else:
        found = _describe(path) or str(error)
    advice = f" {PICKLE_ADVICE}" if found == "a pickle" else ""
    raise ValueError(
        f"{path}: expected a complete .safetensors file, found {found}.{advice}"
    ) from error


def _describe(path: Path) -> str | None:
    """What an invalid safetensors file is; None if unknown."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            start = file.read(32)
            for signature, file_type in _SIGNATURES:
                if re.match(signature, start):
                    return file_type
            length = int.from_bytes(start[:8], "little")
            file.seek(8)
            header = file.read(length) if length < size else b""
    except OSError as error:
        return str(error)
    if not size:
        return "an empty file"
    if length >= size:
        return None
    try:
        tensors = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name[:2] != "__"]
        expected = 8 + length + max(ends)
    except (KeyError, IndexError, RecursionError, TypeError, ValueError, AttributeError):
        return None
    if not isinstance(expected, int) or not math.isfinite(expected) or expected == size:
        return None
    if expected < size:
        return f"{size - expected:,} bytes after its end: download it again"
    return f"only {size:,} of its {expected:,} bytes: let the download finish, or restart it"
