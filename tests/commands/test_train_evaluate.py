"""``course train`` and ``course evaluate``: what they write and tell, how a run stops and goes on,
and their errors.
"""

import importlib.util
import io
import json
import sys

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from course_lib.assets import checkpoints, paths
from course_lib.cli import app
from course_lib.data import scenes
from course_lib.training import publish, recipes, resume
from course_lib.training import run as training_run
from course_lib.vision import classifier, tasks

CARD = {"command": "", "seed": 0, "data": "", "metrics": {}, "hardware": "", "minutes": 0}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The command in an empty folder, with epochs of four scenes and three test scenes of each
    split.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tasks, "EPOCH", 4)
    monkeypatch.setattr(publish, "TEST_EXAMPLES", 3)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture
def stops(monkeypatch):
    """Ctrl+C in the given step of the classifier's training."""
    right = classifier.loss

    def set_up(at):
        steps = iter(range(1, 1000))

        def loss(*arguments):
            if next(steps) == at:
                raise KeyboardInterrupt
            return right(*arguments)

        monkeypatch.setattr(classifier, "loss", loss)

    return set_up


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A checkout of its own to ship to, with the embedded data of the real one."""
    root, data = tmp_path / "clone", paths.data()
    for folder in ("data/checkpoints", "solutions"):
        (root / folder).mkdir(parents=True)
    for folder in data.iterdir():
        if folder.is_dir() and folder.name != "checkpoints":
            (root / "data" / folder.name).symlink_to(folder)
    (root / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "PACKAGE", root / "course_lib")
    return root


def said(result):
    return " ".join((result.output + result.stderr).split())


def test_train_writes_the_model_and_a_whole_card(course, tmp_path):
    result = course(
        "train", "classifier", "--epochs", 2, "--workers", 0, "--seed", 3, "--device", "cpu"
    )
    assert sorted(path.name for path in (tmp_path / "trained").iterdir()) == [
        "classifier.json",
        "classifier.safetensors",
    ]
    card = json.loads((tmp_path / "trained" / "classifier.json").read_text())
    assert card["command"] == "course train classifier --epochs 2 --seed 3 --workers 0 --device cpu"
    assert card["seed"] == 3 and card["epochs"] == 2 and card["images seen"] == 8
    assert (
        list(card["metrics"]) == list(scenes.SPLITS)
        and "top1" in card["metrics"]["new-backgrounds"]
    )
    assert card["data"]["test examples"] == dict.fromkeys(scenes.SPLITS, 3) and "note" not in card
    for word in (
        "images/s",
        "loss=",
        "trained/classifier.safetensors",
        "top1",
        "0.99",
    ):
        assert word in said(result)


def test_what_was_stopped_is_kept_and_goes_on(course, tmp_path, stops):
    stops(at=2)
    result = course("train", "classifier", "--epochs", 3, "--workers", 0, code=130)
    assert "Stopped after 1 of 3 epochs" in said(
        result
    ) and "Kept: trained/classifier.safetensors" in said(result)
    on = (
        "course train classifier --epochs 3 --seed 0 --workers 0 --resume trained/classifier.resume"
    )
    assert on in said(result)
    card = json.loads((tmp_path / "trained" / "classifier.json").read_text())
    assert card["metrics"] == {} and "stopped after 1 of 3 epochs" in card["note"]
    # not begun anew unasked
    assert "classifier.resume" in said(course("train", "classifier", "--epochs", 3, code=1))
    assert "3 steps, not 4" in said(
        course("train", "classifier", "--epochs", 4, "--resume", on.split()[-1], code=1)
    )
    stops(at=3)
    course(*on.split()[1:])
    assert not (tmp_path / "trained" / "classifier.resume").exists()
    card = json.loads((tmp_path / "trained" / "classifier.json").read_text())
    assert card["epochs"] == 3 and card["metrics"] and "note" not in card


def test_stopped_before_the_first_epoch_ends_there_is_nothing_to_resume(course, stops):
    stops(at=1)
    result = course("train", "classifier", "--epochs", 3, "--workers", 0, code=130)
    assert "Kept: trained/classifier.safetensors" in said(result) and "--resume" not in said(result)


def test_stopped_while_it_is_measured_the_training_is_not_lost(course, monkeypatch, tmp_path):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    right = tasks.evaluate
    for more, folder in (((), "trained"), (("--without", "noto"), "trained/without-noto")):
        monkeypatch.setattr(tasks, "evaluate", stop)
        asked = ("train", "classifier", "--epochs", 1, "--workers", 0, *more)
        result = course(*asked, code=130)
        assert "Stopped before it was measured. To go on: course train classifier" in said(result)
        assert "--resume trained/classifier.resume" in said(result)
        monkeypatch.setattr(tasks, "evaluate", right)
        course(*asked, "--resume", "trained/classifier.resume")
        assert (tmp_path / folder / "classifier.safetensors").exists()


def test_a_loss_that_is_no_number_ends_in_a_sentence(course, monkeypatch):
    monkeypatch.setattr(
        classifier, "loss", lambda model, images, *truth: model(images).sum() * torch.nan
    )
    failed = course("train", "classifier", "--epochs", 1, "--workers", 0, code=1)
    assert "course: The loss became nan: try a smaller learning_rate." in said(failed)


def test_all_trains_one_after_the_other_and_a_stop_stops_all(course, monkeypatch):
    asked = []

    def train(run):
        asked.append(run.name)
        return training_run.Done(len(asked) < 3, (f"did {run.name}",), [])

    monkeypatch.setattr(training_run.Run, "train", train)
    assert recipes.names()[:5] == list(tasks.LEVELS)
    assert "did detector" in said(course("train", "all", code=130))
    assert asked == ["classifier", "localizer", "detector"]


def test_ship_replaces_the_checkouts_own_and_its_checksum(course, monkeypatch, clone):
    monkeypatch.setattr(tasks, "evaluate", lambda *arguments: {"top1": 0.12345})
    torch.manual_seed(0)
    model = classifier.Classifier()
    facts = {"epochs": 1, "seed": 0, "minutes": 0.123, "images": 4}
    path = publish.ship("classifier", model, **facts, extra={"more": 1}, threads=2)
    assert path == clone / "data" / "checkpoints" / "classifier.safetensors"
    card = checkpoints.card("classifier")
    assert (
        card["command"] == "course train classifier --epochs 1 --seed 0 --ship"
        and card["more"] == 1
    )
    assert card["metrics"]["seen"] == {"top1": 0.1235} and card["minutes"] == 0.1
    assert card["hardware"].endswith("2 threads")
    sums = json.loads((clone / "data" / "checksums.json").read_text())
    assert {"checkpoints/classifier.safetensors", "checkpoints/classifier.json"} <= set(sums)
    # What is known of styles left out is of the design, and stays when its model is replaced.
    publish.add_style("classifier", "noto", {"top1": 0.5}, epochs=4, command="course train")
    publish.ship("classifier", model, **facts)
    metrics = checkpoints.card("classifier")["metrics"]
    assert metrics[publish.STYLES] == {
        "noto": {"top1": 0.5, "epochs": 4, "command": "course train"}
    }
    assert list(metrics) == [*scenes.SPLITS, publish.STYLES] and "more" not in checkpoints.card(
        "classifier"
    )


def test_another_cycle_begins_with_given_weights(course, tmp_path):
    course("train", "classifier", "--epochs", 1, "--workers", 0)
    first = checkpoints.read(tmp_path / "trained" / "classifier.safetensors")
    again = (
        "--start",
        "trained/classifier.safetensors",
        "--epochs",
        3,
        "--workers",
        0,
        "--seed",
        1,
        "--out",
        "more",
    )
    course("train", "classifier", *again)
    second = checkpoints.read(tmp_path / "more" / "classifier.safetensors")
    card = json.loads((tmp_path / "more" / "classifier.json").read_text())
    assert "--start trained/classifier.safetensors" in card["command"]
    # Three steps: near where it began, and not where another seed would have begun.
    weights = "backbone.stages.0.0.weight"
    assert 0 < (first[weights] - second[weights]).abs().mean() < 0.1 * first[weights].abs().mean()
    refused = course("train", "detector", "--start", "trained/classifier.safetensors", code=1)
    assert "does not fit the detector: name the model" in said(refused)


def test_a_card_tells_of_all_cycles_that_made_its_model(course, tmp_path, stops):
    weights, path = "trained/classifier.safetensors", tmp_path / "trained" / "classifier.json"
    course("train", "classifier", "--epochs", 1, "--workers", 0, "--seed", 5)
    first = json.loads(path.read_text())
    path.write_text(json.dumps(first | {"minutes": 7.0}))
    second = ("--epochs", 3, "--workers", 0, "--seed", 6, "--start", weights)
    stops(at=2)
    # which replaces the weights that it began with
    stopped = course("train", "classifier", *second, code=130)
    command = "course train classifier --epochs 3 --seed 6 --workers 0 --start trained/classifier.safetensors"
    assert f"To go on: {command} --resume trained/classifier.resume" in said(stopped)
    card = json.loads(path.read_text())
    assert (card["epochs"], card["command"]) == (2, f"{first['command']} && {command}")
    course("train", "classifier", *second, "--resume", "trained/classifier.resume")
    card = json.loads(path.read_text())
    assert (card["epochs"], card["images seen"], card["seed"]) == (4, 16, 5) and 7 <= card[
        "minutes"
    ] < 8
    assert card["command"] == f"{first['command']} && {command}" and "began with" not in card
    course(
        "train", "classifier", "--epochs", 1, "--workers", 0, "--start", weights, "--out", "more"
    )
    last = json.loads((tmp_path / "more" / "classifier.json").read_text())
    third = f"course train classifier --epochs 1 --seed 0 --workers 0 --start {weights} --out more"
    assert last["epochs"] == 5 and last["command"] == f"{card['command']} && {third}"


def test_weights_without_a_card_and_with_a_wrong_one(course, tmp_path):
    course("train", "classifier", "--epochs", 1, "--workers", 0)
    again = ("train", "classifier", "--epochs", 1, "--workers", 0, "--out", "more")
    path = tmp_path / "trained" / "classifier.json"
    for wrong in ("no card", "[]", '{"command": "make"}'):
        path.write_text(wrong)
        refused = course(*again, "--start", "trained/classifier.safetensors", code=1)
        assert "classifier.json is no card of course train: move it away" in said(refused)
    path.unlink()
    course(*again, "--start", "trained/classifier.safetensors")
    card = json.loads((tmp_path / "more" / "classifier.json").read_text())
    assert card["epochs"] == 1 and "&&" not in card["command"]


def test_a_card_says_when_its_model_began_with_a_stopped_one(course, tmp_path, stops):
    stops(at=2)
    course("train", "classifier", "--epochs", 3, "--workers", 0, code=130)
    weights = "trained/classifier.safetensors"
    course(
        "train", "classifier", "--epochs", 1, "--workers", 0, "--start", weights, "--out", "more"
    )
    card = json.loads((tmp_path / "more" / "classifier.json").read_text())
    assert card["epochs"] == 2 and "stopped after 1 of 3 epochs" in card["began with"]["note"]


def test_a_style_is_left_out_and_tested_on(course, monkeypatch, tmp_path):
    asked = []
    right = scenes.loader
    monkeypatch.setattr(
        scenes, "loader", lambda *a, **k: asked.append(k["styles"]) or right(*a, **k)
    )
    result = course("train", "classifier", "--epochs", 1, "--workers", 0, "--without", "noto")
    assert asked == [["fluent", "twemoji"]] and "top1" in said(result)
    card = json.loads((tmp_path / "trained" / "without-noto" / "classifier.json").read_text())
    assert "trained without noto" in card["note"] and "--without noto" in card["command"]
    assert card["data"]["styles"] == ["fluent", "twemoji"]
    assert "leave one of fluent, noto, twemoji out" in said(
        course("train", "classifier", "--without", "x", code=1)
    )


def test_what_a_style_left_out_costs_goes_on_the_shipped_card(course, clone):
    torch.manual_seed(0)
    facts = {"epochs": 1, "seed": 0, "minutes": 0.1, "images": 4, "count": 0}
    publish.ship("classifier", classifier.Classifier(), **facts)
    before = checkpoints.load("classifier")
    told = course(
        "train", "classifier", "--epochs", 2, "--workers", 0, "--without", "noto", "--ship"
    )
    assert "Its figures are on the shipped card" in said(told)
    (style,) = checkpoints.card("classifier")["metrics"][publish.STYLES].items()
    assert style[0] == "noto" and set(style[1]) == {
        "top1",
        "top1_trained_styles",
        "epochs",
        "command",
    }
    assert style[1]["epochs"] == 2
    assert (
        style[1]["command"]
        == "course train classifier --epochs 2 --seed 0 --workers 0 --without noto --ship"
    )
    for name, value in checkpoints.load("classifier").items():
        assert torch.equal(value, before[name]), "the shipped weights stay"


def test_the_card_measures_the_weights_as_they_are_stored(tmp_path):
    torch.manual_seed(0)
    model = classifier.Classifier()
    checkpoints.save("classifier", model.state_dict(), CARD, tmp_path)
    read = checkpoints.read(tmp_path / "classifier.safetensors")
    for name, value in publish.as_stored("classifier", model).state_dict().items():
        assert torch.equal(value, read[name]), name


def test_only_a_checkout_ships(course, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: None)
    assert "clone" in said(course("train", "classifier", "--ship", code=1))
    with pytest.raises(ValueError, match="give a folder"):
        publish.ship("classifier", classifier.Classifier(), epochs=1, seed=0, minutes=1.0, images=1)


def test_train_refuses_with_a_sentence(course, tmp_path, monkeypatch):
    assert "There is no model 'sorter': choose one of classifier" in said(
        course("train", "sorter", code=1)
    )
    assert "'gpu' cannot be used here: choose cpu" in said(
        course("train", "classifier", "--device", "gpu", code=1)
    )
    assert "name it instead of all" in said(course("train", "all", "--resume", "x", code=1))
    assert "x is not there" in said(course("train", "classifier", "--resume", "x", code=1))
    (tmp_path / "x").write_text("no run")
    assert "x is no run of course train" in said(
        course("train", "classifier", "--resume", "x", code=1)
    )
    other = tasks.LEVELS["segmenter"].model()
    (tmp_path / "x").unlink()
    resume.write(tmp_path / "x", {"model": other.state_dict()})
    assert "x is not a run of the classifier" in said(
        course("train", "classifier", "--resume", "x", code=1)
    )
    for rate in (0, -0.1):
        refused = said(course("train", "classifier", "--learning-rate", rate, code=1))
        assert (
            f"The learning rate is {float(rate)}: give --learning-rate a number above 0" in refused
        )
    (tmp_path / "file").touch()
    assert "file" in said(course("train", "classifier", "--out", "file", code=1))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "uv sync --extra metrics" in said(course("train", "classifier", code=1))


@pytest.fixture
def random_segmenter(tmp_path):
    torch.manual_seed(0)
    return checkpoints.save(
        "segmenter", tasks.LEVELS["segmenter"].model().state_dict(), CARD, tmp_path
    )


def test_evaluate_for_machines(course, random_segmenter):
    """The file's name says which model it is; one object per split, and nothing else is printed."""
    told = json.loads(
        course("evaluate", "--checkpoint", random_segmenter, "--count", 2, "--json").stdout
    )
    assert [(entry["model"], entry["split"], entry["examples"]) for entry in told] == [
        ("segmenter", split, 2) for split in scenes.SPLITS
    ]
    assert set(told[1]) == {"model", "split", "examples", "miou", "iou_any_class"}
    assert "miou" not in told[3]  # nobody can name what was never learned
    options = ("--split", "seen", "--count", 2, "--json")
    assert (
        json.loads(
            course("evaluate", "segmenter", "--checkpoint", random_segmenter, *options).stdout
        )
        == told[:1]
    )


def test_evaluate_for_people(course, random_segmenter):
    result = course("evaluate", "segmenter", "--checkpoint", random_segmenter, "--count", 2)
    assert "miou" in result.output and "0.90 missed" in result.output


def test_evaluate_loads_what_is_shipped(course, monkeypatch):
    monkeypatch.setattr(
        checkpoints, "load", lambda name: recipes.family(name).model(name).state_dict()
    )
    told = json.loads(
        course(
            "evaluate", "classifier", "localizer", "--split", "seen", "--count", 2, "--json"
        ).stdout
    )
    assert [entry["model"] for entry in told] == ["classifier", "localizer"] and "box_iou" in told[
        1
    ]
    monkeypatch.setattr(checkpoints, "load", lambda name: {})
    broken, file = (
        course("evaluate", "classifier", "--count", 1, code=1),
        "data/checkpoints/classifier.safetensors",
    )
    assert f"{file} does not fit the classifier: git checkout -- {file} brings it back" in said(
        broken
    )


def test_evaluate_without_a_name_measures_what_is_shipped(course, monkeypatch):
    monkeypatch.setattr(checkpoints, "shipped", lambda name: name == "localizer")
    told = json.loads(course("evaluate", "--split", "seen", "--count", 2, "--json").stdout)
    assert [entry["model"] for entry in told] == ["localizer"]


def test_the_table_fits_80_columns_and_judges_only_on_new_backgrounds():
    figures = [
        {
            "model": "detector",
            "split": split,
            "examples": 5,
            "map": 0.81,
            "map50": 0.97,
            "map75_any_class": 0.5,
        }
        for split in scenes.SPLITS
    ]

    def printed(entries):
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(training_run.figures_table(entries))
        return console.export_text()

    text = printed(figures)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert "0.80 met" in text and "0.98 missed" in text
    assert "met" not in printed(figures[:1]).replace("metric", "")


def test_evaluate_refuses_with_a_sentence(course, random_segmenter, tmp_path, monkeypatch):
    assert "There is no model 'sorter'" in said(course("evaluate", "sorter", code=1))
    assert "There is no split 'old': choose one of seen" in said(
        course("evaluate", "--split", "old", code=1)
    )
    assert "is one model: say which" in said(
        course("evaluate", "detector", "segmenter", "--checkpoint", random_segmenter, code=1)
    )
    assert "does not fit the detector" in said(
        course("evaluate", "detector", "--checkpoint", random_segmenter, code=1)
    )
    assert "is not there" in said(
        course("evaluate", "detector", "--checkpoint", tmp_path / "none", code=1)
    )
    (tmp_path / "text").write_text("no tensors")
    assert "no safetensors file" in said(
        course("evaluate", "detector", "--checkpoint", tmp_path / "text", code=1)
    )
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    missing = course("evaluate", "--checkpoint", random_segmenter, "--count", 1, code=1)
    assert "pip install torchmetrics pycocotools" in said(missing)
