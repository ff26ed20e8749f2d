"""Published weights: folders in diffusers' layout, and single files with the original key names.

Only safetensors files are read: nothing is ever unpickled. Loading is strict: every tensor of the
three models must be present with the right shape, and unknown tensors in them are rejected. Tensors
outside the models, such as averaged weights or the noise schedule, are ignored and listed in
``Weights.notes``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, no_type_check

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
_BUNDLED_VOCAB_SIZE = 49_408  # of the bundled CLIP tokenizer


@dataclass(frozen=True)
class Part:
    """One of the three models, on the meta device, and the locations of its tensors.

    ``tensors``: for each key of the model, the file and the key in that file.
    """

    model: nn.Module
    tensors: dict[str, tuple[TensorFile, str]]

    @property
    def dtype(self) -> torch.dtype:
        """The smallest dtype that holds all tensors without rounding."""
        dtypes = {DTYPES[file.dtype(name)] for file, name in self.tensors.values()}
        return reduce(torch.promote_types, dtypes)

    def values(self) -> Iterator[tuple[str, Tensor]]:
        """Yield key and tensor, in the model's shape, reading one tensor at a time.

        Raises:
            ValueError: if a file has become shorter, or cannot be read any more.
        """
        for key, meta_tensor in self.model.state_dict().items():
            file, published = self.tensors[key]
            yield key, file.read(published).reshape(meta_tensor.shape)


@dataclass(frozen=True)
class Weights:
    """Everything needed to generate images, checked; the tensors are not read yet.

    Attributes:
        path: the resolved folder or file.
        parts: the three models by name.
        tokenizer: the folder's, or the bundled one.
        schedule: the folder's noise schedule, or the one of Stable Diffusion 1.x.
        sampler: the name of the folder's sampler; ``"pndm"`` without a folder.
        notes: sentences on what is ignored or replaced.
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
        ValueError: if a tensor is missing, unknown or of the wrong shape, a setting differs from
            Stable Diffusion 1.x, or a file is damaged. The message names it, or says what the
            weights are instead.
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
    tokenizer, tokenizer_notes = _read_tokenizer(path, parts["text_encoder"].model.config)
    notes = [*notes, *settings.notes, *tokenizer_notes]
    return Weights(path, parts, tokenizer, settings.schedule, settings.sampler, tuple(notes))


def find_sampler(path: str | Path) -> str:
    """``Weights.sampler`` of the weights at ``path``, without reading the models.

    Raises:
        ValueError: if there are no weights, or the noise schedule is invalid.
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

    A folder's tokenizer and noise schedule are used if there are any.

    Args:
        path: as for :func:`read`.
        dtype: of the weights, such as ``torch.float16``; by default, each model has the smallest
            dtype that holds its files' tensors without rounding.

    Raises:
        ValueError: as :func:`read`.
    """
    return load_parts(read(path), dtype)


def load_parts(weights: Weights, dtype: torch.dtype | None = None) -> StableDiffusion:
    """The pipeline with weights that :func:`read` has checked; call it once per ``weights``.

    Raises:
        ValueError: if a file has changed since then and can't be read any more.
    """
    for part in weights.parts.values():
        target = dtype or part.dtype
        with torch.device("cpu"):
            state = {key: value.to(target) for key, value in part.values()}
        part.model.load_state_dict(state, strict=True, assign=True)
        part.model.to(memory_format=torch.channels_last).eval()
    return StableDiffusion(
        tokenizer=weights.tokenizer,
        schedule=weights.schedule,
        **{name: part.model for name, part in weights.parts.items()},
    )


class _SkipInit(TorchFunctionMode):
    """Skip the random initialisation of weights.

    It does nothing on the meta device, but makes torch import modules for seconds.
    """

    _INITIALISERS = (nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_)

    @no_type_check  # called for every operation of torch: the tests' type checker would slow it
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = kwargs or {}
        if function in self._INITIALISERS:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def _build(name: str, config: object | None, path: Path) -> nn.Module:
    """A model on the meta device, by default with the official configuration."""
    model_class, config_class = MODELS[name]
    try:
        with _SkipInit(), torch.device("meta"):
            return model_class(config or config_class())
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: the sizes in {name}/config.json are invalid. {error}") from error


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
    """Find each model's tensors; append what is wrong to ``problems``."""
    unused = dict(contents.inside)
    parts = {}
    for name, model in models.items():
        parts[name] = Part(model, {})
        for key, meta_tensor in model.state_dict().items():
            if f"{name}.{key}" not in unused:
                problems.append(f"{name}.{key} is missing")
                continue
            file, published = parts[name].tensors[key] = unused.pop(f"{name}.{key}")
            shape, dtype = list(meta_tensor.shape), file.dtype(published)
            # Some files hold a linear layer as a 1 x 1 convolution.
            if file.shape(published) not in (shape, [*shape, 1, 1]) or dtype not in DTYPES:
                problems.append(
                    f"{shown(published)} is {dtype} {file.shape(published)}, expected floats "
                    f"{shape}"
                )
    problems += [f"{shown(published)} is unknown" for _, published in unused.values()]
    text, unet, vae = (models[name].config for name in MODELS)
    if unet.in_channels != vae.latent_channels or unet.out_channels != vae.latent_channels:
        problems.append("the U-Net and the autoencoder differ in the number of latent channels")
    if unet.cross_attention_dim != text.hidden_size:
        problems.append("the U-Net and the text encoder differ in the width of the text embeddings")
    return parts


# (model, setting for the number of layers, pattern for the layer index in a tensor's name)
_LAYERS = (
    ("text_encoder", "num_hidden_layers", r"text_encoder\.encoder\.layers\.(\d{1,3})\."),
    ("unet", "block_out_channels", r"unet\.down_blocks\.(\d{1,3})\."),
    ("unet", "layers_per_block", r"unet\.down_blocks\.0\.resnets\.(\d{1,3})\."),
    ("vae", "block_out_channels", r"vae\.encoder\.down_blocks\.(\d{1,3})\."),
    ("vae", "layers_per_block", r"vae\.encoder\.down_blocks\.0\.resnets\.(\d{1,3})\."),
)


def _compare_layers(models: dict[str, nn.Module], contents: Contents, problems: list[str]) -> None:
    """Append numbers of layers that differ between settings and tensors to ``problems``."""
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
    """Raise a ValueError that says what the weights are instead, or lists the problems."""
    examples = "; ".join(dict.fromkeys([*problems[:2], problems[-1]]))
    identity = identify(contents)
    if identity is not None:
        raise ValueError(f"{path} {identity}")
    raise ValueError(
        f"{path} is not Stable Diffusion 1.x, or incomplete. Problems: {len(problems)}, "
        f"such as: {examples}."
    )


def _read_schedule(path: Path) -> ScheduleSettings:
    """The folder's noise schedule and sampler; by default those of Stable Diffusion 1.x."""
    file = path / "scheduler" / "scheduler_config.json"
    return read_schedule(file) if file.parent.is_dir() else ScheduleSettings()


def _read_tokenizer(path: Path, config: CLIPTextConfig) -> tuple[Tokenizer, list[str]]:
    """The folder's tokenizer or the bundled one, and a note on unused token embeddings."""
    vocab_size, length = config.vocab_size, config.max_position_embeddings
    folder = path / "tokenizer"
    if folder.is_dir():
        tokenizer = Tokenizer(vocab_size, length, folder)
    else:
        tokenizer = Tokenizer(min(vocab_size, _BUNDLED_VOCAB_SIZE), length)
    unused = vocab_size - len(tokenizer.ids)
    if not unused:
        return tokenizer, []
    return tokenizer, [
        f"The text encoder has {vocab_size:,} token embeddings, the tokenizer "
        f"{len(tokenizer.ids):,} tokens: the last {unused:,} embeddings are never used."
    ]
