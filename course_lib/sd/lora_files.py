"""LoRA files: reads the published formats strictly, and writes two of them.

A file has A and B of every layer, under names that depend on the program that wrote it. LAYER is
the layer's name in our models:

- diffusers: ``unet.LAYER.lora_A.weight``, or ``unet.LAYER.lora.down.weight``, or in the oldest
  files ``unet.mid_block.(...).attn1.processor.to_q_lora.down.weight``. In the text encoder:
  ``text_encoder.text_model.LAYER.lora_linear_layer.down.weight``. alpha can be in the metadata.
  https://github.com/huggingface/diffusers, ``utils/state_dict_utils.py``, ``loaders/lora_base.py``
- peft: ``base_model.model.LAYER.lora_A.weight``, in a folder with ``adapter_config.json``, which
  has alpha. https://github.com/huggingface/peft, ``utils/save_and_load.py``
- kohya: ``lora_unet_LAYER.lora_down.weight`` and ``lora_te_text_model_LAYER.lora_down.weight``,
  with ``_`` for every ``.`` in LAYER; alpha is a tensor, ``lora_unet_LAYER.alpha``.
  https://github.com/kohya-ss/sd-scripts, ``networks/lora.py``

Without an alpha, it is the rank.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from course_lib.assets import paths
from course_lib.sd.lora import LoRALayer, adaptable_layers, add_to, find_layers, freeze_others
from course_lib.sd.settings import read_json
from course_lib.sd.tensor_files import DTYPES, TensorFile, shown

LAYOUTS = ("diffusers", "kohya")
# The ends of the tensors' names, and what the tensors are.
_ENDINGS = {
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora.down.weight": "A",
    ".lora.up.weight": "B",
    ".lora_linear_layer.down.weight": "A",
    ".lora_linear_layer.up.weight": "B",
    "_lora.down.weight": "A",
    "_lora.up.weight": "B",
    ".lora_down.weight": "A",
    ".lora_up.weight": "B",
    ".alpha": "alpha",
}
_PEFT_FILE, _DIFFUSERS_FILE = "adapter_model.safetensors", "pytorch_lora_weights.safetensors"
_METADATA = "lora_adapter_metadata"  # of diffusers: peft's settings in JSON
_OTHER_KINDS = {
    r"dora_scale|lora_magnitude_vector": "a DoRA, which also has lengths of weights",
    r"\bhada_": "a LoHa, a product of two LoRAs",
    r"\blokr_": "a LoKr, a Kronecker product",
    r"\blora_mid\b": "a LoCon with three matrices",
    r"^lora_te2_|^text_encoder_2\.|input_blocks|output_blocks|add_embedding|label_emb": (
        "a LoRA for Stable Diffusion XL"
    ),
    r"^(lora_)?transformer[._]|(double|single|joint)_blocks": (
        "a LoRA for a transformer, such as Stable Diffusion 3 or FLUX"
    ),
}

# The model, "unet" or "text_encoder", and the name of a layer in it.
Layer = tuple[str, str]


def load(
    path: str | Path,
    unet: nn.Module | None = None,
    text_encoder: nn.Module | None = None,
    strength: float = 1.0,
) -> dict[str, LoRALayer]:
    """Add the LoRAs in a file to the models; the models' other parameters are then frozen.

    Nothing is changed unless the whole file fits.

    Args:
        path: a ``.safetensors`` file of diffusers or kohya, or a folder of diffusers or peft.
        unet, text_encoder: the models that the file has changes for; without LoRAs.
        strength: the factor of the changes.

    Returns:
        The layers by name, such as ``unet.mid_block.attentions.0.proj_in``.

    Raises:
        ValueError: if a tensor is missing, unknown, or of a wrong shape or rank, a setting is not
            supported, or a model has a LoRA already. The message names it.
    """
    models = {"unet": unet, "text_encoder": text_encoder}
    given = {name: model for name, model in models.items() if model is not None}
    for name, model in given.items():
        if find_layers(model):
            raise ValueError(f"The {name} has a LoRA already: call lora.remove first.")
    file = _open(paths.expand_user(path))
    weights = {
        (name, layer): part.weight
        for name, model in given.items()
        for layer, part in adaptable_layers(model).items()
    }
    problems = [] if file.names else ["there are no tensors"]
    changes = _read_changes(file, weights, problems)
    settings = _read_settings(file)
    for layer, change in changes.items():
        _check(layer, change, weights[layer], settings, problems)
    if problems:
        _reject(file, problems, [name for name in models if name not in given])
    added = {
        f"{name}.{layer}": _add(given[name], layer, change, strength)
        for (name, layer), change in changes.items()
    }
    for name in {name for name, _ in changes}:
        freeze_others(given[name])
    return added


def save(
    path: str | Path,
    unet: nn.Module | None = None,
    text_encoder: nn.Module | None = None,
    layout: str = "diffusers",
) -> None:
    """Write the LoRAs of the models to a file that diffusers, kohya's scripts and others read.

    The strength is not written.

    Args:
        path: ends in ``.safetensors``.
        layout: a name in ``LAYOUTS``.

    Raises:
        ValueError: if no model has a LoRA, or the layout is unknown.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"There is no layout {layout!r}: choose one of {', '.join(LAYOUTS)}.")
    models = {"unet": unet, "text_encoder": text_encoder}
    found = {name: find_layers(model) for name, model in models.items() if model is not None}
    if not any(found.values()):
        raise ValueError("No model has a LoRA: call lora.inject first.")
    tensors: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    for model, layers in found.items():
        for name, layer in layers.items():
            A, B = (part.weight.detach().contiguous() for part in (layer.lora_A, layer.lora_B))
            inner = name if model == "unet" else f"text_model.{name}"
            if layout == "diffusers":
                tensors[f"{model}.{inner}.lora_A.weight"] = A
                tensors[f"{model}.{inner}.lora_B.weight"] = B
            else:
                prefix = "lora_unet" if model == "unet" else "lora_te"
                key = f"{prefix}_{inner.replace('.', '_')}"
                tensors[f"{key}.lora_down.weight"] = A
                tensors[f"{key}.lora_up.weight"] = B
                tensors[f"{key}.alpha"] = torch.tensor(layer.alpha)
        if layers:
            settings |= {f"{model}.{key}": value for key, value in _peft_settings(layers).items()}
    metadata = {"format": "pt"}
    if layout == "diffusers":
        metadata[_METADATA] = json.dumps(settings, indent=2, sort_keys=True)
    save_file(tensors, path, metadata)


def _peft_settings(layers: Mapping[str, LoRALayer]) -> dict[str, Any]:
    """The fields of peft's ``LoraConfig``."""
    first = next(iter(layers.values()))
    return {
        "r": first.rank,
        "lora_alpha": first.alpha,
        "rank_pattern": {name: x.rank for name, x in layers.items() if x.rank != first.rank},
        "alpha_pattern": {name: x.alpha for name, x in layers.items() if x.alpha != first.alpha},
        "target_modules": sorted(layers),
    }


def _open(path: Path) -> TensorFile:
    if not path.is_dir():
        return TensorFile(path)
    for name in (_PEFT_FILE, _DIFFUSERS_FILE):
        if (path / name).exists():
            return TensorFile(path / name)
    raise ValueError(
        f"{path} has no {_PEFT_FILE} or {_DIFFUSERS_FILE}: give the path of the .safetensors file."
    )


def _spellings(model: str, layer: str) -> Iterator[str]:
    """All published names of a layer."""
    names, prefixes = [layer], ["lora_unet_"]
    if model == "unet":
        names += [re.sub(r"\.to_(q|k|v|out)(\.0)?$", r".processor.to_\1", layer)]
    else:
        names += [re.sub(r"\.(q|k|v|out)_proj$", r".to_\1", layer)]
        names += [f"text_model.{name}" for name in names]
        prefixes = ["lora_te_", "lora_te1_"]
    for name in names:
        yield from (name, f"{model}.{name}", f"base_model.model.{name}")
        yield from (prefix + name.replace(".", "_") for prefix in prefixes)


def _read_changes(
    file: TensorFile, weights: Mapping[Layer, Tensor], problems: list[str]
) -> dict[Layer, dict[str, Tensor]]:
    """A, B and alpha of every layer; append what is wrong to ``problems``."""
    layers = {name: layer for layer in weights for name in _spellings(*layer)}
    changes: dict[Layer, dict[str, Tensor]] = {}
    for key in file.names:
        ending = next((ending for ending in _ENDINGS if key.endswith(ending)), None)
        layer = layers.get(key.removesuffix(ending)) if ending else None
        if ending is None or layer is None:
            problems.append(f"{shown(key)} is unknown")
            continue
        part, change = _ENDINGS[ending], changes.setdefault(layer, {})
        is_integer = part == "alpha" and file.dtype(key) in ("I32", "I64")
        if file.dtype(key) not in DTYPES and not is_integer:
            problems.append(f"{shown(key)} is {file.dtype(key)}, expected floats")
        elif part in change:
            problems.append(f"{shown(key)} is there twice, under two names")
        else:
            change[part] = file.read(key)
    return changes


def _read_settings(file: TensorFile) -> dict[str, Any]:
    """peft's settings, under their names or prefixed with a model's; empty if there are none."""
    config_file = file.path.with_name("adapter_config.json")
    if file.path.name == _PEFT_FILE and config_file.exists():
        return read_json(config_file)
    try:
        settings = json.loads(file.metadata.get(_METADATA, "{}"))
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"{file.path}: {_METADATA} in its header is not a JSON object.")
    return settings


def _check(
    layer: Layer,
    change: dict[str, Any],
    weight: Tensor,
    settings: Mapping[str, Any],
    problems: list[str],
) -> None:
    """Compare a change with the layer's weight and the settings; fill in its alpha."""
    title = ".".join(layer)
    missing = [part for part in ("A", "B") if part not in change]
    if missing:
        problems.append(f"{title} has no {missing[0]}")
        return
    rank = next(iter(change["A"].shape), 0)
    outputs, *inputs = weight.shape
    expected = {"A": [rank, *inputs], "B": [outputs, rank, *[1] * (weight.ndim - 2)]}
    for part, shape in expected.items():
        # Some files hold a linear layer as a 1 x 1 convolution.
        if list(change[part].shape) not in (shape, [*shape, 1, 1]) or not rank:
            problems.append(
                f"{part} of {title} is {list(change[part].shape)}, expected {shape} for the rank "
                f"{rank} of A"
            )
    stated_rank = _setting(settings, layer, "r", "rank_pattern", rank)
    if stated_rank != rank:
        problems.append(f"{title} has rank {rank}, the settings say {shown(repr(stated_rank))}")
    if "alpha" not in change:
        change["alpha"] = _setting(settings, layer, "lora_alpha", "alpha_pattern", rank)
    elif change["alpha"].numel() == 1:
        change["alpha"] = change["alpha"].item()
    alpha = change["alpha"]
    is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not is_number or not math.isfinite(alpha) or alpha <= 0:
        problems.append(f"alpha of {title} is {shown(repr(alpha))}, expected a number above 0")
    for key in ("use_rslora", "use_dora", "lora_bias"):
        if settings.get(f"{layer[0]}.{key}", settings.get(key)):
            problems.append(f"the setting {key} is not supported")


def _setting(
    settings: Mapping[str, Any], layer: Layer, key: str, patterns_key: str, default: float
) -> Any:
    """A setting of a layer: from the first pattern that is the end of its name, or of the model."""
    model, name = layer
    patterns = settings.get(f"{model}.{patterns_key}", settings.get(patterns_key))
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        ending = pattern.removeprefix("^").removeprefix("text_model.")
        if name == ending or (not pattern.startswith("^") and name.endswith(f".{ending}")):
            return value
    return settings.get(f"{model}.{key}", settings.get(key, default))


def _add(model: nn.Module, name: str, change: Mapping[str, Any], strength: float) -> LoRALayer:
    layer = add_to(model, name, len(change["A"]), change["alpha"])
    layer.strength = strength
    with torch.no_grad():
        for key, part in (("A", layer.lora_A), ("B", layer.lora_B)):
            part.weight.copy_(change[key].reshape(part.weight.shape))
    return layer


def _reject(file: TensorFile, problems: list[str], absent: list[str]) -> NoReturn:
    """Raise a ValueError that says what the file is instead, or lists the problems."""
    for pattern, kind in _OTHER_KINDS.items():
        if any(re.search(pattern, key) for key in file.names):
            raise ValueError(f"{file.path} is {kind}: give a LoRA for Stable Diffusion 1.x.")
    problems = list(dict.fromkeys(problems))
    examples = "; ".join(dict.fromkeys([*problems[:2], problems[-1]]))
    hint = f" If it is for the {absent[0]} too, give that as well." if len(absent) == 1 else ""
    raise ValueError(
        f"{file.path} is not a LoRA for this model, or incomplete. Problems: {len(problems)}, "
        f"such as: {examples}.{hint}"
    )
