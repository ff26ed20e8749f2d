"""The shipped text-to-image model and its judge: what their cards say is so, and they are as small
as they must be.
"""

import pytest
import torch

from course_lib.assets import checkpoints, paths
from course_lib.data import captioned
from course_lib.diffusion import evaluation, judge, text_to_image
from course_lib.training import publish

MIB = 2**20


@pytest.mark.parametrize("family", [judge, text_to_image])
def test_a_card_is_complete_and_says_which_bars_are_missed(family):
    (name,) = family.MODELS
    card = checkpoints.card(name)
    assert list(card["metrics"]) == list(family.TESTS)
    assert (
        card["command"].startswith(f"course train {name} ")
        and card["minutes"] > 0
        and card["hardware"]
    )
    missed = {
        split: [metric for metric, bar in bars.items() if card["metrics"][split][metric] < bar]
        for split, bars in family.BARS[name].items()
    }
    assert {split: metrics for split, metrics in missed.items() if metrics} == card.get(
        "missed", {}
    )


def test_all_that_a_picture_needs_is_small():
    """A file at most 15 MiB, all of them at most 20."""
    files = [
        paths.data("checkpoints", f"{name}.safetensors") for name in ("tiny-sd", "autoencoder")
    ]
    sizes = [file.stat().st_size for file in [*files, paths.data("clip", "merges.txt.bz2")]]
    assert max(sizes) <= 15 * MIB and sum(sizes) <= 20 * MIB


def test_its_uncurated_pictures_stand_beside_the_card():
    from PIL import Image

    with Image.open(paths.data("checkpoints", "tiny-sd.webp")) as sheet:
        assert sheet.size == (12 * captioned.SIZE, 8 * (captioned.SIZE + 14))


@pytest.mark.parametrize("split", judge.TESTS)
def test_the_judge_measured_again(split):
    found = judge.evaluate("judge", judge.load(), split, publish.TEST_EXAMPLES)
    assert found == pytest.approx(checkpoints.card("judge")["metrics"][split], abs=0.004)


def test_the_judge_agrees_with_a_few_generated_pictures_about_as_often_as_the_card_says():
    pairs = text_to_image.prompts("seen", 40)
    found = judge.agreement(
        judge.verdicts(judge.load(), evaluation.drawn(text_to_image.load(), pairs)), pairs
    )
    assert found["both"] == pytest.approx(
        checkpoints.card("tiny-sd")["metrics"]["seen"]["both"], abs=0.2
    )


@pytest.mark.slow
@pytest.mark.parametrize("split", text_to_image.TESTS)
def test_the_model_measured_again(split):
    model = text_to_image.model()
    model.load_state_dict(checkpoints.load("tiny-sd"))
    found = text_to_image.evaluate("tiny-sd", model.eval(), split, text_to_image.TESTS[split])
    assert found == pytest.approx(checkpoints.card("tiny-sd")["metrics"][split], abs=0.02)


def test_a_picture_of_one_sentence_is_always_the_same():
    first, second = (
        text_to_image.load().generate("a fox on a red background", steps=2, seed=3)
        for _ in range(2)
    )
    assert torch.equal(first, second)
