"""The settings in published ``config.json`` files; none is silently ignored.

There are three kinds of settings known to diffusers or transformers: fields of our configurations;
settings that must have the value of Stable Diffusion 1.x (``_FIXED``); and settings that cannot
change an image (``_WITHOUT_EFFECT``). :func:`unknown_settings` lists all others. The noise
schedule is in ``schedule_settings.py``.
"""

import json
import re
import sys
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.controlnet import ControlNetConfig
from course_lib.sd.tensor_files import shown
from course_lib.sd.unet import UNetConfig
from course_lib.sd.vae import AutoencoderConfig

_OFF = (None, False)
# By configuration: the allowed values of a setting. Any other value means another architecture.
_FIXED: dict[type, dict[str, Collection]] = {
    CLIPTextConfig: {"hidden_act": ("quick_gelu",)},
    UNetConfig: {
        "act_fn": ("silu",),
        "addition_embed_type": (None,),
        "attention_type": ("default",),
        "center_input_sample": (False,),
        "class_embed_type": (None,),
        "class_embeddings_concat": (False,),
        "conv_in_kernel": (3,),
        "conv_out_kernel": (3,),
        "cross_attention_norm": _OFF,
        "downsample_padding": (1,),
        "dual_cross_attention": (False,),
        "encoder_hid_dim": (None,),
        "encoder_hid_dim_type": (None,),
        "flip_sin_to_cos": (True,),
        "freq_shift": (0,),
        "mid_block_only_cross_attention": _OFF,
        "mid_block_scale_factor": (1,),
        "mid_block_type": ("UNetMidBlock2DCrossAttn",),
        "num_attention_heads": (None,),
        "num_class_embeds": (None,),
        "only_cross_attention": (False,),
        "resnet_out_scale_factor": (1,),
        "resnet_skip_time_act": (False,),
        "resnet_time_scale_shift": ("default",),
        "reverse_transformer_layers_per_block": (None,),
        "time_cond_proj_dim": (None,),
        "time_embedding_act_fn": (None,),
        "time_embedding_dim": (None,),
        "time_embedding_type": ("positional",),
        "timestep_post_act": (None,),
        "transformer_layers_per_block": (1,),
        "use_linear_projection": (False,),
    },
    AutoencoderConfig: {
        "act_fn": ("silu",),
        "down_block_types": ("DownEncoderBlock2D",),
        "latents_mean": (None,),
        "latents_std": (None,),
        "mid_block_add_attention": (True,),
        "shift_factor": (None,),
        "up_block_types": ("UpDecoderBlock2D",),
        "use_post_quant_conv": (True,),
        "use_quant_conv": (True,),
    },
}
# A ControlNet has the settings of a U-Net, and two of its own.
_FIXED[ControlNetConfig] = {
    **_FIXED[UNetConfig],
    "controlnet_conditioning_channel_order": ("rgb",),
    "global_pool_conditions": (False,),
}
_PARTLY_FIXED: dict[type, str] = {UNetConfig: "up_block_types"}  # the mirrored down_block_types
# Dropout and initialisation are for training, token ids and labels for other tasks. In diffusers,
# upcast_attention and force_upcast only change the dtype, an autoencoder's sample_size only its
# tiling; the sizes of additional embeddings only apply to embeddings that _FIXED excludes.
_WITHOUT_EFFECT: dict[type, Collection[str]] = {
    CLIPTextConfig: (
        "add_cross_attention",
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "dropout",
        "dtype",
        "eos_token_id",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "problem_type",
        "projection_dim",
        "return_dict",
        "tie_word_embeddings",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_cache",
    ),
    UNetConfig: (
        "addition_embed_type_num_heads",
        "addition_time_embed_dim",
        "dropout",
        "projection_class_embeddings_input_dim",
        "upcast_attention",
    ),
    AutoencoderConfig: ["force_upcast", "sample_size"],
}
_WITHOUT_EFFECT[ControlNetConfig] = _WITHOUT_EFFECT[UNetConfig]
# transformers' default is 8, and neither names nor shapes of tensors reveal the right number.
_REQUIRED: dict[type, Collection[str]] = {CLIPTextConfig: ("num_attention_heads",)}
_MAX_LAYERS = 64
_OLD_SIZE = 64


def read_json(file: Path) -> dict[str, Any]:
    """The contents of a settings file; a byte order mark is allowed.

    Raises:
        ValueError: if it cannot be read, or is not a dictionary.
    """
    if not file.is_file():
        raise ValueError(f"{file} is missing: download it.")
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f"{file} should hold the settings of a model: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} should hold a dictionary; it holds: {type(content).__name__}.")
    return content


def read_config(config_class: type, file: Path) -> Any:
    """A published ``config.json`` as a configuration of one of our models.

    ``config_class``: such as ``UNetConfig``, whose defaults replace missing settings.

    Raises:
        ValueError: if the file cannot be read, or belongs to another architecture; the message
            names file and setting.
    """
    settings = read_json(file)
    defaults = {field.name: field.default for field in fields(config_class)}
    for key in _REQUIRED.get(config_class, ()):
        if key not in settings:
            raise ValueError(f"{file} lacks {key}: add it; it is 12 in the official weights.")
    for key, allowed in _FIXED[config_class].items():
        if key in settings and not _only(settings[key], allowed):
            reject(file, key, settings[key], next(iter(allowed)))
    chosen = {}
    for key, default in defaults.items():
        if key not in settings:
            continue
        value = _single(settings[key]) if isinstance(default, int) else settings[key]
        if not _is_valid(key, value, default):
            reject(file, key, value, default)
        chosen[key] = tuple(value) if isinstance(value, list) else value
    _check_up_blocks(config_class, file, settings)
    if is_size_of_old_version(config_class, settings):
        chosen["sample_size"] = _OLD_SIZE
    return config_class(**chosen)


def unknown_settings(config_class: type, file: Path) -> list[str]:
    """The settings that neither we nor diffusers or transformers know; they are ignored."""
    names = {field.name for field in fields(config_class)}
    names |= {*_FIXED[config_class], *_WITHOUT_EFFECT[config_class]}
    names.add(_PARTLY_FIXED.get(config_class, ""))
    return [shown(key) for key in read_json(file) if key not in names and not key.startswith("_")]


def is_size_of_old_version(config_class: type, settings: dict[str, Any]) -> bool:
    """Whether ``sample_size`` is below 64 and was written by diffusers before 0.9.

    It was wrong in many files of that time; diffusers replaces it by 64, but keeps a list:
    https://github.com/huggingface/diffusers, ``pipeline_stable_diffusion.py``.
    """
    size = settings.get("sample_size", _OLD_SIZE)
    version = re.match(r"(\d{1,4})\.(\d{1,4})", str(settings.get("_diffusers_version", "")))
    return (
        config_class is UNetConfig
        and version is not None
        and (int(version[1]), int(version[2])) < (0, 9)
        and isinstance(size, int)
        and size < _OLD_SIZE
    )


def reject(file: Path, key: str, value: Any, expected: Any) -> None:
    """Raise the ValueError for a setting that belongs to another model."""
    raise ValueError(
        f"{file} is not Stable Diffusion 1.x: {key} is {shown(repr(value))}, expected {expected!r}."
    )


def _only(value: Any, allowed: Collection) -> bool:
    """Whether a setting, or every entry of a list with one entry per level, is allowed."""
    values = value if isinstance(value, list) and value else [value]
    # 1 is equal to True, but not the same setting.
    return all(
        any(entry == each and isinstance(entry, bool) == isinstance(each, bool) for each in allowed)
        for entry in values
    )


def _single(value: Any) -> Any:
    """The common value of a list with one equal entry per level; other values unchanged."""
    if isinstance(value, list) and value and all(entry == value[0] for entry in value):
        return value[0]
    return value


def _is_valid(key: str, value: Any, default: Any) -> bool:
    """Whether a value has the default's type, and a number is positive and in range."""
    if isinstance(default, tuple):
        entries = value if isinstance(value, list) else []
        return bool(entries) and all(_is_valid("", entry, default[0]) for entry in entries)
    if isinstance(default, str):
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(default, int):
        limit = _MAX_LAYERS if "layers" in key else 10**6
        return isinstance(value, int) and 1 <= value <= limit
    return 0 < value <= sys.float_info.max  # false for NaN; isfinite fails for huge integers


def _check_up_blocks(config_class: type, file: Path, settings: dict[str, Any]) -> None:
    """Reject a U-Net whose decoder does not mirror its encoder."""
    key = _PARTLY_FIXED.get(config_class, "")
    down = settings.get("down_block_types")
    if key in settings and isinstance(down, list):
        expected = [str(block_type).replace("Down", "Up") for block_type in reversed(down)]
        if settings[key] != expected:
            reject(file, key, settings[key], expected)
