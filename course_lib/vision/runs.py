"""What ``course train`` and ``course evaluate`` do: runs that can be stopped and resumed, and a table of figures."""

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import nn

from course_lib import checkpoints
from course_lib.data import scenes, sprites
from course_lib.device import best_device
from course_lib.vision import levels, shipping

Figures = list[dict[str, Any]]  # one entry per model and split: "model", "split", "scenes" and its metrics


@dataclass(frozen=True)
class Done:
    """How a run ended: whether at its end, what to tell, and the figures that were reached."""

    finished: bool
    told: tuple[str, ...]
    figures: Figures


@dataclass(frozen=True)
class Run:
    """One training, as it was asked for on the command line.

    Raises:
        OSError: if nothing can be written to the folder ``out``.
        ValueError: if there is no such level or device, or nothing to go on from; the message names the fix.
    """

    name: str
    epochs: int | None = None
    workers: int = 0
    seed: int = 0
    device: str | None = None
    out: Path = Path("trained")
    ship: bool = False
    resume: Path | None = None
    learning_rate: float = levels.LEARNING_RATE
    start: Path | None = None  # weights to begin with, for another cycle of the learning rate
    without: str | None = None  # a drawing style to leave out of the training, and to measure on

    def __post_init__(self) -> None:
        levels.level(self.name)
        _device(self.device)
        if self.without is not None and self.without not in sprites.styles():
            styles = ", ".join(sprites.styles())
            raise ValueError(f"{self.without!r} is no style that is trained on: leave one of {styles} out.")
        if self.start:
            _load(self.name, self.start)  # a wrong file is told before hours of training
        self.out.mkdir(parents=True, exist_ok=True)
        if self.resume:
            _check_resumable(self.name, self.resume)
        elif self.state.exists():
            raise ValueError(f"{self.state} is a run that was stopped: --resume {self.state} goes on; or delete it.")

    @property
    def state(self) -> Path:
        """The file that a stopped run goes on from."""
        return self.resume or self.out / f"{self.name}.resume"

    @property
    def command(self) -> str:
        """What does this again, with every number that matters written out."""
        epochs = self.epochs or levels.level(self.name).epochs
        parts = [f"course train {self.name} --epochs {epochs} --seed {self.seed} --workers {self.workers}"]
        parts += [f"--device {self.device}"] if self.device else []
        parts += [f"--learning-rate {self.learning_rate}"] if self.learning_rate != levels.LEARNING_RATE else []
        parts += [f"--start {self.start}"] if self.start else []
        parts += [f"--without {self.without}"] if self.without else []
        return " ".join(parts + ["--ship"] * self.ship)

    def train(self) -> Done:
        """Train, measure, and write the model and its card; if it is interrupted, what there is of it.

        Raises:
            ValueError: if the run to go on from had another number of epochs.
        """
        epochs, device = self.epochs or levels.level(self.name).epochs, _device(self.device)
        how = {"epochs": epochs, "device": device, "workers": self.workers, "seed": self.seed}
        how["learning_rate"] = self.learning_rate
        how["start"] = _load(self.name, self.start).state_dict() if self.start else None
        how["styles"] = [style for style in sprites.styles() if style != self.without]
        model, history = levels.train(self.name, checkpoint=self.state, **how)
        trained = len(history.losses)
        facts = {"epochs": trained, "seed": self.seed, "minutes": history.seconds / 60, "command": self.command}
        facts["images"] = trained * levels.EPOCH
        if history.interrupted:
            note = f"stopped after {trained} of {epochs} epochs, and not measured"
            path = shipping.ship(self.name, model, **facts, count=0, note=note, folder=self.out)
            return Done(False, (f"Kept: {path}, the weights as they are now.", *self._go_on()), [])
        if self.without:
            return self._measure_without(model, facts)
        print(f"Measuring {self.name} on {shipping.TEST_SCENES} scenes of each split.", flush=True)
        try:
            path = shipping.ship(self.name, model, **facts, folder=None if self.ship else self.out)
        except KeyboardInterrupt:
            return Done(False, ("Stopped before it was measured.", *self._go_on()), [])
        self.state.unlink()
        metrics = json.loads(path.with_suffix(".json").read_text())["metrics"]
        figures = [_entry(self.name, split, shipping.TEST_SCENES, found) for split, found in metrics.items()]
        return Done(True, (f"Written: {path} and its card {path.stem}.json.",), figures)

    def _measure_without(self, model: nn.Module, facts: dict[str, Any]) -> Done:
        """How the model does on the style that it never saw. The model is no shipped one; its figures may be."""
        others = [style for style in sprites.styles() if style != self.without]
        found = levels.evaluate(self.name, model, shipping.BARS_SPLIT, shipping.TEST_SCENES, styles=[self.without])
        known = levels.evaluate(self.name, model, shipping.BARS_SPLIT, shipping.TEST_SCENES, styles=others)
        found = shipping.rounded(found | {f"{metric}_trained_styles": value for metric, value in known.items()})
        note = f"trained without {self.without}, and measured on it: {found}"
        path = shipping.ship(self.name, model, **facts, count=0, note=note, folder=self.out / f"without-{self.without}")
        told = [f"Written: {path} and its card {path.stem}.json."]
        if self.ship:
            told += [f"Its figures are on the shipped card: {shipping.add_style(self.name, self.without, found)}"]
        self.state.unlink()
        return Done(True, tuple(told), [_entry(self.name, f"{self.without}, never-seen", shipping.TEST_SCENES, found)])

    def _go_on(self) -> list[str]:
        out = "" if self.out == Path("trained") else f" --out {self.out}"
        return [f"To go on: {self.command}{out} --resume {self.state}"] if self.state.exists() else []


def evaluate(
    names: Sequence[str] | None = None,
    split: str | None = None,
    count: int = shipping.TEST_SCENES,
    checkpoint: Path | None = None,
    tell: Callable[[str], object] = lambda what: None,
) -> Figures:
    """Measure models on the first ``count`` test scenes of a split, or of every split.

    Args:
        names: which; all five by default, or the one that the file ``checkpoint`` is called after.
        split: one of ``scenes.SPLITS``; all by default.
        count: how many scenes.
        checkpoint: a safetensors file to measure, rather than the shipped one.
        tell: called with what is measured next.

    Raises:
        FileNotFoundError: if a shipped checkpoint is not there; the message says how to get it back.
        ModuleNotFoundError: without torchmetrics; the message says how to install it.
        ValueError: if there is no such model, split or file, or the file belongs to another model.
    """
    if not names:
        names = [checkpoint.stem] if checkpoint and checkpoint.stem in levels.LEVELS else list(levels.LEVELS)
    if split is not None and split not in scenes.SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(scenes.SPLITS)}.")
    if checkpoint and len(names) != 1:
        raise ValueError(f"{checkpoint} is one model: say which, as in course evaluate detector --checkpoint FILE")
    figures = []
    loaded = {name: _load(name, checkpoint) for name in names}  # all of them first: a mistake is told at once
    for name, model in loaded.items():
        for one in [split] if split else scenes.SPLITS:
            tell(f"{name} on {one}")
            figures.append(_entry(name, one, count, shipping.rounded(levels.evaluate(name, model, one, count))))
    return figures


def table(figures: Figures) -> Table:
    """A row for each model and metric, a column for each split, and a last one for the bar and whether it is met."""
    splits = list(dict.fromkeys(entry["split"] for entry in figures))
    found = Table(box=None, pad_edge=False, header_style="bold")
    found.add_column("model")
    found.add_column("metric")
    for split in [*splits, "its-bar"]:
        found.add_column("\n".join(split.rsplit("-", 1)), justify="right")  # in two lines: 80 columns are enough
    for name in dict.fromkeys(entry["model"] for entry in figures):
        by_split = {entry["split"]: entry for entry in figures if entry["model"] == name}
        metrics = dict.fromkeys(key for entry in by_split.values() for key in entry)
        for metric in [key for key in metrics if key not in ("model", "split", "scenes")]:
            values = [f"{by_split[split][metric]:.3f}" if metric in by_split[split] else "" for split in splits]
            found.add_row(name, metric, *values, _verdict(name, metric, by_split.get(shipping.BARS_SPLIT)))
        found.add_section()
    return found


def _verdict(name: str, metric: str, figures: dict[str, Any] | None) -> str:
    bar = shipping.BARS[name].get(metric) if figures else None
    if bar is None:
        return ""
    return f"{bar:.2f} " + ("[green]met[/]" if figures[metric] >= bar else "[red]missed[/]")


def _entry(name: str, split: str, count: int, figures: dict[str, float]) -> dict[str, Any]:
    return {"model": name, "split": split, "scenes": count, **figures}


def _load(name: str, checkpoint: Path | None) -> nn.Module:
    if checkpoint is None:
        return levels.load(name)
    model = levels.level(name).model()
    try:
        model.load_state_dict(checkpoints.read(checkpoint))
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit the {name}: name the model that it was trained as.") from error
    return model.eval()


def _device(name: str | None) -> torch.device:
    if name is None:
        return best_device()
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"The device {name!r} cannot be used here: choose cpu, or leave it out.") from error


def _check_resumable(name: str, path: Path) -> None:
    """A file that is no run, or another model's, is refused here in one sentence."""
    if not path.is_file():
        raise ValueError(f"{path} is not there: leave out --resume to begin anew.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        wanted = levels.level(name).model().state_dict()
        fits = {key: value.shape for key, value in state["model"].items()} == {k: v.shape for k, v in wanted.items()}
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is no run of course train: leave out --resume to begin anew.") from error
    if not fits:
        raise ValueError(f"{path} is not a run of the {name}: name the model that it belongs to.")
