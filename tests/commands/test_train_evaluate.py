"""``course train`` and ``course evaluate``: their files, output and error messages; interrupting
and resuming.
"""

import importlib.util
import io
import json
import shlex
import sys

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from course_lib.assets import checkpoints, paths
from course_lib.cli import app
from course_lib.data import scenes
from course_lib.diffusion import judge_training
from course_lib.training import publish, recipes, resume
from course_lib.training import run as training_run
from course_lib.training.evaluate import metrics_table
from course_lib.vision import classifier, tasks

CARD = {"command": "", "seed": 0, "data": "", "metrics": {}, "hardware": "", "minutes": 0}
TRAIN = ("train", "classifier", "--workers", 0)
WEIGHTS = "trained/classifier.safetensors"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A function that runs a command in an empty folder, with four scenes per epoch and three test
    scenes per split.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tasks, "EXAMPLES_PER_EPOCH", 4)
    monkeypatch.setattr(publish, "TEST_EXAMPLES", 3)

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        error = result.exception
        assert error is None or isinstance(error, SystemExit), error
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture
def interrupt(monkeypatch):
    """A function that makes the classifier's training raise KeyboardInterrupt in a given step."""
    original_loss = classifier.loss

    def set_up(at):
        steps = iter(range(1, 1000))

        def loss(*arguments):
            if next(steps) == at:
                raise KeyboardInterrupt
            return original_loss(*arguments)

        monkeypatch.setattr(classifier, "loss", loss)

    return set_up


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A checkout for --ship, with links to the bundled data of the real checkout."""
    root, data = tmp_path / "clone", paths.data_path()
    for folder in ("data/checkpoints", "solutions"):
        (root / folder).mkdir(parents=True)
    for folder in data.iterdir():
        if folder.is_dir() and folder.name != "checkpoints":
            (root / "data" / folder.name).symlink_to(folder)
    (root / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "PACKAGE", root / "course_lib")
    return root


def output(result):
    return " ".join((result.output + result.stderr).split())


def read_json(path):
    return json.loads(path.read_text())


def test_train_writes_the_model_and_a_complete_card(course, tmp_path):
    result = course(*TRAIN, "--epochs", 2, "--seed", 3, "--device", "cpu")
    assert sorted(path.name for path in (tmp_path / "trained").iterdir()) == [
        "classifier.json",
        "classifier.safetensors",
    ]
    card = read_json(tmp_path / "trained" / "classifier.json")
    assert card["command"] == "course train classifier --epochs 2 --seed 3 --workers 0 --device cpu"
    assert card["seed"] == 3 and card["epochs"] == 2 and card["images seen"] == 8
    assert list(card["metrics"]) == list(scenes.SPLITS)
    assert "top1" in card["metrics"]["new-backgrounds"]
    assert card["data"]["test examples"] == dict.fromkeys(scenes.SPLITS, 3) and "note" not in card
    for word in ("images/s", "loss=", "trained/classifier.safetensors", "top1", "0.99"):
        assert word in output(result)


@pytest.mark.extended
def test_other_recipes_take_the_same_options(course, tmp_path, monkeypatch):
    monkeypatch.setattr(judge_training, "EXAMPLES_PER_EPOCH", judge_training.BATCH)
    monkeypatch.setattr(publish, "TEST_EXAMPLES", 2)
    course("train", "judge", "--epochs", 1, "--workers", 0, "--learning-rate", 0.001)
    again = ("--start", "trained/judge.safetensors", "--out", "more")
    course("train", "judge", "--epochs", 1, "--workers", 0, *again)
    card = read_json(tmp_path / "more" / "judge.json")
    assert card["epochs"] == 2 and card["images seen"] == 2 * judge_training.BATCH
    assert list(card["metrics"]) == list(judge_training.TEST_SPLITS)
    assert "--learning-rate 0.001" in card["command"]


def test_batch_size_sets_the_number_of_steps(course, tmp_path):
    course(*TRAIN, "--epochs", 1, "--batch-size", 2, "--device", "cpu", "--bfloat16")
    card = read_json(tmp_path / "trained" / "classifier.json")
    assert "--batch-size 2 --bfloat16" in card["command"] and card["images seen"] == 4


def test_interrupted_run_is_saved_and_resumed(course, tmp_path, interrupt):
    interrupt(at=2)
    printed = output(course(*TRAIN, "--epochs", 3, code=130))
    assert "Stopped after 1 of 3 epochs" in printed
    assert "Saved: trained/classifier.safetensors" in printed
    command = (
        "course train classifier --epochs 3 --seed 0 --workers 0 --resume trained/classifier.resume"
    )
    assert command in printed
    card = read_json(tmp_path / "trained" / "classifier.json")
    assert card["metrics"] == {} and "stopped after 1 of 3 epochs" in card["note"]
    # Without --resume, an unfinished run is not overwritten.
    refused = course("train", "classifier", "--epochs", 3, code=1)
    assert "classifier.resume" in output(refused)
    refused = course(
        "train", "classifier", "--epochs", 4, "--resume", "trained/classifier.resume", code=1
    )
    assert "3 steps, not 4" in output(refused)
    interrupt(at=3)
    course(*command.split()[1:])
    assert not (tmp_path / "trained" / "classifier.resume").exists()
    card = read_json(tmp_path / "trained" / "classifier.json")
    assert card["epochs"] == 3 and card["metrics"] and "note" not in card


def test_printed_command_works_for_a_folder_with_spaces(course, tmp_path, interrupt):
    interrupt(at=2)
    result = course(*TRAIN, "--epochs", 2, "--out", "my models", code=130)
    _, _, command = output(result).partition("To resume it: ")
    words = shlex.split(command)
    assert words[-2:] == ["--resume", "my models/classifier.resume"]
    interrupt(at=999)
    course(*words[1:])
    assert (tmp_path / "my models" / "classifier.safetensors").exists()


def test_interrupted_in_the_first_epoch_there_is_nothing_to_resume(course, interrupt):
    interrupt(at=1)
    printed = output(course(*TRAIN, "--epochs", 3, code=130))
    assert "Saved: trained/classifier.safetensors" in printed and "--resume" not in printed


@pytest.mark.parametrize(
    "options, folder", [((), "trained"), (("--without", "noto"), "trained/without-noto")]
)
@pytest.mark.extended
def test_interrupted_evaluation_does_not_lose_the_training(
    course, monkeypatch, tmp_path, options, folder
):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    arguments = (*TRAIN, "--epochs", 1, *options)
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "evaluate", interrupted)
        printed = output(course(*arguments, code=130))
    assert "Stopped before it was evaluated. To resume it: course train classifier" in printed
    assert "--resume trained/classifier.resume" in printed
    course(*arguments, "--resume", "trained/classifier.resume")
    assert (tmp_path / folder / "classifier.safetensors").exists()


def test_nan_loss_ends_in_one_sentence(course, monkeypatch):
    monkeypatch.setattr(
        classifier, "loss", lambda model, images, *targets: model(images).sum() * torch.nan
    )
    failed = course(*TRAIN, "--epochs", 1, code=1)
    assert "course: The loss became nan: try a smaller learning_rate." in output(failed)


def test_train_all_runs_in_order_and_an_interruption_stops_all(course, monkeypatch):
    trained = []

    def train(run):
        trained.append(run.name)
        return training_run.RunResult(len(trained) < 3, (f"trained {run.name}",), [])

    monkeypatch.setattr(training_run.Run, "train", train)
    others = ["autoencoder", "judge", "denoiser", "tiny-sd"]
    lesson_8 = ["flow", "one-step", "dit", "controlnet"]
    assert recipes.names() == [*tasks.MODELS, *others, *lesson_8]
    assert "trained detector" in output(course("train", "all", code=130))
    assert trained == ["classifier", "localizer", "detector"]


def test_ship_replaces_the_checkpoint_and_its_checksum(course, monkeypatch, clone):
    monkeypatch.setattr(tasks, "evaluate", lambda *arguments: {"top1": 0.12345})
    torch.manual_seed(0)
    model = classifier.Classifier()
    options = {"epochs": 1, "seed": 0, "minutes": 0.123, "examples_seen": 4}
    path = publish.save_with_card(
        "classifier", model, **options, extra_entries={"more": 1}, threads=2
    )
    assert path == clone / "data" / "checkpoints" / "classifier.safetensors"
    card = checkpoints.read_card("classifier")
    assert card["command"] == "course train classifier --epochs 1 --seed 0 --ship"
    assert card["more"] == 1
    assert card["metrics"]["seen"] == {"top1": 0.1235} and card["minutes"] == 0.1
    assert card["hardware"].endswith("2 threads")
    sums = read_json(clone / "data" / "checksums.json")
    assert {"checkpoints/classifier.safetensors", "checkpoints/classifier.json"} <= set(sums)
    # Entries of held-out styles describe the recipe: they stay when the shipped model is replaced.
    publish.add_held_out_style(
        "classifier", "noto", {"top1": 0.5}, epochs=4, command="course train"
    )
    publish.save_with_card("classifier", model, **options)
    card = checkpoints.read_card("classifier")
    assert card["metrics"][publish.HELD_OUT_STYLES] == {
        "noto": {"top1": 0.5, "epochs": 4, "command": "course train"}
    }
    assert list(card["metrics"]) == [*scenes.SPLITS, publish.HELD_OUT_STYLES]
    assert "more" not in card


@pytest.mark.extended
def test_start_trains_from_given_weights(course, tmp_path):
    course(*TRAIN, "--epochs", 1)
    first = checkpoints.read(tmp_path / "trained" / "classifier.safetensors")
    course(*TRAIN, "--start", WEIGHTS, "--epochs", 3, "--seed", 1, "--out", "more")
    second = checkpoints.read(tmp_path / "more" / "classifier.safetensors")
    card = read_json(tmp_path / "more" / "classifier.json")
    assert f"--start {WEIGHTS}" in card["command"]
    # After three steps the weights are near the initial ones; a different seed's would be far away.
    weights = "backbone.stages.0.0.weight"
    assert 0 < (first[weights] - second[weights]).abs().mean() < 0.1 * first[weights].abs().mean()
    refused = course("train", "detector", "--start", WEIGHTS, code=1)
    assert "does not fit the detector: name the model" in output(refused)


@pytest.mark.extended
def test_card_covers_all_training_cycles(course, tmp_path, interrupt):
    path = tmp_path / "trained" / "classifier.json"
    course(*TRAIN, "--epochs", 1, "--seed", 5)
    first = read_json(path)
    path.write_text(json.dumps(first | {"minutes": 7.0}))
    second = (*TRAIN, "--epochs", 3, "--seed", 6, "--start", WEIGHTS)
    interrupt(at=2)
    # This overwrites the weights from which the run started.
    stopped = course(*second, code=130)
    command = f"course train classifier --epochs 3 --seed 6 --workers 0 --start {WEIGHTS}"
    assert f"To resume it: {command} --resume trained/classifier.resume" in output(stopped)
    card = read_json(path)
    assert (card["epochs"], card["command"]) == (2, f"{first['command']} && {command}")
    course(*second, "--resume", "trained/classifier.resume")
    card = read_json(path)
    assert (card["epochs"], card["images seen"], card["seed"]) == (4, 16, 5)
    assert 7 <= card["minutes"] < 8
    assert card["command"] == f"{first['command']} && {command}" and "began with" not in card
    course(*TRAIN, "--epochs", 1, "--start", WEIGHTS, "--out", "more")
    last = read_json(tmp_path / "more" / "classifier.json")
    third = f"course train classifier --epochs 1 --seed 0 --workers 0 --start {WEIGHTS} --out more"
    assert last["epochs"] == 5 and last["command"] == f"{card['command']} && {third}"


@pytest.mark.extended
def test_start_without_a_card_and_with_an_invalid_one(course, tmp_path):
    course(*TRAIN, "--epochs", 1)
    arguments = (*TRAIN, "--epochs", 1, "--out", "more", "--start", WEIGHTS)
    path = tmp_path / "trained" / "classifier.json"
    for invalid in ("no card", "[]", '{"command": "make"}'):
        path.write_text(invalid)
        refused = course(*arguments, code=1)
        assert "classifier.json is not a card of course train: move it away" in output(refused)
    path.unlink()
    course(*arguments)
    card = read_json(tmp_path / "more" / "classifier.json")
    assert card["epochs"] == 1 and "&&" not in card["command"]


def test_card_names_an_interrupted_run_as_its_start(course, tmp_path, interrupt):
    interrupt(at=2)
    course(*TRAIN, "--epochs", 3, code=130)
    course(*TRAIN, "--epochs", 1, "--start", WEIGHTS, "--out", "more")
    card = read_json(tmp_path / "more" / "classifier.json")
    assert card["epochs"] == 2 and "stopped after 1 of 3 epochs" in card["began with"]["note"]


@pytest.mark.extended
def test_without_trains_on_other_styles_and_evaluates_on_this_one(course, monkeypatch, tmp_path):
    styles = []
    original_loader = scenes.loader

    def loader(*arguments, **options):
        styles.append(options["styles"])
        return original_loader(*arguments, **options)

    monkeypatch.setattr(scenes, "loader", loader)
    result = course(*TRAIN, "--epochs", 1, "--without", "noto")
    assert styles == [["fluent", "twemoji"]] and "top1" in output(result)
    card = read_json(tmp_path / "trained" / "without-noto" / "classifier.json")
    assert "trained without noto" in card["note"] and "--without noto" in card["command"]
    assert card["data"]["styles"] == ["fluent", "twemoji"]
    refused = course("train", "classifier", "--without", "x", code=1)
    assert "give --without one of fluent, noto, twemoji" in output(refused)
    refused = course("train", "judge", "--without", "noto", code=1)
    assert "The judge has no training styles: leave out" in output(refused)


def test_without_and_ship_add_to_the_shipped_card(course, clone):
    torch.manual_seed(0)
    options = {"epochs": 1, "seed": 0, "minutes": 0.1, "examples_seen": 4, "test_examples": 0}
    publish.save_with_card("classifier", classifier.Classifier(), **options)
    before = checkpoints.load("classifier")
    result = course(*TRAIN, "--epochs", 2, "--without", "noto", "--ship")
    assert "Its metrics are on the shipped card" in output(result)
    entries = checkpoints.read_card("classifier")["metrics"][publish.HELD_OUT_STYLES]
    assert list(entries) == ["noto"]
    assert set(entries["noto"]) == {"top1", "top1_trained_styles", "epochs", "command"}
    assert entries["noto"]["epochs"] == 2
    command = "course train classifier --epochs 2 --seed 0 --workers 0 --without noto --ship"
    assert entries["noto"]["command"] == command
    for name, value in checkpoints.load("classifier").items():
        assert torch.equal(value, before[name]), "the shipped weights must not change"


def test_metrics_use_the_weights_rounded_to_half_precision(tmp_path):
    torch.manual_seed(0)
    model = classifier.Classifier()
    checkpoints.save("classifier", model.state_dict(), CARD, tmp_path)
    stored = checkpoints.read(tmp_path / "classifier.safetensors")
    for name, value in publish.round_trip_fp16("classifier", model).state_dict().items():
        assert torch.equal(value, stored[name]), name


def test_ship_needs_a_checkout(course, monkeypatch):
    monkeypatch.setattr(paths, "checkout", lambda: None)
    assert "clone" in output(course("train", "classifier", "--ship", code=1))
    with pytest.raises(ValueError, match="give a folder"):
        publish.save_with_card(
            "classifier", classifier.Classifier(), epochs=1, seed=0, minutes=1.0, examples_seen=1
        )


def test_train_refuses_invalid_options(course, tmp_path, monkeypatch):
    def refused(*arguments):
        return output(course("train", *arguments, code=1))

    assert "There is no model 'sorter': choose one of classifier" in refused("sorter")
    unusable = refused("classifier", "--device", "gpu")
    assert "'gpu' cannot be used here: choose cpu" in unusable
    assert "name it instead of all" in refused("all", "--resume", "x")
    for rate in (0, -0.1):
        assert (
            f"The learning rate is {float(rate)}: give --learning-rate a number above 0"
            in refused("classifier", "--learning-rate", rate)
        )
    assert "has no decoder: leave out --decoder-only" in refused("classifier", "--decoder-only")
    (tmp_path / "file").touch()
    assert "file" in refused("classifier", "--out", "file")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "uv sync --extra metrics" in refused("classifier")


def test_resume_refuses_what_is_not_a_run_of_this_model(course, tmp_path):
    def refused():
        return output(course("train", "classifier", "--resume", "x", code=1))

    assert "x does not exist" in refused()
    (tmp_path / "x").write_text("no run")
    assert "x is not a run of course train" in refused()
    (tmp_path / "x").write_text('{"parts": ["x.a.0"], "bytes": 1}')  # an earlier format
    assert "x is not a run of course train" in refused()
    segmenter = tasks.make_model("segmenter")
    resume.write(tmp_path / "x", {"model": segmenter.state_dict()})
    assert "x is not a run of the classifier" in refused()


@pytest.fixture
def random_segmenter(tmp_path):
    torch.manual_seed(0)
    model = tasks.make_model("segmenter")
    return checkpoints.save("segmenter", model.state_dict(), CARD, tmp_path)


def test_evaluate_prints_json(course, random_segmenter):
    """The file name selects the model; the output is one object per split, without other text."""
    arguments = ("--checkpoint", random_segmenter, "--count", 2, "--json")
    rows = json.loads(course("evaluate", *arguments).stdout)
    assert [(row["model"], row["split"], row["examples"]) for row in rows] == [
        ("segmenter", split, 2) for split in scenes.SPLITS
    ]
    assert set(rows[1]) == {"model", "split", "examples", "miou", "iou_any_class"}
    assert "miou" not in rows[3]  # unseen classes can't be named
    one_split = course("evaluate", "segmenter", "--split", "seen", *arguments)
    assert json.loads(one_split.stdout) == rows[:1]


def test_evaluate_prints_a_table(course, random_segmenter):
    result = course("evaluate", "segmenter", "--checkpoint", random_segmenter, "--count", 2)
    assert "miou" in result.output and "0.90 missed" in result.output


def test_evaluate_loads_shipped_models(course, monkeypatch):
    monkeypatch.setattr(
        checkpoints, "load", lambda name: recipes.recipe(name).make_model().state_dict()
    )
    options = ("--split", "seen", "--count", 2, "--json")
    rows = json.loads(course("evaluate", "classifier", "localizer", *options).stdout)
    assert [row["model"] for row in rows] == ["classifier", "localizer"]
    assert "box_iou" in rows[1]
    monkeypatch.setattr(checkpoints, "load", lambda name: {})
    broken = course("evaluate", "classifier", "--count", 1, code=1)
    file = "data/checkpoints/classifier.safetensors"
    assert f"{file} does not fit the classifier: git checkout -- {file} restores it" in output(
        broken
    )


def test_evaluate_without_names_measures_all_shipped_models(course, monkeypatch):
    monkeypatch.setattr(checkpoints, "is_shipped", lambda name: name == "localizer")
    rows = json.loads(course("evaluate", "--split", "seen", "--count", 2, "--json").stdout)
    assert [row["model"] for row in rows] == ["localizer"]


def test_table_fits_80_columns_and_compares_only_splits_with_thresholds():
    metrics = {"map": 0.81, "map50": 0.97, "map75_any_class": 0.5}
    rows = [
        {"model": "detector", "split": split, "examples": 5, **metrics} for split in scenes.SPLITS
    ]

    def render(rows):
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(metrics_table(rows))
        return console.export_text()

    text = render(rows)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert "0.80 met" in text and "0.98 missed" in text
    assert "met" not in render(rows[:1]).replace("metric", "")


def test_evaluate_refuses_invalid_options(course, random_segmenter, tmp_path, monkeypatch):
    def refused(*arguments):
        return output(course("evaluate", *arguments, code=1))

    segmenter = ("--checkpoint", random_segmenter)
    assert "There is no model 'sorter'" in refused("sorter")
    assert "There is no split 'old': choose one of seen" in refused("--split", "old")
    assert "holds one model: name it" in refused("detector", "segmenter", *segmenter)
    assert "does not fit the detector" in refused("detector", *segmenter)
    assert "does not exist" in refused("detector", "--checkpoint", tmp_path / "none")
    (tmp_path / "text").write_text("no tensors")
    assert "not a safetensors file" in refused("detector", "--checkpoint", tmp_path / "text")
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    missing = refused(*segmenter, "--count", 1)
    assert "pip install torchmetrics pycocotools" in missing
