"""``course train``: resumable training runs, then evaluation and saving."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_lib.console import to_shell
from course_lib.device import resolve_device
from course_lib.training import distributed, publish, recipes
from course_lib.training import resume as resume_state
from course_lib.training.evaluate import MetricRows, load_model, metrics_row

# The card's key for the training of the initial weights, if the command doesn't tell it.
_INITIAL_WEIGHTS = "began with"
_STOPPED = "stopped"  # prefix of the note of an interrupted run
_HELD_OUT_STYLE_SPLIT = "new-backgrounds"


@dataclass(frozen=True)
class RunResult:
    """Whether a run finished, messages for the user, and the metrics."""

    finished: bool
    messages: tuple[str, ...]
    metrics: MetricRows


@dataclass(frozen=True)
class Run:
    """One training run, with the options of the command line.

    Raises:
        OSError: if the folder ``out`` is not writable.
        ValueError: if there is no such model, device or style, or nothing to resume; the message
            says what to change.
    """

    name: str
    epochs: int | None = None
    workers: int = 0
    seed: int = 0
    device: str | None = None
    out: Path = Path("trained")
    ship: bool = False
    resume: Path | None = None
    learning_rate: float | None = None  # by default as for the shipped model
    batch_size: int | None = None  # by default as for the shipped model
    bfloat16: bool = False  # on a CPU
    start: Path | None = None  # initial weights, for a further cycle of the learning rate
    decoder_only: bool = False  # of the autoencoder
    held_out_style: str | None = None  # a drawing style excluded from training and used for testing

    def __post_init__(self) -> None:
        styles = self.recipe.styles
        resolve_device(self.device)
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(
                f"The learning rate is {self.learning_rate}: give --learning-rate a number above 0."
            )
        if self.held_out_style is not None and not styles:
            raise ValueError(f"The {self.name} has no training styles: leave out --without.")
        if self.held_out_style is not None and self.held_out_style not in styles:
            raise ValueError(
                f"{self.held_out_style!r} is not a training style: "
                f"give --without one of {', '.join(styles)}."
            )
        if self.decoder_only and self.name != "autoencoder":
            raise ValueError(f"The {self.name} has no decoder: leave out --decoder-only.")
        if self.start:
            self._initial_weights()  # reports a wrong file before hours of training
            self._previous_training()
        self.out.mkdir(parents=True, exist_ok=True)
        if self.resume:
            _check_resumable(self.name, self.resume)
        elif self.state.exists():
            raise ValueError(
                f"{self.state} is the state of a stopped run: "
                f"continue it with {to_shell('--resume', self.state)}, or delete it."
            )

    @property
    def recipe(self) -> recipes.Recipe:
        """The recipe of the model."""
        return recipes.recipe(self.name)

    @property
    def state(self) -> Path:
        """The file from which a stopped run is resumed."""
        return self.resume or self.out / f"{self.name}.resume"

    @property
    def command(self) -> str:
        """The command that reproduces this run."""
        epochs = self.epochs or self.recipe.epochs
        options: list[object] = ["--epochs", epochs, "--seed", self.seed, "--workers", self.workers]
        if self.device:
            options += ["--device", self.device]
        if self.learning_rate is not None:
            options += ["--learning-rate", self.learning_rate]
        if self.batch_size is not None:
            options += ["--batch-size", self.batch_size]
        if self.bfloat16:
            options.append("--bfloat16")
        if self.start:
            options += ["--start", self.start]
        if self.decoder_only:
            options.append("--decoder-only")
        if self.held_out_style:
            options += ["--without", self.held_out_style]
        if self.out != Path("trained"):
            options += ["--out", self.out]
        if self.ship:
            options.append("--ship")
        return to_shell("course", "train", self.name, *options)

    def train(self) -> RunResult:
        """Train, evaluate, and save the model with its card; if interrupted, the current weights.

        Raises:
            ValueError: if the run to resume has a different number of epochs.
        """
        previous = self._previous_training()  # read first: saving may replace this card
        epochs, recipe = self.epochs or self.recipe.epochs, self.recipe
        styles = self._other_styles() if self.held_out_style else None
        model, history = recipe.train(
            epochs=epochs,
            device=resolve_device(self.device),
            workers=self.workers,
            seed=self.seed,
            learning_rate=(
                recipe.learning_rate if self.learning_rate is None else self.learning_rate
            ),
            batch_size=self.batch_size or recipe.batch_size,
            initial_weights=self._initial_weights(),
            checkpoint=self.state,
            **({"bfloat16": True} if self.bfloat16 else {}),
            **({"decoder_only": True} if self.decoder_only else {}),
            **({} if styles is None else {"styles": styles}),
        )
        if distributed.rank() > 0:
            return RunResult(not history.interrupted, (), [])  # rank 0 does the rest
        trained = len(history.losses)
        card: dict[str, Any] = {
            "epochs": trained + previous.get("epochs", 0),
            "seed": previous.get("seed", self.seed),
            "minutes": history.seconds / 60 + previous.get("minutes", 0),
            "command": " && ".join(
                [previous["command"], self.command] if previous else [self.command]
            ),
            "examples_seen": trained * recipe.examples_per_epoch + previous.get("images seen", 0),
            "styles": styles,
        }
        if previous and (history.interrupted or "note" in previous):
            card["extra_entries"] = {_INITIAL_WEIGHTS: previous}
        if history.interrupted:
            note = f"{_STOPPED} after {trained} of {epochs} epochs, and not evaluated"
            path = publish.save_with_card(
                self.name, model, **card, test_examples=0, note=note, folder=self.out
            )
            return RunResult(
                False, (f"Saved: {path}, with the current weights.", *self._how_to_resume()), []
            )
        print(f"Evaluating {self.name} on data that it was not trained on.", flush=True)
        evaluate = self._evaluate_held_out_style if self.held_out_style else self._evaluate
        try:
            result = evaluate(model, card)
        except KeyboardInterrupt:
            return RunResult(
                False, ("Stopped before it was evaluated.", *self._how_to_resume()), []
            )
        resume_state.discard(self.state)
        return result

    def _initial_weights(self) -> dict[str, Tensor] | None:
        """The weights of ``start``, if given.

        Raises:
            ValueError: if they belong to a different model.
        """
        if self.start is None:
            return None
        return load_model(self.name, self.start).state_dict()

    def _evaluate(self, model: nn.Module, card: dict[str, Any]) -> RunResult:
        folder = None if self.ship else self.out
        path = publish.save_with_card(self.name, model, **card, folder=folder)
        metrics = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["metrics"]
        rows = [
            metrics_row(self.name, split, min(publish.TEST_EXAMPLES, count), metrics[split])
            for split, count in self.recipe.test_splits.items()
        ]
        return RunResult(True, (f"Saved: {path} and its card {path.stem}.json.",), rows)

    def _evaluate_held_out_style(self, model: nn.Module, card: dict[str, Any]) -> RunResult:
        """Evaluate on the held-out style. Only the metrics can be shipped, never the model."""
        metrics, trained_styles = (
            self.recipe.evaluate(model, _HELD_OUT_STYLE_SPLIT, publish.TEST_EXAMPLES, styles=styles)
            for styles in ([self.held_out_style], self._other_styles())
        )
        metrics |= {f"{metric}_trained_styles": value for metric, value in trained_styles.items()}
        metrics = publish.round_metrics(metrics)
        path = publish.save_with_card(
            self.name,
            model,
            **card,
            test_examples=0,
            note=f"trained without {self.held_out_style}, and evaluated on it: {metrics}",
            folder=self.out / f"without-{self.held_out_style}",
        )
        messages = [f"Saved: {path} and its card {path.stem}.json."]
        if self.ship:
            assert self.held_out_style is not None
            shipped_card = publish.add_held_out_style(
                self.name,
                self.held_out_style,
                metrics,
                epochs=card["epochs"],
                command=card["command"],
            )
            messages.append(f"Its metrics are on the shipped card: {shipped_card}")
        split = f"{self.held_out_style}, never-seen"
        return RunResult(
            True, tuple(messages), [metrics_row(self.name, split, publish.TEST_EXAMPLES, metrics)]
        )

    def _previous_training(self) -> dict[str, Any]:
        """How the initial weights were trained, from the card next to them; empty without a card.

        Raises:
            ValueError: if the file next to them is not such a card.
        """
        path = self.start.with_suffix(".json") if self.start else None
        if path is None or not path.is_file():
            return {}
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            stopped = card.get("note", "").startswith(_STOPPED)
            if self.resume and stopped and path.resolve().parent == self.state.resolve().parent:
                # This run replaced the card when it was stopped.
                return card.get(_INITIAL_WEIGHTS, {})
            keys = ["command", "seed", "epochs", "images seen", "minutes"]
            return {key: card[key] for key in keys + ["note"] * ("note" in card)}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is not a card of course train: move it away to train without it."
            ) from error

    def _other_styles(self) -> list[str]:
        return [style for style in self.recipe.styles if style != self.held_out_style]

    def _how_to_resume(self) -> list[str]:
        if not self.state.exists():
            return []
        return [f"To resume it: {self.command} {to_shell('--resume', self.state)}"]


def _check_resumable(name: str, path: Path) -> None:
    """Reject a file that isn't the state of a run, or is the state of a different model."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist: leave out --resume to train from the beginning.")
    try:
        weights = resume_state.read(path)["model"]
        shapes = {key: value.shape for key, value in weights.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a run of course train: leave out --resume to train from the beginning."
        ) from error
    expected = recipes.recipe(name).make_model().state_dict()
    if shapes != {key: value.shape for key, value in expected.items()}:
        raise ValueError(f"{path} is not a run of the {name}: name the model that it belongs to.")
