"""Shipped weights: safetensors files in float16, each with a card that says how it was trained.

Nothing is ever unpickled: a safetensors file holds numbers and names only,
https://huggingface.co/docs/safetensors
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, no_type_check

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from course_lib.assets import paths

CARD_KEYS = {"command", "seed", "data", "metrics", "hardware", "minutes"}


class WithoutInitialisation(TorchFunctionMode):
    """A context that skips the random initialisation of new models, whose weights are loaded next.

    It saves 0.2 seconds for the text-to-image model. Lessons don't use it: skipped random draws
    would change all later random numbers.
    """

    _INITIALISERS = frozenset(
        (init.kaiming_uniform_, init.uniform_, init.normal_, Tensor.uniform_, Tensor.normal_)
    )

    @no_type_check  # called for every operation of torch: the tests' type checker would slow it
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return the tensor unchanged if ``func`` would fill it with random numbers."""
        kwargs = kwargs or {}
        if func in self._INITIALISERS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def save(
    name: str,
    state: Mapping[str, Tensor],
    card: Mapping[str, Any],
    folder: str | Path | None = None,
) -> Path:
    """Write ``NAME.safetensors`` and its card ``NAME.json``. Returns the checkpoint's path.

    Args:
        name: the checkpoint's name, without a suffix.
        state: tensors by name, as from ``module.state_dict()``; floats are stored in float16.
        card: at least ``command``, ``seed``, ``data``, ``metrics``, ``hardware`` and ``minutes``.
        folder: created if it does not exist; by default ``data/checkpoints``.

    Raises:
        ValueError: if the card lacks one of these keys.
    """
    missing = CARD_KEYS - set(card)
    if missing:
        raise ValueError(
            f"The card of {name!r} lacks {', '.join(sorted(missing))}: "
            "add them, because every checkpoint must say how it was trained."
        )
    folder = paths.data_path("checkpoints") if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    save_file({key: value.cpu().contiguous() for key, value in to_fp16(state).items()}, path)
    (folder / f"{name}.json").write_text(
        json.dumps(dict(card), indent=2) + "\n", encoding="utf-8", newline="\n"
    )
    return path


def to_fp16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as a checkpoint stores them: floats in float16, without gradients."""
    return {
        key: value.detach().half() if value.is_floating_point() else value.detach()
        for key, value in state.items()
    }


def load(name: str) -> dict[str, Tensor]:
    """The tensors of a shipped checkpoint by name, on the CPU, floats as float32.

    Raises:
        FileNotFoundError: if the checkpoint is missing; the message says how to get it.
    """
    return read(paths.data_path("checkpoints", f"{name}.safetensors"))


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of any safetensors file by name, on the CPU, floats as float32.

    Raises:
        ValueError: if the file does not exist, or is not a safetensors file.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist: give the path of a .safetensors file.")
    try:
        # Read whole, not memory-mapped: if a mapped file is truncated meanwhile, the process ends
        # with a bus error, which Python cannot catch.
        state = parse(Path(path).read_bytes())
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a safetensors file ({error}): give one that course train wrote."
        ) from error
    return to_float32(state)


def to_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a checkpoint as models use them: floats in float32, on the CPU."""
    return {
        key: value.to("cpu", torch.float32) if value.is_floating_point() else value.cpu()
        for key, value in state.items()
    }


def is_shipped(name: str) -> bool:
    """Whether there is a checkpoint of this name to :func:`load`."""
    return (paths.data_path() / "checkpoints" / f"{name}.safetensors").is_file()


def read_card(name: str) -> dict[str, Any]:
    """The card of a shipped checkpoint.

    Raises:
        FileNotFoundError: if the card is missing; the message says how to get it.
    """
    return json.loads(paths.data_path("checkpoints", f"{name}.json").read_text(encoding="utf-8"))
