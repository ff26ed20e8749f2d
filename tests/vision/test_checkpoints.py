"""The shipped vision models reach their thresholds, and evaluation reproduces their cards."""

import re

import pytest

from course_lib.assets import checkpoints, paths
from course_lib.data import scenes, sprites
from course_lib.training import publish
from course_lib.vision import tasks


@pytest.mark.parametrize("name", tasks.MODELS)
def test_card_is_complete_and_reaches_the_thresholds(name):
    card = checkpoints.read_card(name)
    held_out_styles = card["metrics"].pop(publish.HELD_OUT_STYLES, {})
    assert set(held_out_styles) == (set(sprites.styles()) if name == "classifier" else set())
    for style, result in held_out_styles.items():
        assert set(result) == {"top1", "top1_trained_styles", "epochs", "command"}
        assert f"--epochs {result['epochs']}" in result["command"]
        assert f"--without {style}" in result["command"]
    assert list(card["metrics"]) == list(scenes.SPLITS)
    assert card["command"].startswith(f"course train {name} ")
    assert f"--seed {card['seed']}" in card["command"]
    assert card["data"]["split"] == "seen"
    assert card["data"]["test examples"] == dict.fromkeys(scenes.SPLITS, publish.TEST_EXAMPLES)
    assert card["data"]["styles"] and card["minutes"] > 0 and card["hardware"] and card["torch"]
    assert card["images seen"] == card["epochs"] * tasks.EXAMPLES_PER_EPOCH
    cycles = [int(epochs) for epochs in re.findall(r"--epochs (\d+)", card["command"])]
    assert sum(cycles) == card["epochs"] and cycles[0] == tasks.get_task(name).epochs
    parameters = tasks.load(name).parameters()
    assert card["parameters"] == sum(parameter.numel() for parameter in parameters)
    max_mib = 2 if name in tasks.LEVELS else 4
    path = paths.data_path("checkpoints", f"{name}.safetensors")
    assert path.stat().st_size <= max_mib * 2**20
    for split, thresholds in tasks.THRESHOLDS.get(name, {}).items():
        for metric, threshold in thresholds.items():
            assert card["metrics"][split][metric] >= threshold, (split, metric)


def test_skip_connections_improve_the_unet():
    """Lesson 5's comparison is fair: the U-Nets differ only in their skip connections."""
    cards = [checkpoints.read_card(name) for name in tasks.UNETS]  # all skips, deepest, none
    assert len({(card["seed"], str(card["data"])) for card in cards}) == 1
    assert [card["epochs"] for card in cards[1:]] == [tasks.get_task("unet").epochs] * 2
    # The first had a second training cycle. Its note has the result after the first, which has
    # as many epochs as the others.
    all_skips = float(re.search(r"mIoU on new backgrounds was (0\.\d+)", cards[0]["note"])[1])
    deepest, none = (card["metrics"]["new-backgrounds"]["miou"] for card in cards[1:])
    assert all_skips > deepest + 0.05 and all_skips > none + 0.05


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "classifier" else pytest.mark.extended)
        for name in tasks.MODELS
    ],
)
def test_evaluation_on_50_scenes_is_close_to_the_card(name):
    """The tolerance of 0.07 allows for using 50 of the card's 500 scenes."""
    metrics = tasks.evaluate(name, tasks.load(name), "new-backgrounds", 50)
    expected = checkpoints.read_card(name)["metrics"]["new-backgrounds"]
    assert metrics == pytest.approx(expected, abs=0.07)


@pytest.mark.slow
@pytest.mark.parametrize("split", scenes.SPLITS)
@pytest.mark.parametrize("name", tasks.MODELS)
def test_evaluation_on_all_scenes_reproduces_the_card(name, split):
    """The tolerance of 0.003 allows for rounding differences between processors."""
    metrics = tasks.evaluate(name, tasks.load(name), split, publish.TEST_EXAMPLES)
    expected = checkpoints.read_card(name)["metrics"][split]
    assert metrics == pytest.approx(expected, abs=0.003)
