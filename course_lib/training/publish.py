"""Publishes a trained model: checkpoint and model card.

The metrics on a card are measured with the stored weights, rounded to float16.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib.assets import checkpoints, checksums, paths
from course_lib.training import recipes

TEST_EXAMPLES = 500  # maximum per split
# The key of add_held_out_style's entries in a card's metrics, next to the splits.
HELD_OUT_STYLES = "styles-in-turn"


def save_with_card(
    name: str,
    model: nn.Module,
    *,
    epochs: int,
    seed: int,
    minutes: float,
    examples_seen: int,
    command: str | None = None,
    threads: int | None = None,
    test_examples: int | None = None,
    note: str | None = None,
    styles: Sequence[str] | None = None,
    extra_entries: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Path:
    """Evaluate a trained model on every split and save it with its card. Returns the checkpoint's
    path.

    If its recipe has a ``preview_image``, it is saved as ``NAME.webp``. When a shipped card is
    replaced, the entries of :func:`add_held_out_style` are kept.

    Args:
        name: one of ``recipes.names()``.
        model: as returned by its recipe's ``train``; not changed.
        epochs: the number of training epochs.
        seed: the seed of the training.
        minutes: the duration of the training.
        examples_seen: the number of training examples, over all epochs.
        command: the command that trained it; by default ``course train`` with these epochs and
            this seed.
        threads: CPU threads; by default the number that torch uses now.
        test_examples: the maximum per split, by default 500; 0 skips the evaluation.
        note: a remark for the model card, if the run was unusual.
        styles: the training styles of the drawings; by default all that are not held out.
        extra_entries: more entries of the card.
        folder: where to save; by default the checkout's ``data/checkpoints``, in which case
            ``data/checksums.json`` is updated.

    Raises:
        ModuleNotFoundError: if torchmetrics is needed and missing; the message says so.
        ValueError: if there is no such model, or neither a checkout nor a folder.
    """
    if folder is None and paths.checkout() is None:
        raise ValueError("data/checkpoints exists only in a checkout: give a folder.")
    recipe, device = recipes.recipe(name), next(model.parameters()).device
    limit = TEST_EXAMPLES if test_examples is None else test_examples
    counts = {split: min(limit, count) for split, count in recipe.test_splits.items() if limit}
    stored_model = round_trip_fp16(name, model).to(device)
    metrics: dict[str, Any] = {
        split: round_metrics(recipe.evaluate(stored_model, split, count))
        for split, count in counts.items()
    }
    if folder is None and (held_out := _held_out_styles(name)):
        metrics[HELD_OUT_STYLES] = held_out
    description = recipe.dataset_description(**({} if styles is None else {"styles": styles}))
    card = {
        "command": command or f"course train {name} --epochs {epochs} --seed {seed} --ship",
        "seed": seed,
        "data": description | {"test examples": counts},
        "metrics": metrics,
        "hardware": describe_hardware(device, threads),
        "minutes": round(minutes, 1),
        "epochs": epochs,
        "images seen": examples_seen,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "torch": torch.__version__.split("+")[0],
        **({"note": note} if note else {}),
        **(extra_entries or {}),
    }
    path = checkpoints.save(name, recipe.pack(model.state_dict()), card, folder)
    if counts and recipe.preview_image is not None:
        recipe.preview_image(stored_model).save(path.with_suffix(".webp"), quality=90)
    if folder is None:
        checksums.write()
    return path


def add_held_out_style(
    name: str, style: str, metrics: Mapping[str, float], *, epochs: int, command: str
) -> Path:
    """Add to a shipped model's card the metrics on ``style`` of a model trained without it, with
    epochs and command of that training. Returns the card's path.

    Raises:
        FileNotFoundError: if there is no shipped model of that name.
    """
    path, card = paths.data_path("checkpoints", f"{name}.json"), checkpoints.read_card(name)
    entry = {**metrics, "epochs": epochs, "command": command}
    card["metrics"].setdefault(HELD_OUT_STYLES, {})[style] = entry
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8", newline="\n")
    checksums.write()
    return path


def round_trip_fp16(name: str, model: nn.Module) -> nn.Module:
    """A copy of the model, on the CPU and in eval mode, with weights rounded as in a checkpoint: to
    float16, or as the recipe packs them.
    """
    recipe = recipes.recipe(name)
    copy = recipe.make_model()
    packed = checkpoints.to_fp16(recipe.pack(model.state_dict()))
    copy.load_state_dict(recipe.unpack(checkpoints.to_float32(packed)))
    return copy.eval()


def describe_hardware(device: torch.device, threads: int | None = None) -> str:
    """The device and the processor, for a card."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = threads or torch.get_num_threads()
    processor = f"{_processor()}, {cores} cores, {threads} thread{'s' * (threads > 1)}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}; {processor}"
    return processor


def round_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics rounded to four decimals, as on cards and in ``course evaluate --json``."""
    return {metric: round(value, 4) for metric, value in metrics.items()}


def _held_out_styles(name: str) -> dict[str, Any]:
    try:
        return checkpoints.read_card(name)["metrics"].get(HELD_OUT_STYLES, {})
    except FileNotFoundError:  # it was never shipped
        return {}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # platform.processor() is empty on most Linux systems
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    lines = text.splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
