"""Checkpoints come back as they were saved, in half precision, with a card; the shipped kernels are
as told.
"""

import pytest
import torch

from course_lib.assets import checkpoints, paths
from course_lib.convolution import learned_kernels

CARD = {
    "command": "python -m x",
    "seed": 0,
    "data": "d",
    "metrics": {"m": 1},
    "hardware": "h",
    "minutes": 0.1,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data" / "checkpoints").mkdir(parents=True)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "course_lib")
    return tmp_path / "data" / "checkpoints"


def test_what_is_saved_comes_back(folder):
    state = {"weight": torch.randn(3, 4), "turned": torch.randn(4, 3).T, "steps": torch.tensor(7)}
    path = checkpoints.save("small", state, CARD)
    assert path == folder / "small.safetensors"
    loaded = checkpoints.load("small")
    assert loaded["weight"].dtype == torch.float32 and loaded["steps"] == 7
    for name in ("weight", "turned"):
        torch.testing.assert_close(loaded[name], state[name].half().float(), rtol=0, atol=0)
    assert checkpoints.card("small") == CARD


def test_floats_are_stored_in_half_precision(folder):
    size = checkpoints.save("large", {"weight": torch.zeros(1000)}, CARD).stat().st_size
    assert 2000 <= size < 2200


def test_a_card_must_be_complete(folder):
    with pytest.raises(ValueError, match="lacks hardware, minutes"):
        checkpoints.save(
            "x", {}, {key: CARD[key] for key in CARD if key not in ("hardware", "minutes")}
        )


def test_a_missing_checkpoint_names_the_mend(folder):
    with pytest.raises(
        FileNotFoundError, match="git checkout -- data/checkpoints/none.safetensors"
    ):
        checkpoints.load("none")


def test_the_card_of_the_kernels_tells_what_the_kernels_are():
    told, fit = (
        checkpoints.card("kernels")["metrics"],
        learned_kernels.fit_gabor(learned_kernels.load()),
    )
    assert told["edges"] == fit.edges().sum() and told["colours"] == fit.colours().sum()
    assert (
        told["edges before training"]
        == learned_kernels.fit_gabor(learned_kernels.untrained()).edges().sum()
    )


def test_gabor_functions_are_found_and_noise_is_not():
    y, x = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(9.0) - 4, indexing="ij")
    wave = torch.exp(-(x**2 + y**2) / 8) * (2 * torch.pi * (x + y) / 2**0.5 / 5).sin()
    noise = torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(0))
    red = wave * torch.tensor([1.0, -0.5, -0.5])[:, None, None]
    fit = learned_kernels.fit_gabor(torch.stack([wave.expand(3, -1, -1), red, noise]))
    assert fit.edges().tolist() == [True, False, False]
    assert fit.colours().tolist() == [False, True, False]
    assert fit.angle[:2].tolist() == [45, 45] and fit.explained[0] > 0.9


def test_whitening_makes_pixels_independent():
    seen = learned_kernels.patches(3000)
    assert seen.shape == (3000, 3, 9, 9) and seen.mean((1, 2, 3)).abs().max() < 1e-6
    white = seen.flatten(1) @ learned_kernels.whitening(seen, noise=1e-3).T
    strong = torch.linalg.eigvalsh(white.T @ white / len(white))[-100:]
    torch.testing.assert_close(strong, torch.ones(100), rtol=0, atol=0.1)


def test_the_loss_falls_when_kernels_paint_the_patch_back():
    torch.manual_seed(0)
    seen = learned_kernels.patches(500)
    model = learned_kernels.SparseAutoencoder(learned_kernels.whitening(seen))
    first = learned_kernels.reconstruction_and_sparsity(model, seen)
    first.backward()
    with torch.no_grad():
        model.weight -= 0.01 * model.weight.grad
    assert learned_kernels.reconstruction_and_sparsity(model, seen) < first
