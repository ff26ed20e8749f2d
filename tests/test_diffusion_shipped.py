"""The shipped judge: what its card says is so, and it is as good as a judge must be."""

import pytest

from course_lib import checkpoints, shipping
from course_lib.diffusion import judge


def test_the_card_is_complete_and_every_bar_is_met():
    card = checkpoints.card("judge")
    assert list(card["metrics"]) == list(judge.TESTS)
    assert card["command"].startswith("course train judge ") and card["minutes"] > 0 and card["hardware"]
    for split, bars in judge.BARS["judge"].items():
        for metric, bar in bars.items():
            assert card["metrics"][split][metric] >= bar


@pytest.mark.parametrize("split", judge.TESTS)
def test_measured_again(split):
    found = judge.evaluate("judge", judge.load(), split, shipping.TEST_EXAMPLES)
    assert found == pytest.approx(checkpoints.card("judge")["metrics"][split], abs=0.004)
