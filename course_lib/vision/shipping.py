"""From a trained model to the file that is shipped: what it must reach, and the card that says what it did.

The figures on a card are those of the weights as they are stored, rounded to 16 bits, not of those that were trained.
"""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib import checkpoints, checksums, paths
from course_lib.data import photos, scenes, sprites
from course_lib.vision import levels

# What each model must reach on photos that it was not trained on.
BARS_SPLIT = "new-backgrounds"
BARS = {
    "classifier": {"top1": 0.99},
    "localizer": {"box_iou": 0.90},
    "detector": {"map50": 0.98, "map": 0.80},
    "segmenter": {"miou": 0.90},
    "instances": {"map50": 0.95},
}
TEST_SCENES = 500  # of each split
STYLES = "styles-in-turn"  # in a card's metrics, beside the splits: each training style left out and tested on


def ship(
    name: str,
    model: nn.Module,
    *,
    epochs: int,
    seed: int,
    minutes: float,
    images: int,
    command: str | None = None,
    threads: int | None = None,
    count: int | None = None,
    note: str | None = None,
    extra: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Path:
    """Measure a trained model on every split and write it with its card. Returns the checkpoint's path.

    Args:
        name: its level, one of ``levels.LEVELS``.
        model: as ``levels.train`` returned it; stays as it is.
        epochs: how many of ``levels.EPOCH`` scenes it was trained for.
        seed: that of the training.
        minutes: how long the training took.
        images: how many it saw.
        command: what trained it; by default ``course train`` with these epochs and this seed.
        threads: of the CPU; by default as many as torch uses now.
        count: test scenes of each split, 500 by default; with 0 nothing is measured.
        note: a sentence for the card, if something about the run was special.
        extra: other entries of the card.
        folder: where to; by default the checkout's ``data/checkpoints``, and then ``data/checksums.json`` is renewed.

    Raises:
        ModuleNotFoundError: if torchmetrics is needed and missing; the message says how to install it.
        ValueError: if there is no such level, or no checkout and no folder.
    """
    if folder is None and paths.checkout() is None:
        raise ValueError("Only a checkout has data/checkpoints to write to: give a folder.")
    chosen, device = levels.level(name), next(model.parameters()).device
    count = TEST_SCENES if count is None else count
    stored = as_stored(name, model).to(device)
    card = {
        "command": command or f"course train {name} --epochs {epochs} --seed {seed} --ship",
        "seed": seed,
        "data": {
            "split": "seen",
            "side": scenes.SIZE,
            "objects in a scene": list(chosen.objects),
            "classes": len(sprites.CLASSES),
            "styles": sprites.styles("train"),
            "photos": len(photos.names("train")),
            "test scenes of each split": count,
        },
        "metrics": {split: rounded(levels.evaluate(name, stored, split, count)) for split in scenes.SPLITS if count},
        "hardware": hardware(device, threads),
        "minutes": round(minutes, 1),
        "epochs": epochs,
        "images seen": images,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "torch": torch.__version__.split("+")[0],
        **({"note": note} if note else {}),
        **(extra or {}),
    }
    path = checkpoints.save(name, model.state_dict(), card, folder)
    if folder is None:
        checksums.write()
    return path


def add_style(name: str, style: str, figures: Mapping[str, float]) -> Path:
    """Write on a shipped model's card what the same design reached on a style that was left out of its training.

    Returns the card's path.

    Raises:
        FileNotFoundError: if there is no shipped model of that name.
    """
    path, card = paths.data("checkpoints", f"{name}.json"), checkpoints.card(name)
    card["metrics"].setdefault(STYLES, {})[style] = dict(figures)
    path.write_text(json.dumps(card, indent=2) + "\n")
    checksums.write()
    return path


def as_stored(name: str, model: nn.Module) -> nn.Module:
    """A copy of the model, on the CPU and ready to predict, with the weights that a checkpoint of it would have."""
    halves = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}
    copy = levels.level(name).model()
    copy.load_state_dict(halves)  # which makes them 32 bits again
    return copy.eval()


def hardware(device: torch.device, threads: int | None = None) -> str:
    """What a model on this device is trained with, as a card tells it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = threads or torch.get_num_threads()
    processor = f"{_processor()}, {cores} cores, {threads} thread{'s' * (threads > 1)}"
    return f"{torch.cuda.get_device_name(device)}; {processor}" if device.type == "cuda" else processor


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures to four decimals, as cards and ``course evaluate --json`` tell them."""
    return {metric: round(value, 4) for metric, value in figures.items()}


def _processor() -> str:
    table = Path("/proc/cpuinfo")  # platform.processor() says nothing on most Linux systems
    lines = table.read_text().splitlines() if table.exists() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()
