"""Guidance is measured on the pictures that the model draws; a lesson says what to do without
official weights.
"""

import pytest
import torch

from course_lib.data.captioned import sentence
from course_lib.diffusion import judge, official_weights
from course_lib.diffusion.guidance import measure
from tests.support.small_sd import OPTIONS, small

PAIRS = [("fox", "purple"), ("car", "white")]


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def seen_by():
    torch.manual_seed(0)
    return judge.Judge().eval()


def test_the_shares_and_the_variety_are_those_of_the_pictures(model, seen_by):
    found = measure(model, seen_by, PAIRS, 3.0, each=2, steps=3, seed=5)
    images = torch.cat(
        [
            model.generate(sentence(*pair), **OPTIONS, guidance=3.0, seed=5 + 2 * number, count=2)
            for number, pair in enumerate(PAIRS)
        ]
    )
    right = judge.agreement(
        judge.verdicts(seen_by, images), [pair for pair in PAIRS for _ in range(2)]
    )
    assert (found.object, found.colour, found.both) == (
        right["object"],
        right["colour"],
        right["both"],
    )
    apart = [(images[n] - images[n + 1]).square().mean().sqrt() for n in (0, 2)]
    assert found.variety == pytest.approx(float(sum(apart) / 2), rel=1e-3)
    assert found.guidance == 3.0 and found.spread > 0 and found.seconds > 0


def test_guidance_counts(model, seen_by):
    weak, strong = (measure(model, seen_by, PAIRS, scale, each=2, steps=3) for scale in (0.0, 12.0))
    assert weak.spread != strong.spread


def test_one_picture_has_no_variety(model, seen_by):
    with pytest.raises(ValueError, match="at least 2"):
        measure(model, seen_by, PAIRS, 1.0, each=1)
    with pytest.raises(ValueError, match="give a pair"):
        measure(model, seen_by, [], 1.0)


def test_without_weights_it_is_said_where_they_are(monkeypatch, tmp_path):
    monkeypatch.delenv(official_weights.VARIABLE, raising=False)
    assert official_weights.find() is None
    monkeypatch.setenv(official_weights.VARIABLE, str(tmp_path / "nowhere"))
    assert official_weights.find() is None
    told = official_weights.advice(None, torch.device("cpu"))
    for part in (
        official_weights.VARIABLE,
        "OpenRAIL-M",
        "https://",
        "course sd verify",
        "no CUDA GPU",
    ):
        assert part in told
    assert "no CUDA GPU" not in official_weights.advice(None, torch.device("cuda"))
    assert not official_weights.ready(None, torch.device("cuda"))


def test_what_is_no_model_is_named_and_not_drawn_with(monkeypatch, tmp_path):
    monkeypatch.setenv(official_weights.VARIABLE, str(tmp_path))
    assert official_weights.find() == tmp_path
    assert "course sd verify" in official_weights.advice(tmp_path, torch.device("cpu"))
    assert not official_weights.ready(tmp_path, torch.device("cuda"))


def test_whole_weights_are_counted_and_need_a_gpu(monkeypatch, tmp_path):
    model = small()
    monkeypatch.setattr(
        "course_lib.sd.weights.inspect",
        lambda path: {"unet": type("Part", (), {"model": model.unet})},
    )
    total = sum(weights.numel() for weights in model.unet.parameters())
    told = official_weights.advice(tmp_path, torch.device("cpu"))
    assert f"{total:,} parameters" in told and "course sd generate" in told
    assert "course sd generate" not in official_weights.advice(tmp_path, torch.device("cuda"))
    assert official_weights.ready(tmp_path, torch.device("cuda")) and not official_weights.ready(
        tmp_path, torch.device("cpu")
    )
