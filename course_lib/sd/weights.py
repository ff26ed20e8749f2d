"""Published weights: folders in diffusers' layout, and single files with the original key names.

Only safetensors files, which hold names and numbers: nothing is ever unpickled. Loading is strict:
every tensor of the three models must be present with its shape, and only the keys that ``_IGNORED``
matches may be present besides.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

MODELS = {
    "text_encoder": (CLIPTextModel, CLIPTextConfig),
    "unet": (UNet2DConditionModel, UNetConfig),
    "vae": (AutoencoderKL, AutoencoderConfig),
}
# Settings of a config.json that the names and shapes of the tensors do not reveal, and their values
# in Stable Diffusion 1.x. Any other value means another architecture.
_REQUIRED_SETTINGS = {
    "act_fn": "silu",
    "addition_embed_type": None,
    "beta_schedule": "scaled_linear",
    "center_input_sample": False,
    "class_embed_type": None,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "hidden_act": "quick_gelu",
    "mid_block_scale_factor": 1,
    "num_attention_heads": None,
    "resnet_out_scale_factor": 1,
    "resnet_time_scale_shift": "default",
    "time_embedding_act_fn": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "use_linear_projection": False,
}
_DTYPES = ("F64", "F32", "F16", "BF16")
# Keys that are not needed: averaged weights, the positions 0 to 76, tables of the noise schedule.
_IGNORED = re.compile(
    r"""
    model_ema\..+ | (.+\.)?embeddings\.position_ids | betas | alphas_cumprod(_prev)?
    | sqrt_alphas_cumprod | (sqrt|log)_one_minus_alphas_cumprod | sqrt_recip(m1)?_alphas_cumprod
    | posterior_(variance|log_variance_clipped|mean_coef1|mean_coef2)
    """,
    re.VERBOSE,
)


def _unet_block(match: re.Match) -> str:
    """``input_blocks.N.M`` and ``output_blocks.N.M`` as a level and a place in it.

    The blocks are numbered in threes, in the encoder after conv_in. The last part of a third block
    changes the resolution.
    """
    direction = "down" if match[1] == "in" else "up"
    level, place = divmod(int(match[2]) - (direction == "down"), 3)
    if match[4]:
        return f"{direction}_blocks.{level}.{direction}samplers.0.conv"
    return f"{direction}_blocks.{level}.{'attentions' if int(match[3]) else 'resnets'}.{place}"


def _vae_block(match: re.Match) -> str:
    """``down.N`` and ``up.N``: the original numbers levels from the finest, in the decoder too."""
    direction = match[1]
    level = int(match[2]) if direction == "down" else 3 - int(match[2])
    inner = f"resnets.{match[3]}" if match[3] else f"{direction}samplers.0"
    return f"{direction}_blocks.{level}.{inner}"


# From every published name to ours; applied in this order. Only the autoencoder has a "coder".
_RENAMINGS = (
    # The text encoder.
    (r"^cond_stage_model\.transformer\.", "text_encoder."),
    (r"^text_encoder\.text_model\.", "text_encoder."),
    # The U-Net.
    (r"^model\.diffusion_model\.", "unet."),
    (r"^unet\.time_embed\.0", "unet.time_embedding.linear_1"),
    (r"^unet\.time_embed\.2", "unet.time_embedding.linear_2"),
    (r"^unet\.input_blocks\.0\.0", "unet.conv_in"),
    (r"^unet\.out\.0", "unet.conv_norm_out"),
    (r"^unet\.out\.2", "unet.conv_out"),
    (r"^unet\.middle_block\.1", "unet.mid_block.attentions.0"),
    (r"^unet\.middle_block\.0", "unet.mid_block.resnets.0"),
    (r"^unet\.middle_block\.2", "unet.mid_block.resnets.1"),
    (r"(?<=^unet\.)(in|out)put_blocks\.(\d+)\.(\d)(\.op|\.conv)?", _unet_block),
    (r"in_layers\.0", "norm1"),
    (r"in_layers\.2", "conv1"),
    (r"emb_layers\.1", "time_emb_proj"),
    (r"out_layers\.0", "norm2"),
    (r"out_layers\.3", "conv2"),
    (r"skip_connection", "conv_shortcut"),
    # The autoencoder.
    (r"^first_stage_model\.", "vae."),
    (r"(?<=coder\.)(down|up)\.(\d)\.(?:block\.(\d)|(?:down|up)sample)", _vae_block),
    (r"(?<=coder\.)mid\.block_1", "mid_block.resnets.0"),
    (r"(?<=coder\.)mid\.block_2", "mid_block.resnets.1"),
    (r"(?<=coder\.)mid\.attn_1", "mid_block.attentions.0"),
    (r"nin_shortcut", "conv_shortcut"),
    (r"(?<=coder\.)norm_out", "conv_norm_out"),
    (r"(?<=coder\.mid_block\.attentions\.0\.)norm", "group_norm"),
    (r"(?<=coder\.mid_block\.attentions\.0\.)(q|k|v)(uery|ey|alue)?\.", r"to_\1."),
    (r"(?<=coder\.mid_block\.attentions\.0\.)proj_(attn|out)", "to_out.0"),
)


def our_name(name: str) -> str:
    """Model and path, such as ``unet.conv_in.weight``, for a published key name.

    ``name``: as in a single file, or as in a folder's file with the model's name in front.
    """
    for pattern, replacement in _RENAMINGS:
        name = re.sub(pattern, replacement, name)
    return name


@dataclass(frozen=True)
class Part:
    """One of the three models, on the meta device, and where its tensors are.

    ``tensors``: for each key of the model an open file and the key in that file.
    """

    model: nn.Module
    tensors: dict[str, tuple[Any, str]]

    def values(self) -> Iterator[tuple[str, Tensor]]:
        """Key and tensor in the model's shape, one after the other as they are read."""
        for key, empty in self.model.state_dict().items():
            file, published = self.tensors[key]
            yield key, file.get_tensor(published).reshape(empty.shape)


def inspect(path: str | Path) -> dict[str, Part]:
    """The three models by name, checked for completeness; the tensors are not read yet.

    Args:
        path: a folder with ``text_encoder/``, ``unet/`` and ``vae/``, or a ``.safetensors`` file of
            Stable Diffusion 1.x.

    Raises:
        ValueError: if a tensor is missing, unknown or of another shape, or a file is not a
            safetensors file; the message says which.
    """
    path = Path(path)
    parts: dict[str, Part] = {}
    available, problems = _tensors(path)
    for name, (model_class, config_class) in MODELS.items():
        file = path / name / "config.json"
        config = read_config(config_class, file) if path.is_dir() else config_class()
        try:
            with torch.device("meta"):
                parts[name] = Part(model_class(config), {})
        except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: no {name} can have the sizes in its config.json. {error}"
            ) from error
        for key, empty in parts[name].model.state_dict().items():
            if f"{name}.{key}" not in available:
                problems.append(f"{name}.{key} is missing")
                continue
            tensors, published = parts[name].tensors[key] = available.pop(f"{name}.{key}")
            header, shape = tensors.get_slice(published), list(empty.shape)
            # Some files hold a linear layer as a 1 x 1 convolution.
            right_shape = header.get_shape() in (shape, [*shape, 1, 1])
            if not right_shape or header.get_dtype() not in _DTYPES:
                problems.append(
                    f"{published} is {header.get_dtype()} {header.get_shape()}, "
                    f"expected floats {shape}"
                )
    problems += [f"{published} is unknown" for _, published in available.values()]
    text, unet, vae = (parts[name].model.config for name in MODELS)
    if unet.in_channels != vae.latent_channels:
        problems.append("the U-Net and the autoencoder differ in the channels of a latent")
    if unet.cross_attention_dim != text.hidden_size:
        problems.append("the U-Net and the text encoder differ in the length of a vector")
    if problems:
        examples = "; ".join(dict.fromkeys([*problems[:2], problems[-1]]))
        raise ValueError(
            f"{path} is not Stable Diffusion 1.x, or not complete. Problems: {len(problems)}, "
            f"such as: {examples}."
        )
    return parts


def _tensors(path: Path) -> tuple[dict[str, tuple[Any, str]], list[str]]:
    """For each key by our name an open file and the key in it; and what is there twice."""
    available: dict[str, tuple[Any, str]] = {}
    problems = []
    for folder in MODELS if path.is_dir() else [""]:
        file = _open(path / folder)
        for published in file.keys():  # noqa: SIM118 (not a dictionary)
            name = our_name(f"{folder}.{published}" if folder else published)
            if name in available:
                problems.append(f"{published} is there twice")
            elif not _IGNORED.fullmatch(published):
                available[name] = file, published
    return available, problems


def load(path: str | Path, dtype: torch.dtype | None = None) -> StableDiffusion:
    """The pipeline with the weights at ``path``, on the CPU, ready to generate.

    A folder's own tokenizer and noise schedule are used where it has them.

    Args:
        path: as for :func:`inspect`.
        dtype: of the weights, such as ``torch.float16``; by default that of the files.

    Raises:
        ValueError: as :func:`inspect`.
    """
    path, parts = Path(path), inspect(path)
    for part in parts.values():
        state = {key: value.to(dtype or value.dtype) for key, value in part.values()}
        part.model.load_state_dict(state, strict=True, assign=True)
        part.model.to(memory_format=torch.channels_last).eval()
    text = parts["text_encoder"].model.config
    schedule = path / "scheduler" / "scheduler_config.json"
    folder = path / "tokenizer" if (path / "tokenizer").is_dir() else None
    return StableDiffusion(
        tokenizer=Tokenizer(text.vocab_size, text.max_position_embeddings, folder),
        schedule=read_config(NoiseSchedule, schedule) if schedule.is_file() else NoiseSchedule(),
        **{name: part.model for name, part in parts.items()},
    )


def read_config(config_class: type, file: Path) -> Any:
    """A published ``config.json`` as a dataclass such as ``UNetConfig``.

    Missing settings have the dataclass's defaults.

    Raises:
        ValueError: if the file cannot be read, or belongs to another architecture.
    """
    try:
        settings = dict(json.loads(file.read_text("utf-8")))
    except (OSError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{file} should hold the settings of a model: {error}.") from error
    defaults = {field.name: field.default for field in fields(config_class)}
    json_kinds: dict[type, Any] = {tuple: list, float: float | int}
    for key, value in settings.items():
        valid = key not in _REQUIRED_SETTINGS or value == _REQUIRED_SETTINGS[key]
        if key in defaults:
            kind = type(defaults[key])
            valid = isinstance(value, json_kinds.get(kind, kind))
        if not valid:
            expected = defaults.get(key, _REQUIRED_SETTINGS.get(key))
            raise ValueError(
                f"{file} is not Stable Diffusion 1.x: {key} is {value!r}, expected {expected!r}."
            )
    return config_class(
        **{
            key: tuple(settings[key]) if isinstance(settings[key], list) else settings[key]
            for key in defaults
            if key in settings
        }
    )


def _open(path: Path) -> Any:
    """The safetensors file at ``path``, or the one in a model's folder."""
    stem = "model" if path.name == "text_encoder" else "diffusion_pytorch_model"
    names = [f"{stem}.safetensors", f"{stem}.fp16.safetensors"]
    file = next((path / name for name in names if (path / name).is_file()), path)
    try:
        return safe_open(file, framework="pt")
    except (OSError, SafetensorError) as error:
        expected, found = "a complete .safetensors file", str(error)
        if file.is_dir():
            expected = names[0]
            found = ", ".join(sorted(entry.name for entry in file.iterdir())) or "nothing"
        elif file.is_file():
            with file.open("rb") as opened:
                found = "a pickle" if opened.read(2) in (b"PK", b"\x80\x02") else found
        raise ValueError(
            f"{file}: expected {expected}, found {found}. Pickled files (.ckpt, .bin) could run "
            "code and are never read: get the .safetensors files."
        ) from error
