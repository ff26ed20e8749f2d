"""Published weights: folders in diffusers' layout, and single files with the original key names.

Only safetensors files, which hold names and numbers: nothing is ever unpickled. Loading is strict:
every tensor of the three models must be present with its shape, and no other one inside them. What
belongs to none of them, such as averaged weights or tables of the noise schedule, is left out and
named in ``Weights.notes``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from course_lib.sd.contents import Contents, open_contents
from course_lib.sd.identify import identify
from course_lib.sd.key_names import our_name
from course_lib.sd.locations import resolve
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.schedule import NoiseSchedule
from course_lib.sd.schedule_settings import ScheduleSettings, read_schedule
from course_lib.sd.settings import is_size_of_old_version, read_config, read_json, unknown_settings
from course_lib.sd.tensor_files import DTYPES, TensorFile, shown
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import UNet2DConditionModel, UNetConfig
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

__all__ = [
    "MODELS",
    "Part",
    "Weights",
    "find_sampler",
    "inspect",
    "load",
    "load_parts",
    "our_name",
    "read",
    "read_config",
]

MODELS = {
    "text_encoder": (CLIPTextModel, CLIPTextConfig),
    "unet": (UNet2DConditionModel, UNetConfig),
    "vae": (AutoencoderKL, AutoencoderConfig),
}
_OWN_IDS = 49_408  # of the course's own tokenizer, which is CLIP's


@dataclass(frozen=True)
class Part:
    """One of the three models, on the meta device, and where its tensors are.

    ``tensors``: for each key of the model its file and the key in that file.
    """

    model: nn.Module
    tensors: dict[str, tuple[TensorFile, str]]

    @property
    def dtype(self) -> torch.dtype:
        """The smallest type that holds all tensors without rounding."""
        types = {DTYPES[file.dtype(name)] for file, name in self.tensors.values()}
        return reduce(torch.promote_types, types)

    def values(self) -> Iterator[tuple[str, Tensor]]:
        """Key and tensor in the model's shape, one after the other as they are read.

        Raises:
            ValueError: if a file has become shorter, or cannot be read any more.
        """
        for key, empty in self.model.state_dict().items():
            file, published = self.tensors[key]
            yield key, file.read(published).reshape(empty.shape)


@dataclass(frozen=True)
class Weights:
    """All that is needed to generate, checked; the tensors are not read yet.

    Attributes:
        path: the folder or file that is read, which can be inside the one that was given.
        parts: the three models by name.
        tokenizer: that of the folder, or the course's own.
        schedule: the noise schedule, that of the folder or that of Stable Diffusion 1.x.
        sampler: the name of the folder's sampler; ``"pndm"`` without a folder.
        notes: what is not used, or not as it is written, in sentences.
    """

    path: Path
    parts: dict[str, Part]
    tokenizer: Tokenizer
    schedule: NoiseSchedule
    sampler: str
    notes: tuple[str, ...]


def read(path: str | Path) -> Weights:
    """Published weights, checked for completeness.

    Args:
        path: a folder with ``text_encoder/``, ``unet/`` and ``vae/``, a repository's folder in the
            hub's cache, or a ``.safetensors`` file of Stable Diffusion 1.x. ``~`` is expanded.

    Raises:
        ValueError: if a tensor is missing, unknown or of another shape, a setting is not that of
            Stable Diffusion 1.x, or a file is damaged. The message says which, or what the weights
            are instead.
    """
    path = resolve(path)
    is_folder = path.is_dir()
    contents, problems, notes = open_contents(path)
    models = {}
    try:
        for name, (_, config_class) in MODELS.items():
            file = path / name / "config.json"
            models[name] = _build(
                name, read_config(config_class, file) if is_folder else None, path
            )
            if is_folder:
                notes += _notes_on_config(config_class, file)
    except ValueError as error:
        identity = identify(contents)
        if identity is None:
            raise
        raise ValueError(f"{path} {identity} In detail: {error}") from error
    if is_folder:
        _compare_layers(models, contents, problems)
    parts = _match(models, contents, problems)
    if problems:
        _reject(path, contents, problems)
    settings = _read_schedule(path)
    tokenizer, about_ids = _read_tokenizer(path, parts["text_encoder"].model.config)
    notes = [*notes, *settings.notes, *about_ids]
    return Weights(path, parts, tokenizer, settings.schedule, settings.sampler, tuple(notes))


def find_sampler(path: str | Path) -> str:
    """``Weights.sampler`` of the weights at ``path``, whose models are not looked at.

    Raises:
        ValueError: if there are no weights, or the noise schedule is not usable.
    """
    return _read_schedule(resolve(path)).sampler


def inspect(path: str | Path) -> dict[str, Part]:
    """The three models of :func:`read` by name.

    Raises:
        ValueError: as :func:`read`.
    """
    return read(path).parts


def load(path: str | Path, dtype: torch.dtype | None = None) -> StableDiffusion:
    """The pipeline with the weights at ``path``, on the CPU, ready to generate.

    A folder's own tokenizer and noise schedule are used where it has them.

    Args:
        path: as for :func:`read`.
        dtype: of the weights, such as ``torch.float16``; by default each model has that of its
            files, and where they mix types the smallest one without rounding.

    Raises:
        ValueError: as :func:`read`.
    """
    return load_parts(read(path), dtype)


def load_parts(weights: Weights, dtype: torch.dtype | None = None) -> StableDiffusion:
    """The pipeline with weights that :func:`read` has checked; each set can be loaded once.

    Raises:
        ValueError: if a file has changed since, and cannot be read any more.
    """
    for part in weights.parts.values():
        kind = dtype or part.dtype
        with torch.device("cpu"):
            state = {key: value.to(kind) for key, value in part.values()}
        part.model.load_state_dict(state, strict=True, assign=True)
        part.model.to(memory_format=torch.channels_last).eval()
    return StableDiffusion(
        tokenizer=weights.tokenizer,
        schedule=weights.schedule,
        **{name: part.model for name, part in weights.parts.items()},
    )


class _WithoutDrawing(TorchFunctionMode):
    """Initial weights are not drawn.

    On the meta device there is nothing to draw, and to find that out torch imports for seconds.
    """

    _DRAWS = (nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = kwargs or {}
        if function in self._DRAWS:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def _build(name: str, config: object | None, path: Path) -> nn.Module:
    """A model of these sizes on the meta device, by default of the official ones."""
    model_class, config_class = MODELS[name]
    try:
        with _WithoutDrawing(), torch.device("meta"):
            return model_class(config or config_class())
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: no {name} can have the sizes in its config.json. {error}"
        ) from error


def _notes_on_config(config_class: type, file: Path) -> list[str]:
    notes = []
    name = f"{file.parent.name}/{file.name}"
    unknown = unknown_settings(config_class, file)
    if unknown:
        notes.append(f"{name} has unknown settings, which are not used: {', '.join(unknown)}.")
    settings = read_json(file)
    if is_size_of_old_version(config_class, settings):
        notes.append(
            f"{name}: sample_size {settings['sample_size']} of diffusers "
            f"{settings['_diffusers_version']} is read as 64, as diffusers does."
        )
    return notes


def _match(
    models: dict[str, nn.Module], contents: Contents, problems: list[str]
) -> dict[str, Part]:
    """The tensors of each model; what is wrong is appended to ``problems``."""
    unused = dict(contents.inside)
    parts = {}
    for name, model in models.items():
        parts[name] = Part(model, {})
        for key, empty in model.state_dict().items():
            if f"{name}.{key}" not in unused:
                problems.append(f"{name}.{key} is missing")
                continue
            file, published = parts[name].tensors[key] = unused.pop(f"{name}.{key}")
            shape, dtype = list(empty.shape), file.dtype(published)
            # Some files hold a linear layer as a 1 x 1 convolution.
            if file.shape(published) not in (shape, [*shape, 1, 1]) or dtype not in DTYPES:
                problems.append(
                    f"{shown(published)} is {dtype} {file.shape(published)}, expected floats "
                    f"{shape}"
                )
    problems += [f"{shown(published)} is unknown" for _, published in unused.values()]
    text, unet, vae = (models[name].config for name in MODELS)
    if unet.in_channels != vae.latent_channels or unet.out_channels != vae.latent_channels:
        problems.append("the U-Net and the autoencoder differ in the channels of a latent")
    if unet.cross_attention_dim != text.hidden_size:
        problems.append("the U-Net and the text encoder differ in the length of a vector")
    return parts


# Settings for numbers of layers, and where a tensor's name has the index of its layer.
_LAYERS = (
    ("text_encoder", "num_hidden_layers", r"text_encoder\.encoder\.layers\.(\d{1,3})\."),
    ("unet", "block_out_channels", r"unet\.down_blocks\.(\d{1,3})\."),
    ("unet", "layers_per_block", r"unet\.down_blocks\.0\.resnets\.(\d{1,3})\."),
    ("vae", "block_out_channels", r"vae\.encoder\.down_blocks\.(\d{1,3})\."),
    ("vae", "layers_per_block", r"vae\.encoder\.down_blocks\.0\.resnets\.(\d{1,3})\."),
)


def _compare_layers(models: dict[str, nn.Module], contents: Contents, problems: list[str]) -> None:
    """Report numbers of layers that differ between settings and tensors."""
    for name, setting, pattern in _LAYERS:
        found = {int(match[1]) for key in contents.inside if (match := re.match(pattern, key))}
        value = getattr(models[name].config, setting)
        expected = value if isinstance(value, int) else len(value)
        if found and max(found) + 1 != expected:
            problems.append(
                f"{name}/config.json says {expected} layers or levels ({setting}), the weights "
                f"have {max(found) + 1}"
            )


def _reject(path: Path, contents: Contents, problems: list[str]) -> None:
    """Raise a ValueError that says what the weights are, or what is wrong with them."""
    examples = "; ".join(dict.fromkeys([*problems[:2], problems[-1]]))
    identity = identify(contents)
    if identity is not None:
        raise ValueError(f"{path} {identity}")
    raise ValueError(
        f"{path} is not Stable Diffusion 1.x, or not complete. Problems: {len(problems)}, "
        f"such as: {examples}."
    )


def _read_schedule(path: Path) -> ScheduleSettings:
    """The folder's noise schedule and sampler, or those of Stable Diffusion 1.x."""
    file = path / "scheduler" / "scheduler_config.json"
    return read_schedule(file) if file.parent.is_dir() else ScheduleSettings()


def _read_tokenizer(path: Path, config: CLIPTextConfig) -> tuple[Tokenizer, list[str]]:
    """The folder's tokenizer or the course's own, and a note if vectors are never used."""
    vectors, length = config.vocab_size, config.max_position_embeddings
    folder = path / "tokenizer"
    if folder.is_dir():
        tokenizer = Tokenizer(vectors, length, folder)
    else:
        tokenizer = Tokenizer(min(vectors, _OWN_IDS), length)
    unused = vectors - len(tokenizer.ids)
    if not unused:
        return tokenizer, []
    return tokenizer, [
        f"The text encoder has {vectors:,} vectors, the tokenizer {len(tokenizer.ids):,} tokens: "
        f"the last {unused:,} are never used."
    ]
