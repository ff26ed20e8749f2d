"""The published weights: folders in diffusers' layout, and single files with the names of Rombach
et al. (2022).

Safetensors only, which hold names and numbers: nothing is ever unpickled. Loading is strict: every
tensor of the three models is there in its shape, and nothing else but what ``_IGNORED`` names.
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

MODELS = {"text_encoder": (CLIPTextModel, CLIPTextConfig), "unet": (UNet2DConditionModel, UNetConfig),
          "vae": (AutoencoderKL, AutoencoderConfig)}  # fmt: skip
# Names and shapes of tensors tell a structure; these settings of a config.json they do not tell, or
# not in plain words.
_ONLY = {
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
    # fmt: skip
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "use_linear_projection": False,
}
# Averages of the weights during training, the numbers 0 to 76, and the tables of the noise
# schedule.
_IGNORED = re.compile(r"""model_ema\..+ | (.+\.)?embeddings\.position_ids | betas | alphas_cumprod(_prev)?
    | sqrt_alphas_cumprod | (sqrt|log)_one_minus_alphas_cumprod | sqrt_recip(m1)?_alphas_cumprod
    | posterior_(variance|log_variance_clipped|mean_coef1|mean_coef2)""", re.VERBOSE)  # fmt: skip


def _unet_place(name: re.Match) -> str:
    """Blocks come in threes, on the way down after conv_in; one part of a third block changes the
    resolution.
    """
    way = "down" if name[1] == "in" else "up"
    level, place = divmod(int(name[2]) - (way == "down"), 3)
    inner = (
        f"{way}samplers.0.conv"
        if name[4]
        else f"{'attentions' if int(name[3]) else 'resnets'}.{place}"
    )
    return f"{way}_blocks.{level}.{inner}"


def _vae_place(name: re.Match) -> str:
    """Levels are counted from the finest, which the decoder has last."""
    level = int(name[2]) if name[1] == "down" else 3 - int(name[2])
    return f"{name[1]}_blocks.{level}." + (
        f"resnets.{name[3]}" if name[3] else f"{name[1]}samplers.0"
    )


# From every name that was published to ours, one after the other. Only the autoencoder has a
# "coder".
_RULES = (
    (r"^cond_stage_model\.transformer\.", "text_encoder."), (r"^text_encoder\.text_model\.", "text_encoder."),
    (r"^model\.diffusion_model\.", "unet."), (r"^unet\.time_embed\.0", "unet.time_embedding.linear_1"),
    (r"^unet\.time_embed\.2", "unet.time_embedding.linear_2"), (r"^unet\.input_blocks\.0\.0", "unet.conv_in"),
    (r"^unet\.out\.0", "unet.conv_norm_out"), (r"^unet\.out\.2", "unet.conv_out"),
    (r"^unet\.middle_block\.1", "unet.mid_block.attentions.0"),
    (r"^unet\.middle_block\.0", "unet.mid_block.resnets.0"), (r"^unet\.middle_block\.2", "unet.mid_block.resnets.1"),
    (r"(?<=^unet\.)(in|out)put_blocks\.(\d+)\.(\d)(\.op|\.conv)?", _unet_place), (r"in_layers\.0", "norm1"),
    (r"in_layers\.2", "conv1"), (r"emb_layers\.1", "time_emb_proj"), (r"out_layers\.0", "norm2"),
    (r"out_layers\.3", "conv2"), (r"skip_connection", "conv_shortcut"), (r"^first_stage_model\.", "vae."),
    (r"(?<=coder\.)(down|up)\.(\d)\.(?:block\.(\d)|(?:down|up)sample)", _vae_place),
    (r"(?<=coder\.)mid\.block_1", "mid_block.resnets.0"), (r"(?<=coder\.)mid\.block_2", "mid_block.resnets.1"),
    (r"(?<=coder\.)mid\.attn_1", "mid_block.attentions.0"), (r"nin_shortcut", "conv_shortcut"),
    (r"(?<=coder\.)norm_out", "conv_norm_out"), (r"(?<=coder\.mid_block\.attentions\.0\.)norm", "group_norm"),
    (r"(?<=coder\.mid_block\.attentions\.0\.)(q|k|v)(uery|ey|alue)?\.", r"to_\1."),
    (r"(?<=coder\.mid_block\.attentions\.0\.)proj_(attn|out)", "to_out.0"),
)  # fmt: skip


def our_name(name: str) -> str:
    """Model and path, as ``unet.conv_in.weight``, from a single file's name, or a folder's with
    ``unet.`` before it.
    """
    for theirs, ours in _RULES:
        name = re.sub(theirs, ours, name)
    return name


@dataclass(frozen=True)
class Part:
    """One of the three models, empty on the meta device; by our names an open file and the name in
    it.
    """

    model: nn.Module
    tensors: dict[str, tuple[Any, str]]

    def values(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor by our name, in our shape, as it is read."""
        for key, empty in self.model.state_dict().items():
            tensors, theirs = self.tensors[key]
            yield key, tensors.get_tensor(theirs).reshape(empty.shape)


def inspect(path: str | Path) -> dict[str, Part]:
    """The three models by name, found complete in a folder with ``text_encoder/``, ``unet/`` and
    ``vae/``, or in a ``.safetensors`` file of Stable Diffusion 1.x. Their numbers are not read yet.

    Raises:
        ValueError: if anything is missing, unknown or of another shape, or no safetensors; the
            message says what.
    """
    path, found, parts, bad = Path(path), {}, {}, []
    for folder in MODELS if path.is_dir() else [""]:
        file = _open(path / folder)
        for theirs in file.keys():  # noqa: SIM118 (it is no dictionary)
            ours = our_name(f"{folder}.{theirs}" if folder else theirs)
            if ours in found:
                bad.append(f"{theirs} is there twice")
            elif not _IGNORED.fullmatch(theirs):
                found[ours] = file, theirs
    for name, (kind, sizes) in MODELS.items():
        config = read_config(sizes, path / name / "config.json") if path.is_dir() else sizes()
        try:
            with torch.device("meta"):
                parts[name] = Part(kind(config), {})
        except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: there is no {name} of the sizes in its config.json. {error}"
            ) from error
        for key, empty in parts[name].model.state_dict().items():
            if f"{name}.{key}" not in found:
                bad.append(f"{name}.{key} is missing")
                continue
            file, theirs = parts[name].tensors[key] = found.pop(f"{name}.{key}")
            there, shape = file.get_slice(theirs), list(empty.shape)
            # Some files hold a linear layer as a convolution of 1 x 1.
            if there.get_shape() not in (shape, [*shape, 1, 1]) or there.get_dtype() not in (
                "F64",
                "F32",
                "F16",
                "BF16",
            ):
                bad.append(
                    f"{theirs} is {there.get_dtype()} {there.get_shape()}, expected floats {shape}"
                )
    bad += [f"{theirs} is unknown" for _, theirs in found.values()]
    text, unet, vae = (parts[name].model.config for name in MODELS)
    if (unet.in_channels, unet.cross_attention_dim) != (vae.latent_channels, text.hidden_size):
        bad.append(
            "the denoiser's channels are not the autoencoder's, or its vectors not the text encoder's"
        )
    if bad:
        some = "; ".join(dict.fromkeys([*bad[:2], bad[-1]]))
        raise ValueError(
            f"{path} is not Stable Diffusion 1.x, or not all of it. {len(bad)} things are wrong: {some}."
        )
    return parts


def load(path: str | Path, dtype: torch.dtype | None = None) -> StableDiffusion:
    """What :func:`inspect` finds, ready to use on the CPU, with the tokenizer and the noise
    schedule of a folder.

    ``dtype`` is that of the weights, as ``torch.float16``; by default that of the files.
    """
    path, parts = Path(path), inspect(path)
    for part in parts.values():
        state = {key: value.to(dtype or value.dtype) for key, value in part.values()}
        part.model.load_state_dict(state, strict=True, assign=True)
        part.model.to(memory_format=torch.channels_last).eval()
    text, schedule = (
        parts["text_encoder"].model.config,
        path / "scheduler" / "scheduler_config.json",
    )
    folder = path / "tokenizer" if (path / "tokenizer").is_dir() else None
    return StableDiffusion(
        tokenizer=Tokenizer(text.vocab_size, text.max_position_embeddings, folder),
        schedule=read_config(NoiseSchedule, schedule) if schedule.is_file() else NoiseSchedule(),
        **{name: part.model for name, part in parts.items()},
    )


def read_config(kind: type, file: Path) -> Any:
    """A published ``config.json`` as a dataclass such as ``UNetConfig``. What it leaves out is the
    dataclass's own.

    Raises:
        ValueError: if it is not there, or is that of another architecture.
    """
    try:
        said = dict(json.loads(file.read_text("utf-8")))
    except (OSError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{file} should hold the settings of a model: {error}.") from error
    usual = {field.name: field.default for field in fields(kind)}
    for key, value in said.items():
        right = key not in _ONLY or value == _ONLY[key]
        if key in usual:
            right = isinstance(
                value, {tuple: list, float: float | int}.get(type(usual[key]), type(usual[key]))
            )
        if not right:
            expected = usual.get(key, _ONLY.get(key))
            raise ValueError(
                f"{file} is not Stable Diffusion 1.x: {key} is {value!r}, expected {expected!r}."
            )
    return kind(
        **{
            key: tuple(said[key]) if isinstance(said[key], list) else said[key]
            for key in usual
            if key in said
        }
    )


def _open(path: Path) -> Any:
    """A safetensors file, or the one in the folder of a model."""
    stem = "model" if path.name == "text_encoder" else "diffusion_pytorch_model"
    names = [f"{stem}.safetensors", f"{stem}.fp16.safetensors"]
    file = next((path / name for name in names if (path / name).is_file()), path)
    try:
        return safe_open(file, framework="pt")
    except (OSError, SafetensorError) as error:
        expected, there = "a whole .safetensors file", f"{error}"
        if file.is_dir():
            expected, there = (
                names[0],
                ", ".join(sorted(each.name for each in file.iterdir())) or "nothing",
            )
        elif file.is_file():
            with file.open("rb") as opened:
                there = "a pickle" if opened.read(2) in (b"PK", b"\x80\x02") else there
        raise ValueError(f"{file}: expected {expected}, found {there}. Pickled ones (.ckpt, .bin) could run code and "
                         "are never read: get the .safetensors ones.") from error  # fmt: skip
