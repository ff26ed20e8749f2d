"""The shipped autoencoder: its card, its measured quality and its class."""

import math

import pytest
import torch

from course_lib.assets import checkpoints, paths
from course_lib.compression import autoencoder
from course_lib.compression.shortcut_autoencoder import ShortcutAutoencoder
from course_lib.training import publish


def test_card_is_complete_and_lists_missed_thresholds():
    card = checkpoints.read_card("autoencoder")
    metrics = card["metrics"]
    assert list(metrics) == list(autoencoder.TEST_SPLITS)
    assert card["command"].startswith("course train autoencoder ")
    assert card["minutes"] > 0 and card["hardware"]
    assert paths.data_path("checkpoints", "autoencoder.safetensors").stat().st_size <= 6 * 2**20
    missed = {
        split: [name for name, threshold in thresholds.items() if metrics[split][name] < threshold]
        for split, thresholds in autoencoder.THRESHOLDS.items()
    }
    assert {split: names for split, names in missed.items() if names} == card.get("missed", {})


# Measured with the shipped weights on 6 images per split. The card holds means over 200 images;
# among the captioned ones the PSNR has a standard deviation of 2.9 dB.
FIRST_6 = {
    "captioned": {"psnr": 35.582, "ssim": 0.9567},
    "captioned-held-out-style": {"psnr": 32.238, "ssim": 0.9381},
}


@pytest.mark.parametrize("split", FIRST_6)
@pytest.mark.extended
def test_evaluation_of_6_images_equals_recorded_values(split):
    metrics = autoencoder.evaluate(autoencoder.load(), split, 6)
    # images and weights are deterministic; processors differ only in rounding
    assert metrics["psnr"] == pytest.approx(FIRST_6[split]["psnr"], abs=0.01)
    assert metrics["ssim"] == pytest.approx(FIRST_6[split]["ssim"], abs=0.0005)


@pytest.mark.slow
@pytest.mark.parametrize("split", autoencoder.TEST_SPLITS)
def test_evaluation_matches_the_card(split):
    count = min(publish.TEST_EXAMPLES, autoencoder.TEST_SPLITS[split])
    metrics = autoencoder.evaluate(autoencoder.load(), split, count)
    expected = checkpoints.read_card("autoencoder")["metrics"][split]
    assert metrics == pytest.approx(expected, abs=0.01)


def test_checkpoint_has_finite_weights_and_the_expected_shapes():
    model = autoencoder.load()
    assert type(model) is ShortcutAutoencoder and model.config.factor == 8
    with torch.no_grad():
        assert model.encode(torch.zeros(1, 3, 64, 64)).mean.shape == (1, 4, 8, 8)
    assert all(math.isfinite(value.sum().item()) for value in model.state_dict().values())
