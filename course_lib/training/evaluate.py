"""``course evaluate``: measure models on test splits, and print the metrics as a table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import nn

from course_lib.assets import checkpoints
from course_lib.training import publish, recipes

# One row per model and split: "model", "split", "examples", and the metrics.
MetricRows = list[dict[str, Any]]


def evaluate_models(
    names: Sequence[str] | None = None,
    split: str | None = None,
    test_examples: int = publish.TEST_EXAMPLES,
    checkpoint: Path | None = None,
    report_progress: Callable[[str], object] = lambda message: None,
) -> MetricRows:
    """Measure models on the first ``test_examples`` examples of a split, or of every split.

    Args:
        names: which models; by default all shipped models, or the model in the file name of
            ``checkpoint``.
        split: by default all splits of each model.
        test_examples: the maximum number of examples per split.
        checkpoint: a safetensors file to measure instead of the shipped one.
        report_progress: called with a description of each measurement before it starts.

    Raises:
        FileNotFoundError: if a shipped checkpoint is missing; the message says how to get it.
        ModuleNotFoundError: without torchmetrics; the message says what to install.
        ValueError: if there is no such model, split or file, or the file belongs to a different
            model.
    """
    if not names and checkpoint and checkpoint.stem in recipes.names():
        names = [checkpoint.stem]
    names = names or [name for name in recipes.names() if checkpoints.is_shipped(name)]
    chosen = {name: recipes.recipe(name) for name in names}
    splits = dict.fromkeys(split for recipe in chosen.values() for split in recipe.test_splits)
    if split is not None:
        if split not in splits:
            raise ValueError(f"There is no split {split!r}: choose one of {', '.join(splits)}.")
        chosen = {name: recipe for name, recipe in chosen.items() if split in recipe.test_splits}
    if checkpoint and len(chosen) != 1:
        raise ValueError(
            f"{checkpoint} holds one model: name it, "
            "as in course evaluate detector --checkpoint FILE"
        )
    # Load all models first, so that a mistake is reported before any evaluation.
    models = {name: load_model(name, checkpoint) for name in chosen}
    rows = []
    for name, recipe in chosen.items():
        for test_split in [split] if split else recipe.test_splits:
            report_progress(f"{name} on {test_split}")
            count = min(test_examples, recipe.test_splits[test_split])
            metrics = recipe.evaluate(models[name], test_split, count)
            rows.append(metrics_row(name, test_split, count, publish.round_metrics(metrics)))
    return rows


def metrics_row(name: str, split: str, examples: int, metrics: dict[str, float]) -> dict[str, Any]:
    """A row of :data:`MetricRows`."""
    return {"model": name, "split": split, "examples": examples, **metrics}


def load_model(name: str, checkpoint: Path | None) -> nn.Module:
    """A model with the weights of ``checkpoint``, by default its shipped weights, in eval mode.

    Raises:
        FileNotFoundError: if the shipped checkpoint is missing; the message says how to get it.
        ValueError: if there is no such model or file, or the weights belong to a different model.
    """
    recipe = recipes.recipe(name)
    model = recipe.make_model()
    state = checkpoints.read(checkpoint) if checkpoint else checkpoints.load(name)
    try:
        model.load_state_dict(recipe.unpack(state))
    except (KeyError, RuntimeError) as error:
        shipped = f"data/checkpoints/{name}.safetensors"
        fix = (
            "name the model that it belongs to"
            if checkpoint
            else f"git checkout -- {shipped} restores it"
        )
        raise ValueError(f"{checkpoint or shipped} does not fit the {name}: {fix}.") from error
    return model.eval()


def metrics_table(rows: MetricRows) -> Table:
    """A row per model and metric, a column per split, and a last column with the threshold and
    whether it is met.
    """
    splits = list(dict.fromkeys(row["split"] for row in rows))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    table.add_column("metric")
    for split in splits:
        # in two lines, to fit into 80 columns
        table.add_column("\n".join(split.rsplit("-", 1)), justify="right")
    table.add_column("threshold", justify="right")
    for name in dict.fromkeys(row["model"] for row in rows):
        by_split = {row["split"]: row for row in rows if row["model"] == name}
        metrics = dict.fromkeys(key for row in by_split.values() for key in row)
        for metric in [key for key in metrics if key not in ("model", "split", "examples")]:
            values = [
                f"{by_split[split][metric]:.3f}" if metric in by_split.get(split, {}) else ""
                for split in splits
            ]
            table.add_row(name, metric, *values, _compare_to_threshold(name, metric, by_split))
        table.add_section()
    return table


def _compare_to_threshold(name: str, metric: str, by_split: dict[str, dict[str, Any]]) -> str:
    for split, thresholds in recipes.recipe(name).thresholds.items():
        if metric in thresholds and metric in by_split.get(split, {}):
            met = by_split[split][metric] >= thresholds[metric]
            return f"{thresholds[metric]:.2f} " + ("[green]met[/]" if met else "[red]missed[/]")
    return ""
