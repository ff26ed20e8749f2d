"""Sorts the tensors of published weights into the three models and others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from course_lib.sd.key_names import MODEL_NAMES, name_inside
from course_lib.sd.locations import open_model
from course_lib.sd.tensor_files import TensorFile, shown


@dataclass(frozen=True)
class Contents:
    """The tensors of a file or folder.

    Attributes:
        inside: the tensors of the three models: by our name, the file and the published name.
        outside: the published names of all other tensors.
    """

    inside: Mapping[str, tuple[TensorFile, str]]
    outside: Sequence[str]

    @cached_property
    def names(self) -> list[str]:
        """All published names."""
        return [*self.outside, *(published for _, published in self.inside.values())]

    def shape(self, name: str) -> list[int]:
        """The shape of a tensor, by our name; empty if it is missing."""
        file, published = self.inside.get(name, (None, ""))
        return [] if file is None else file.shape(published)

    def has(self, model: str) -> bool:
        """Whether there are tensors of this model."""
        return any(name.startswith(f"{model}.") for name in self.inside)

    def any_name(self, *prefixes: str) -> bool:
        """Whether a published name has one of these prefixes."""
        return any(name.startswith(prefixes) for name in self.names)


def open_contents(path: Path) -> tuple[Contents, list[str], list[str]]:
    """The tensors at ``path``, a folder in diffusers' layout or a single file.

    Returns:
        The tensors, the duplicates, and notes on ignored tensors, the latter two as sentences.

    Raises:
        ValueError: if files are missing or damaged.
    """
    return _open_folder(path) if path.is_dir() else _open_file(path)


def _open_file(path: Path) -> tuple[Contents, list[str], list[str]]:
    file = TensorFile(path)
    names = [(name, name_inside(name)) for name in file.names]
    return _collect([(ours, published, file) for published, ours in names])


def _open_folder(path: Path) -> tuple[Contents, list[str], list[str]]:
    found, notes = [], []
    for name in MODEL_NAMES:
        tensors, unusual = open_model(path, name)
        found += [(name_inside(f"{name}.{key}"), key, file) for key, file in tensors.items()]
        if unusual:
            notes.append(f"Read from {unusual}, the only .safetensors file there.")
    contents, problems, outside = _collect(found)
    return contents, problems, notes + outside


def _collect(
    found: list[tuple[str | None, str, TensorFile]],
) -> tuple[Contents, list[str], list[str]]:
    inside: dict[str, tuple[TensorFile, str]] = {}
    outside, problems = [], []
    for ours, published, file in found:
        if ours is None:
            outside.append(published)
        elif ours in inside:
            problems.append(f"{shown(published)} is there twice")
        else:
            inside[ours] = file, published
    return Contents(inside, outside), problems, _note_on_outside(outside)


def _note_on_outside(outside: list[str]) -> list[str]:
    """A sentence on tensors outside the three models, grouped by the first part of their name."""
    groups: dict[str, int] = {}
    for name in outside:
        if not name.endswith("embeddings.position_ids"):  # always 0 to 76
            prefix = re.split(r"(?<=\.)", name)[0]
            group = prefix + "*" if prefix.endswith(".") else prefix
            groups[group] = groups.get(group, 0) + 1
    if not groups:
        return []
    listed = [
        f"{shown(name)} ({count})" if count > 1 else shown(name)
        for name, count in islice(groups.items(), 8)
    ]
    more = f" and {len(groups) - 8} more" if len(groups) > 8 else ""
    return [f"Not part of the three models, and not used: {', '.join(listed)}{more}."]
