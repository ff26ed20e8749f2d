"""Published ControlNets: a folder with ``config.json`` and weights, as diffusers writes it.

As for the other models, only safetensors files are read, and loading is strict.
"""

from pathlib import Path

import torch

from course_lib.assets import paths
from course_lib.sd.controlnet import ControlNetConfig, ControlNetModel
from course_lib.sd.locations import find_snapshot, open_model
from course_lib.sd.settings import read_config
from course_lib.sd.tensor_files import DTYPES, TensorFile, shown
from course_lib.sd.weights import Part

# The beginnings of the names in files that diffusers did not write.
_OTHER_LAYOUTS = ("control_model.", "input_hint_block.", "input_blocks.", "lora_controlnet")


def load(path: str | Path, dtype: torch.dtype | None = None) -> ControlNetModel:
    """A published ControlNet for Stable Diffusion 1.x, on the CPU, in evaluation mode.

    Args:
        path: the folder, or its repository's folder in the hub's cache. ``~`` is expanded.
        dtype: of the weights; by default, the smallest that holds the file's without rounding.

    Raises:
        ValueError: if a tensor is missing, unknown or of the wrong shape, a setting differs from
            Stable Diffusion 1.x, or a file is damaged. The message names it.
    """
    folder = _find(paths.expand_user(path).absolute())
    config = read_config(ControlNetConfig, folder / "config.json")
    try:
        with torch.device("meta"):
            model = ControlNetModel(config)
    except ValueError as error:
        raise ValueError(f"{folder}: the sizes in config.json are invalid. {error}") from error
    tensors, _ = open_model(folder.parent, folder.name)
    _check(folder, model, tensors)
    part = Part(model, {key: (file, key) for key, file in tensors.items()})
    target = dtype or part.dtype
    state = {key: value.to(target) for key, value in part.values()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.to(memory_format=torch.channels_last).eval()


def _find(path: Path) -> Path:
    """The folder with ``config.json``."""
    if path.is_file():
        raise ValueError(f"{path} is a file. Give the folder with it and its config.json.")
    if not path.is_dir():
        raise ValueError(f"{path}: there is no such folder.")
    return path if (path / "config.json").is_file() else find_snapshot(path) or path


def _check(folder: Path, model: ControlNetModel, tensors: dict[str, TensorFile]) -> None:
    """Raise a ValueError unless the tensors are exactly the model's."""
    if any(key.startswith(_OTHER_LAYOUTS) for key in tensors):
        raise ValueError(
            f"{folder} has the original key names. Give the ControlNet in diffusers' layout."
        )
    expected = {key: list(value.shape) for key, value in model.state_dict().items()}
    problems = [f"{key} is missing" for key in expected if key not in tensors]
    problems += [f"{shown(key)} is unknown" for key in tensors if key not in expected]
    for key in expected.keys() & tensors.keys():
        dtype, shape = tensors[key].dtype(key), tensors[key].shape(key)
        if shape != expected[key] or dtype not in DTYPES:
            problems.append(f"{key} is {dtype} {shape}, expected floats {expected[key]}")
    if problems:
        raise ValueError(
            f"{folder} is not a ControlNet for Stable Diffusion 1.x, or incomplete. Problems: "
            f"{len(problems)}, such as: {'; '.join(sorted(problems)[:3])}."
        )
