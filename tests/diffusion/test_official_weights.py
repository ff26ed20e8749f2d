"""The official weights in lesson 7: the report when they are missing, incomplete or complete."""

from types import SimpleNamespace

import torch

from course_lib.diffusion import official_weights
from tests.support.small_sd import small_pipeline

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_missing_weights_give_download_instructions(monkeypatch, tmp_path):
    monkeypatch.delenv(official_weights.ENV_VARIABLE, raising=False)
    assert official_weights.find() is None
    monkeypatch.setenv(official_weights.ENV_VARIABLE, str(tmp_path / "missing"))
    assert official_weights.find() is None
    text = official_weights.describe(None, CPU)
    for part in (
        official_weights.ENV_VARIABLE,
        "OpenRAIL-M",
        "https://",
        "course sd verify",
        "no CUDA GPU",
    ):
        assert part in text
    assert "no CUDA GPU" not in official_weights.describe(None, CUDA)
    assert not official_weights.is_usable(None, CUDA)


def test_incomplete_weights_are_not_usable(monkeypatch, tmp_path):
    monkeypatch.setenv(official_weights.ENV_VARIABLE, str(tmp_path))
    assert official_weights.find() == tmp_path
    assert "course sd verify" in official_weights.describe(tmp_path, CPU)
    assert not official_weights.is_usable(tmp_path, CUDA)


def test_complete_weights_are_usable_only_on_a_gpu(monkeypatch, tmp_path):
    unet = small_pipeline().unet
    monkeypatch.setattr(
        "course_lib.sd.weights.inspect", lambda path: {"unet": SimpleNamespace(model=unet)}
    )
    total = sum(parameter.numel() for parameter in unet.parameters())
    text = official_weights.describe(tmp_path, CPU)
    assert f"{total:,} parameters" in text and "course sd generate" in text
    assert "course sd generate" not in official_weights.describe(tmp_path, CUDA)
    assert official_weights.is_usable(tmp_path, CUDA)
    assert not official_weights.is_usable(tmp_path, CPU)
