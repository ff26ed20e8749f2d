"""Checkpoints: saving and loading in half precision, and their cards."""

import pytest
import torch

from course_lib.assets import checkpoints
from course_lib.diffusion import text_to_image

CARD = {
    "command": "python -m x",
    "seed": 0,
    "data": "d",
    "metrics": {"m": 1},
    "hardware": "h",
    "minutes": 0.1,
}


def test_save_and_load_round_trip(data_folder):
    state = {
        "weight": torch.randn(3, 4, requires_grad=True),
        "transposed": torch.randn(4, 3).T,
        "steps": torch.tensor(7),
    }
    path = checkpoints.save("small", state, CARD)
    assert path == data_folder / "checkpoints" / "small.safetensors"
    loaded = checkpoints.load("small")
    assert loaded["weight"].dtype == torch.float32 and loaded["steps"] == 7
    for name in ("weight", "transposed"):
        expected = state[name].detach().half().float()
        torch.testing.assert_close(loaded[name], expected, rtol=0, atol=0)
    assert checkpoints.read_card("small") == CARD
    assert checkpoints.is_shipped("small") and not checkpoints.is_shipped("large")


def test_floats_are_stored_in_half_precision(data_folder):
    size = checkpoints.save("large", {"weight": torch.zeros(1000)}, CARD).stat().st_size
    assert 2000 <= size < 2200


def test_card_must_be_complete(data_folder):
    card = {key: CARD[key] for key in CARD if key not in ("hardware", "minutes")}
    with pytest.raises(ValueError, match="lacks hardware, minutes"):
        checkpoints.save("x", {}, card)


def test_missing_checkpoint_names_the_fix(data_folder):
    with pytest.raises(
        FileNotFoundError, match="git checkout -- data/checkpoints/none.safetensors"
    ):
        checkpoints.load("none")


def test_model_loaded_without_initialisation_is_the_same():
    state = torch.random.get_rng_state()
    with checkpoints.WithoutInitialisation():
        fast = text_to_image.load()
    assert torch.equal(torch.random.get_rng_state(), state)  # no random number was drawn
    slow = text_to_image.load()
    for name in ("text_encoder", "unet", "vae"):
        ours, expected = getattr(fast, name).state_dict(), getattr(slow, name).state_dict()
        assert all(torch.equal(ours[key], value) for key, value in expected.items())
    assert not torch.equal(torch.nn.Linear(2, 2).weight, torch.nn.Linear(2, 2).weight)
