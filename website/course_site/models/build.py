"""Build the site's assets: models, onnxruntime, the tokenizer's merges, and the demos' files."""

import hashlib
import importlib.metadata
import json
import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from course_lib.assets import paths
from course_lib.diffusion import text_to_image
from course_site import bundle, demo_data
from course_site.models import difference, package

# The models that compute in int8, and the weight prefix from which on they stay in float32. With
# this part in int8 too, the U-Net's mean squared error was four times as large and its file 10 %
# smaller. tests/website/test_agreement.py measures the error of int8.
INT8 = {"text-encoder": None, "unet": "model.up_blocks.1.attentions.1."}
# Models with int8 weights that compute in float32.
INT8_WEIGHTS = (
    "encoder",
    "decoder",
    "classifier",
    "localizer",
    "detector",
    "segmenter",
    "instances",
)
TEXT_TO_IMAGE = ("text-encoder", "unet", "decoder")
# All models but the judge, which only tests use.
NAMES = (
    "text-encoder",
    "unet",
    "one-step",
    "decoder",
    "encoder",
    "classifier",
    "localizer",
    "detector",
    "segmenter",
    "instances",
)
_TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")


def build_assets(out: Path, cache: Path, names: Sequence[str] = NAMES) -> dict[str, int]:
    """Write the models, the runtime and the demos' files as scripts into ``out``.

    Args:
        out: the folder ``_static/assets`` of the site.
        cache: the folder for exported models; a model is exported again if its checkpoint, the
            code of the export, or a tool changed.
        names: the models, of ``NAMES``.

    Returns:
        The gzipped size of each file in bytes, by name.

    Raises:
        BundleError: if npm or esbuild fails.
        FileNotFoundError: if a checkpoint is missing.
    """
    files = runtime_files() | model_files(cache, names) | demo_data.demo_files(cache)
    return package.write_assets(files, out)


def model_files(cache: Path, names: Sequence[str] = NAMES) -> dict[str, bytes]:
    """The files of models as pages load them, by name; all that are missing are exported.

    They are ONNX files; only "one-step" is a difference to "unet", see :mod:`.difference`.
    """
    exported = {"unet" if name == "one-step" else name: None for name in names}
    _export_missing(list(exported), cache)
    return {
        name: _one_step_difference(cache) if name == "one-step" else load_model(name, cache)
        for name in names
    }


def _one_step_difference(cache: Path) -> bytes:
    from course_lib.diffusion import one_step

    old, new = (
        {name: value.numpy() for name, value in pipeline.unet.state_dict().items()}
        for pipeline in (text_to_image.load(), one_step.load())
    )
    return difference.make_difference(load_model("unet", cache), old, new)


def load_model(name: str, cache: Path, *, int8: bool | None = None) -> bytes:
    """A model's ONNX file, from the cache if its dependencies are unchanged.

    Args:
        name: of ``export.NETWORKS``.
        cache: the folder of exported models.
        int8: whether it computes in int8. By default the model is what pages load, see
            :data:`INT8` and :data:`INT8_WEIGHTS`; if False, its weights are exact.
    """
    _export_missing([name], cache, int8=int8)
    return model_path(name, cache, int8=int8).read_bytes()


def _export_missing(names: Sequence[str], cache: Path, *, int8: bool | None = None) -> None:
    """Export the models that are not in the cache, in a process of their own.

    A new process has no import hooks, such as the tests' type checks, which ``torch.export`` can't
    trace. The exporter's log also stays out of this process.
    """
    missing = [name for name in names if not model_path(name, cache, int8=int8).is_file()]
    if not missing:
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=_disable_log) as process:
        for name in missing:
            process.submit(_export, name, cache, int8).result()


def _disable_log() -> None:
    logging.disable(logging.WARNING)  # the exporter and the quantiser log every step


def _export(name: str, cache: Path, int8: bool | None) -> None:
    """Export a model and write it into the cache."""
    from course_site.models import export, quantise  # imports torch and all models

    file = model_path(name, cache, int8=int8)
    weights = int8 is None and name in INT8_WEIGHTS
    int8 = name in INT8 if int8 is None else int8
    # Without simplification, weights that the checkpoint has in float16 are exact in float16.
    model = export.export(name, simplify=int8)
    if int8:
        model = quantise.to_uint8_dynamic(model, quantise.sensitive_nodes(model, INT8[name]))
        model = quantise.fuse_nodes(model)
    else:
        model = quantise.to_int8_weights(model) if weights else model
        model = quantise.to_fp16_weights(model)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    unfinished.write_bytes(model.SerializeToString(deterministic=True))
    unfinished.replace(file)


def model_path(name: str, cache: Path, *, int8: bool | None = None) -> Path:
    """Where :func:`load_model` keeps a model in the cache."""
    from course_site.models import export  # imports torch and all models

    weights = int8 is None and name in INT8_WEIGHTS
    int8 = name in INT8 if int8 is None else int8
    kind = f"{name}-{'int8' if int8 else 'int8-weights' if weights else 'fp32'}"
    return cache / f"{kind}-{_digest(export.NETWORKS[name].checkpoints)}.onnx"


def _digest(checkpoints: Sequence[str]) -> str:
    """A hash of the checkpoints, the code of models and export, and the tools' versions."""
    digest = hashlib.sha256()
    for name in checkpoints:
        digest.update(paths.data_path("checkpoints", f"{name}.safetensors").read_bytes())
    here = Path(__file__).parent
    sources = [here / "export.py", here / "quantise.py"]
    for folder in ("compression", "sd", "vision"):
        sources += sorted((paths.PACKAGE / folder).glob("*.py"))
    for source in sources:
        digest.update(source.read_bytes())
    digest.update(repr([importlib.metadata.version(tool) for tool in _TOOLS]).encode())
    return digest.hexdigest()[:16]


def runtime_files() -> dict[str, bytes]:
    """The runtime's files: the worker's script, onnxruntime, the settings of the pipeline."""
    return {
        "worker": bundle.bundled("runtime/worker.js"),
        "onnxruntime": bundle.onnxruntime_wasm(),
        "text-to-image": json.dumps(settings(), separators=(",", ":")).encode(),
    }


def settings() -> dict[str, Any]:
    """The settings of the shipped model: merges, prompt length, latents' shape, noise schedule."""
    tokenizer = text_to_image.tokenizer()
    unet = text_to_image.UNET_CONFIG
    return {
        "merges": "\n".join(" ".join(pair) for pair in tokenizer.merges),
        "length": tokenizer.length,
        "latents": [unet.in_channels, unet.sample_size, unet.sample_size],
        "schedule": asdict(text_to_image.SCHEDULE),
    }
