"""What ``course train`` and ``course evaluate`` do: runs that can be stopped and resumed, and a
table of figures.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import nn

from course_lib.assets import checkpoints
from course_lib.device import best_device
from course_lib.training import distributed, publish, recipes
from course_lib.training import resume as resume_state

# on a card: how the weights that it began with were made, if their command does not say it
_BEFORE = "began with"
_STOPPED = "stopped"  # how the note of a run begins that did not come to its end
# one entry per model and split: "model", "split", "examples" and its metrics
Figures = list[dict[str, Any]]


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
        ValueError: if there is no such model or device, or nothing to go on from; the message names
            the fix.
    """

    name: str
    epochs: int | None = None
    workers: int = 0
    seed: int = 0
    device: str | None = None
    out: Path = Path("trained")
    ship: bool = False
    resume: Path | None = None
    learning_rate: float | None = None  # by default that of the shipped model
    start: Path | None = None  # weights to begin with, for another cycle of the learning rate
    without: str | None = None  # a drawing style to leave out of the training, and to measure on

    def __post_init__(self) -> None:
        styles = self.family.styles(self.name)
        _device(self.device)
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(
                f"The learning rate is {self.learning_rate}: give --learning-rate a number above 0."
            )
        if self.without is not None and not styles:
            raise ValueError(
                f"The {self.name} is not trained without a style: leave out --without."
            )
        if self.without is not None and self.without not in styles:
            raise ValueError(
                f"{self.without!r} is no style that is trained on: leave one of {', '.join(styles)} out."
            )
        if self.start:
            _load(self.name, self.start)  # a wrong file is told before hours of training
            self._before()
        self.out.mkdir(parents=True, exist_ok=True)
        if self.resume:
            _check_resumable(self.name, self.resume)
        elif self.state.exists():
            raise ValueError(
                f"{self.state} is a run that was stopped: --resume {self.state} goes on; or delete it."
            )

    @property
    def family(self) -> recipes.Family:
        """The module that knows how."""
        return recipes.family(self.name)

    @property
    def state(self) -> Path:
        """The file that a stopped run goes on from."""
        return self.resume or self.out / f"{self.name}.resume"

    @property
    def command(self) -> str:
        """What does this again, with every number that matters written out."""
        epochs = self.epochs or self.family.epochs(self.name)
        parts = [
            f"course train {self.name} --epochs {epochs} --seed {self.seed} --workers {self.workers}"
        ]
        parts += [f"--device {self.device}"] if self.device else []
        parts += [f"--learning-rate {self.learning_rate}"] if self.learning_rate is not None else []
        parts += [f"--start {self.start}"] if self.start else []
        parts += [f"--without {self.without}"] if self.without else []
        parts += [f"--out {self.out}"] if self.out != Path("trained") else []
        return " ".join(parts + ["--ship"] * self.ship)

    def train(self) -> Done:
        """Train, measure, and write the model and its card; if it is interrupted, what there is of
        it.

        Raises:
            ValueError: if the run to go on from had another number of epochs.
        """
        before = self._before()  # now: what is written at the end may replace that card
        epochs, device = self.epochs or self.family.epochs(self.name), _device(self.device)
        how: dict[str, Any] = {
            "epochs": epochs,
            "device": device,
            "workers": self.workers,
            "seed": self.seed,
        }
        how["learning_rate"] = (
            self.family.LEARNING_RATE if self.learning_rate is None else self.learning_rate
        )
        how["start"] = _load(self.name, self.start).state_dict() if self.start else None
        if self.without:
            how["styles"] = self._others()
        model, history = self.family.train(self.name, checkpoint=self.state, **how)
        if distributed.number() > 0:
            return Done(not history.interrupted, (), [])  # the first process says the rest
        trained = len(history.losses)
        facts: dict[str, Any] = {
            "epochs": trained + before.get("epochs", 0),
            "seed": before.get("seed", self.seed),
            "minutes": history.seconds / 60 + before.get("minutes", 0),
            "command": " && ".join([before["command"], self.command]) if before else self.command,
            "images": trained * self.family.EPOCH + before.get("images seen", 0),
            "styles": self._others() if self.without else None,
            "extra": {_BEFORE: before}
            if before and (history.interrupted or "note" in before)
            else None,
        }
        if history.interrupted:
            note = f"{_STOPPED} after {trained} of {epochs} epochs, and not measured"
            path = publish.ship(self.name, model, **facts, count=0, note=note, folder=self.out)
            return Done(False, (f"Kept: {path}, the weights as they are now.", *self._go_on()), [])
        print(f"Measuring {self.name} on what it was not trained on.", flush=True)
        try:
            done = (
                self._measure_without(model, facts) if self.without else self._measure(model, facts)
            )
        except KeyboardInterrupt:
            return Done(False, ("Stopped before it was measured.", *self._go_on()), [])
        resume_state.discard(self.state)
        return done

    def _measure(self, model: nn.Module, facts: dict[str, Any]) -> Done:
        path = publish.ship(self.name, model, **facts, folder=None if self.ship else self.out)
        metrics = json.loads(path.with_suffix(".json").read_text())["metrics"]
        tests = self.family.TESTS
        figures = [
            _entry(self.name, split, min(publish.TEST_EXAMPLES, tests[split]), metrics[split])
            for split in tests
        ]
        return Done(True, (f"Written: {path} and its card {path.stem}.json.",), figures)

    def _measure_without(self, model: nn.Module, facts: dict[str, Any]) -> Done:
        """How the model does on the style that it never saw. The model is no shipped one; its
        figures may be.
        """
        split, count = "new-backgrounds", publish.TEST_EXAMPLES
        found = self.family.evaluate(self.name, model, split, count, styles=[self.without])
        known = self.family.evaluate(self.name, model, split, count, styles=self._others())
        found = publish.rounded(
            found | {f"{metric}_trained_styles": value for metric, value in known.items()}
        )
        note = f"trained without {self.without}, and measured on it: {found}"
        path = publish.ship(
            self.name,
            model,
            **facts,
            count=0,
            note=note,
            folder=self.out / f"without-{self.without}",
        )
        told = [f"Written: {path} and its card {path.stem}.json."]
        if self.ship:
            made = {key: facts[key] for key in ("epochs", "command")}
            card = publish.add_style(self.name, self.without, found, **made)
            told += [f"Its figures are on the shipped card: {card}"]
        return Done(
            True,
            tuple(told),
            [_entry(self.name, f"{self.without}, never-seen", publish.TEST_EXAMPLES, found)],
        )

    def _before(self) -> dict[str, Any]:
        """How the weights to begin with were made, as the card beside them tells; nothing if there
        is no card.

        Raises:
            ValueError: if the file beside them is no such card.
        """
        path = self.start.with_suffix(".json") if self.start else None
        if path is None or not path.is_file():
            return {}
        try:
            card = json.loads(path.read_text())
            stopped = card.get("note", "").startswith(_STOPPED)
            if self.resume and stopped and path.resolve().parent == self.state.resolve().parent:
                # the card is this very run's: when it was stopped it replaced that one
                return card.get(_BEFORE, {})
            told = {
                key: card[key] for key in ("command", "seed", "epochs", "images seen", "minutes")
            }
            return told | {key: card[key] for key in ("note",) if key in card}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is no card of course train: move it away to do without."
            ) from error

    def _others(self) -> list[str]:
        return [style for style in self.family.styles(self.name) if style != self.without]

    def _go_on(self) -> list[str]:
        return [f"To go on: {self.command} --resume {self.state}"] if self.state.exists() else []


def evaluate_models(
    names: Sequence[str] | None = None,
    split: str | None = None,
    count: int = publish.TEST_EXAMPLES,
    checkpoint: Path | None = None,
    tell: Callable[[str], object] = lambda what: None,
) -> Figures:
    """Measure models on the first ``count`` test examples of a split, or of every split.

    Args:
        names: which; all that are shipped by default, or the one that the file ``checkpoint`` is
            called after.
        split: one of those of the models' families; all by default.
        count: how many examples, where there are so many.
        checkpoint: a safetensors file to measure, rather than the shipped one.
        tell: called with what is measured next.

    Raises:
        FileNotFoundError: if a shipped checkpoint is not there; the message says how to get it
            back.
        ModuleNotFoundError: without torchmetrics; the message says how to install it.
        ValueError: if there is no such model, split or file, or the file belongs to another model.
    """
    if not names and checkpoint and checkpoint.stem in recipes.names():
        names = [checkpoint.stem]
    known = names or [name for name in recipes.names() if checkpoints.shipped(name)]
    splits = list(dict.fromkeys(one for name in known for one in recipes.family(name).TESTS))
    if split is not None and split not in splits:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(splits)}.")
    names = [name for name in known if split in (None, *recipes.family(name).TESTS)]
    if checkpoint and len(names) != 1:
        raise ValueError(
            f"{checkpoint} is one model: say which, as in course evaluate detector --checkpoint FILE"
        )
    figures = []
    # all of them first: a mistake is told at once
    loaded = {name: _load(name, checkpoint) for name in names}
    for name, model in loaded.items():
        family = recipes.family(name)
        for one in [split] if split else family.TESTS:
            tell(f"{name} on {one}")
            examples = min(count, family.TESTS[one])
            found = family.evaluate(name, model, one, examples)
            figures.append(_entry(name, one, examples, publish.rounded(found)))
    return figures


def figures_table(figures: Figures) -> Table:
    """A row for each model and metric, a column for each split, and a last one for the bar and
    whether it is met.
    """
    splits = list(dict.fromkeys(entry["split"] for entry in figures))
    found = Table(box=None, pad_edge=False, header_style="bold")
    found.add_column("model")
    found.add_column("metric")
    for split in [*splits, "its-bar"]:
        # in two lines: 80 columns are enough
        found.add_column("\n".join(split.rsplit("-", 1)), justify="right")
    for name in dict.fromkeys(entry["model"] for entry in figures):
        by_split = {entry["split"]: entry for entry in figures if entry["model"] == name}
        metrics = dict.fromkeys(key for entry in by_split.values() for key in entry)
        for metric in [key for key in metrics if key not in ("model", "split", "examples")]:
            values = [
                f"{by_split[split][metric]:.3f}" if metric in by_split.get(split, {}) else ""
                for split in splits
            ]
            found.add_row(name, metric, *values, _verdict(name, metric, by_split))
        found.add_section()
    return found


def _verdict(name: str, metric: str, by_split: dict[str, dict[str, Any]]) -> str:
    for split, bars in recipes.family(name).BARS.get(name, {}).items():
        if metric in bars and metric in by_split.get(split, {}):
            met = by_split[split][metric] >= bars[metric]
            return f"{bars[metric]:.2f} " + ("[green]met[/]" if met else "[red]missed[/]")
    return ""


def _entry(name: str, split: str, examples: int, figures: dict[str, float]) -> dict[str, Any]:
    return {"model": name, "split": split, "examples": examples, **figures}


def _load(name: str, checkpoint: Path | None) -> nn.Module:
    model = recipes.family(name).model(name)
    try:
        model.load_state_dict(
            checkpoints.read(checkpoint) if checkpoint else checkpoints.load(name)
        )
    except RuntimeError as error:
        shipped = f"data/checkpoints/{name}.safetensors"
        mend = (
            "name the model that it was trained as"
            if checkpoint
            else f"git checkout -- {shipped} brings it back"
        )
        raise ValueError(f"{checkpoint or shipped} does not fit the {name}: {mend}.") from error
    return model.eval()


def _device(name: str | None) -> torch.device:
    if name is None:
        return best_device()
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"The device {name!r} cannot be used here: choose cpu, or leave it out."
        ) from error


def _check_resumable(name: str, path: Path) -> None:
    """A file that is no run, or another model's, is refused here in one sentence."""
    if not path.is_file():
        raise ValueError(f"{path} is not there: leave out --resume to begin anew.")
    try:
        state = resume_state.read(path)
        wanted = recipes.family(name).model(name).state_dict()
        fits = {key: value.shape for key, value in state["model"].items()} == {
            k: v.shape for k, v in wanted.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no run of course train: leave out --resume to begin anew."
        ) from error
    if not fits:
        raise ValueError(f"{path} is not a run of the {name}: name the model that it belongs to.")
