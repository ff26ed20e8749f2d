"""The shipped autoencoder reaches what it must, and its card says what one measures again."""

import math

import pytest
import torch

from course_lib.assets import checkpoints, paths
from course_lib.compression import autoencoder
from course_lib.sd.vae import AutoencoderKL
from course_lib.training import publish


def test_the_card_is_complete_and_says_which_bars_are_missed():
    card = checkpoints.card("autoencoder")
    assert list(card["metrics"]) == list(autoencoder.TESTS)
    assert (
        card["command"].startswith("course train autoencoder ")
        and card["minutes"] > 0
        and card["hardware"]
    )
    assert paths.data("checkpoints", "autoencoder.safetensors").stat().st_size <= 6 * 2**20
    missed = {
        split: [metric for metric, bar in bars.items() if card["metrics"][split][metric] < bar]
        for split, bars in autoencoder.BARS["autoencoder"].items()
    }
    assert {split: metrics for split, metrics in missed.items() if metrics} == card.get(
        "missed", {}
    )


@pytest.mark.parametrize(
    "split", [pytest.param("photos", marks=pytest.mark.slow), *list(autoencoder.TESTS)[1:]]
)
def test_measured_again(split):
    count = min(publish.TEST_EXAMPLES, autoencoder.TESTS[split])
    found = autoencoder.evaluate("autoencoder", autoencoder.load(), split, count)
    assert found == pytest.approx(checkpoints.card("autoencoder")["metrics"][split], abs=0.01)


def test_the_shipped_one_is_stable_diffusions_class():
    model = autoencoder.load()
    assert type(model) is AutoencoderKL and model.config.factor == 8
    with torch.no_grad():
        assert model.encode(torch.zeros(1, 3, 64, 64)).mean.shape == (1, 4, 8, 8)
    assert all(math.isfinite(value.sum().item()) for value in model.state_dict().values())
