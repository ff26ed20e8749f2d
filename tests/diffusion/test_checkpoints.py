"""The shipped text-to-image model and its judge: cards, file sizes and measured quality."""

import pytest
import torch
from PIL import Image

from course_lib.assets import checkpoints, paths
from course_lib.compression import autoencoder
from course_lib.data import captioned
from course_lib.diffusion import (
    denoiser_training,
    evaluation,
    judge,
    judge_training,
    sentence_evaluation,
    small_denoiser,
    text_to_image,
)
from course_lib.sd.samplers import gaussian
from course_lib.training import publish, recipes

MIB = 2**20
LESSON_8 = ("flow", "one-step", "dit", "controlnet")


@pytest.mark.parametrize(
    "name",
    ["judge", "denoiser", "tiny-sd", *filter(checkpoints.is_shipped, LESSON_8)],
)
def test_card_is_complete_and_names_missed_thresholds(name):
    card, recipe = checkpoints.read_card(name), recipes.recipe(name)
    metrics = card["metrics"]
    assert list(metrics) == list(recipe.test_splits)
    assert card["command"].split(" && ")[-1].startswith(f"course train {name} ")
    assert card["minutes"] > 0 and card["hardware"]
    missed = {
        split: [metric for metric, minimum in minima.items() if metrics[split][metric] < minimum]
        for split, minima in recipe.thresholds.items()
    }
    assert {split: names for split, names in missed.items() if names} == card.get("missed", {})


def test_files_for_generating_are_small():
    files = [
        paths.data_path("checkpoints", "tiny-sd.safetensors"),
        paths.data_path("checkpoints", "autoencoder.safetensors"),
        paths.data_path("clip", "merges.txt.bz2"),
    ]
    sizes = [file.stat().st_size for file in files]
    assert max(sizes) <= 15 * MIB and sum(sizes) <= 20 * MIB


def test_files_of_lesson_8_are_small():
    folder = paths.data_path("checkpoints", "tiny-sd.safetensors").parent
    files = [file for name in LESSON_8 for file in folder.glob(f"{name}.*")]
    assert 0 < sum(file.stat().st_size for file in files) <= 7 * MIB


def test_all_checkpoints_are_small():
    folder = paths.data_path("checkpoints", "tiny-sd.safetensors").parent
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 56 * MIB


def test_preview_image_is_a_grid_of_96_images():
    with Image.open(paths.data_path("checkpoints", "tiny-sd.webp")) as sheet:
        assert sheet.size == (12 * captioned.SIZE, 8 * (captioned.SIZE + 14 * 6))


@pytest.mark.parametrize("split", judge_training.TEST_SPLITS)
@pytest.mark.extended
def test_judge_on_60_images_is_close_to_its_card(split):
    metrics = judge_training.evaluate(judge.load(), split, 60)
    expected = checkpoints.read_card("judge")["metrics"][split]
    assert metrics == pytest.approx(expected, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("split", judge_training.TEST_SPLITS)
def test_judge_matches_its_card(split):
    metrics = judge_training.evaluate(judge.load(), split, publish.TEST_EXAMPLES)
    expected = checkpoints.read_card("judge")["metrics"][split]
    assert metrics == pytest.approx(expected, abs=0.004)


@pytest.mark.slow
@pytest.mark.parametrize("split", ("seen", "new-combinations"))
def test_judge_names_captioned_pictures(split):
    """The pictures of lessons 6 to 8, of which the judge was not trained on a single one."""
    pictures = [
        captioned.captioned_picture(10**6 + n, split=split, objects=judge.OBJECTS)
        for n in range(500)
    ]
    verdicts = judge.load().classify(torch.stack([picture.image for picture in pictures]))
    accuracy = judge.accuracy(verdicts, [(picture.name, picture.colour) for picture in pictures])
    assert accuracy["object"] >= 0.98 and accuracy["colour"] >= 0.99


@pytest.mark.extended
def test_half_of_the_small_denoisers_images_are_recognised():
    """The shipped denoiser and lesson 6's sampler generate images whose object the judge
    recognises.
    """
    noise = gaussian((12, 4, 16, 16), torch.Generator().manual_seed(7))
    latents = small_denoiser.sample(denoiser_training.load(), noise, steps=20)
    verdicts = judge.load().classify(small_denoiser.decode(autoencoder.load(), latents))
    recognised = sum(verdict.name in small_denoiser.OBJECTS for verdict in verdicts)
    assert recognised >= 6  # the judge has 48 classes: chance is far below


@pytest.mark.extended
def test_accuracy_of_12_generated_images_is_close_to_the_card():
    pairs = text_to_image.prompt_pairs("seen", 12)
    images = evaluation.generate(text_to_image.load(), pairs)
    accuracy = judge.accuracy(judge.load().classify(images), pairs)["both"]
    expected = checkpoints.read_card("tiny-sd")["metrics"]["one"]["all"]
    assert accuracy == pytest.approx(expected, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("split", text_to_image.TEST_SPLITS)
def test_text_to_image_matches_its_card(split):
    metrics = sentence_evaluation.generation_metrics(
        text_to_image.load(), split, text_to_image.TEST_SPLITS[split]
    )
    expected = checkpoints.read_card("tiny-sd")["metrics"][split]
    assert metrics == pytest.approx(expected, rel=0.02, abs=0.02)


def test_generation_is_reproducible():
    first, second = (
        text_to_image.load().generate("a fox on a red background", steps=2, seed=3)
        for _ in range(2)
    )
    assert torch.equal(first, second)
