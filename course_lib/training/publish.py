"""From a trained model to the file that is shipped: what it must reach, and the card that says what
it did.

The figures on a card are those of the weights as they are stored, rounded to 16 bits, not of those
that were trained.
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

TEST_EXAMPLES = 500  # of each split, where there are so many
# In a card's metrics, beside the splits: each training style left out and tested on, with how that
# was trained.
STYLES = "styles-in-turn"


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
    styles: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Path:
    """Measure a trained model on every split and write it with its card. Returns the checkpoint's
    path.

    Where its family has a ``picture(model)``, that is written beside it as ``NAME.webp``. What the
    card that is replaced says of styles left out in turn (:func:`add_style`) stays.

    Args:
        name: one of ``recipes.names()``.
        model: as its family's ``train`` returned it; stays as it is.
        epochs: how many of its family's ``EPOCH`` examples it was trained for.
        seed: that of the training.
        minutes: how long the training took.
        images: how many it saw.
        command: what trained it; by default ``course train`` with these epochs and this seed.
        threads: of the CPU; by default as many as torch uses now.
        count: test examples of each split, 500 by default; with 0 nothing is measured.
        note: a sentence for the card, if something about the run was special.
        styles: the drawing styles that it was trained on, if they are not all that are not held
            out.
        extra: other entries of the card.
        folder: where to; by default the checkout's ``data/checkpoints``, and then
            ``data/checksums.json`` is renewed.

    Raises:
        ModuleNotFoundError: if torchmetrics is needed and missing; the message says how to install
            it.
        ValueError: if there is no such model, or no checkout and no folder.
    """
    if folder is None and paths.checkout() is None:
        raise ValueError("Only a checkout has data/checkpoints to write to: give a folder.")
    family, device = recipes.family(name), next(model.parameters()).device
    most = TEST_EXAMPLES if count is None else count
    counts = {split: min(most, available) for split, available in family.TESTS.items() if most}
    stored = as_stored(name, model).to(device)
    metrics = {
        split: rounded(family.evaluate(name, stored, split, some)) for split, some in counts.items()
    }
    if folder is None and (in_turn := _styles_in_turn(name)):
        metrics[STYLES] = in_turn
    card = {
        "command": command or f"course train {name} --epochs {epochs} --seed {seed} --ship",
        "seed": seed,
        "data": family.facts(name, styles) | {"test examples": counts},
        "metrics": metrics,
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
    if counts and hasattr(family, "picture"):
        family.picture(stored).save(path.with_suffix(".webp"), quality=90)
    if folder is None:
        checksums.write()
    return path


def add_style(
    name: str, style: str, figures: Mapping[str, float], *, epochs: int, command: str
) -> Path:
    """Write on a shipped model's card what the same design reached on a style that was left out of
    its training.

    Beside these figures stand the epochs and the command of that training. Returns the card's path.

    Raises:
        FileNotFoundError: if there is no shipped model of that name.
    """
    path, card = paths.data("checkpoints", f"{name}.json"), checkpoints.card(name)
    card["metrics"].setdefault(STYLES, {})[style] = {
        **figures,
        "epochs": epochs,
        "command": command,
    }
    path.write_text(json.dumps(card, indent=2) + "\n")
    checksums.write()
    return path


def as_stored(name: str, model: nn.Module) -> nn.Module:
    """A copy of the model, on the CPU and ready to predict, with the weights that a checkpoint of
    it would have.
    """
    halves = {
        key: value.half() if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    copy = recipes.family(name).model(name)
    copy.load_state_dict(halves)  # which makes them 32 bits again
    return copy.eval()


def hardware(device: torch.device, threads: int | None = None) -> str:
    """What a model on this device is trained with, as a card tells it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = threads or torch.get_num_threads()
    processor = f"{_processor()}, {cores} cores, {threads} thread{'s' * (threads > 1)}"
    return (
        f"{torch.cuda.get_device_name(device)}; {processor}" if device.type == "cuda" else processor
    )


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures to four decimals, as cards and ``course evaluate --json`` tell them."""
    return {metric: round(value, 4) for metric, value in figures.items()}


def _styles_in_turn(name: str) -> dict[str, Any]:
    try:
        return checkpoints.card(name)["metrics"].get(STYLES, {})
    except FileNotFoundError:  # it was never shipped
        return {}


def _processor() -> str:
    table = Path("/proc/cpuinfo")  # platform.processor() says nothing on most Linux systems
    lines = table.read_text().splitlines() if table.exists() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()
