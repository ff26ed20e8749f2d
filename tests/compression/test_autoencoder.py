"""The course's autoencoder: what it is trained on, that it learns, and how it is measured."""

import pytest
import torch

from course_lib.compression import autoencoder, codecs
from course_lib.data import captioned, photos
from course_lib.metrics.images import psnr
from course_lib.sd.vae import AutoencoderConfig
from course_lib.training import recipes

TINY = AutoencoderConfig(block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=4)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(autoencoder.MODELS, "autoencoder", TINY)
    monkeypatch.setattr(autoencoder, "EPOCH", 8)


def test_half_of_the_pictures_are_photos_and_half_are_captioned():
    pieces = autoencoder.Pieces(32)
    assert torch.equal(pieces[7], captioned.captioned(3, 32).image * 2 - 1)
    assert torch.equal(pieces[6], autoencoder.piece(3, 32) * 2 - 1)
    assert pieces[6].shape == (3, 32, 32) and pieces[6].min() >= -1 and pieces[6].max() <= 1
    assert not torch.equal(pieces[6], pieces[8])


def test_only_training_photos_are_cut(monkeypatch):
    asked = []
    right = photos.picture
    monkeypatch.setattr(photos, "picture", lambda name: asked.append(name) or right(name))
    autoencoder._photo.cache_clear()
    for seed in range(60):
        autoencoder.piece(seed, 16)
    assert set(asked) <= set(photos.names("train")) and len(asked) > 5


def test_a_run_sees_the_same_pictures_with_any_number_of_workers():
    def first(workers):
        torch.manual_seed(0)
        return next(iter(autoencoder.loader(4, batch=4, workers=workers, size=16)))[0]

    assert torch.equal(first(0), first(1))


def test_it_learns(tiny):
    """Eight pictures, many times: the error of a constant grey is several times as large."""
    torch.manual_seed(0)
    model = autoencoder.model()
    images = torch.stack([autoencoder.Pieces(32)[seed] for seed in range(8)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(60):
        value = autoencoder.loss(model, images)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value.item() < 0.3 * images.var().item()


def test_train_begins_with_given_weights_and_is_seeded(tiny):
    first, history = autoencoder.train(epochs=1, seed=5)
    again, _ = autoencoder.train(epochs=1, seed=5)
    assert len(history.losses) == 1 and not first.training
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    start = {name: torch.zeros_like(value) for name, value in first.state_dict().items()}
    still, _ = autoencoder.train(epochs=1, start=start, learning_rate=1e-12)
    assert max(value.abs().max() for value in still.state_dict().values()) < 1e-6


def test_evaluate_measures_every_split(tiny):
    torch.manual_seed(0)
    model = autoencoder.model().eval()
    photo = autoencoder.evaluate("autoencoder", model, "photos", 1)
    assert set(photo) == {"psnr", "ssim", "above_pca", "above_jpeg", "gain_by_8_bits"}
    assert photo["above_jpeg"] < 0 and photo["above_pca"] < 0  # it is random
    original = photos.photo(photos.names("held-out")[0], 512)
    assert photo["psnr"] == pytest.approx(
        psnr(codecs.autoencoder(model, original).image, original), abs=1e-3
    )
    jpeg = codecs.at_most(16384, original)
    assert photo["psnr"] - photo["above_jpeg"] == pytest.approx(
        psnr(jpeg.image, original), abs=1e-3
    )
    assert set(autoencoder.evaluate("autoencoder", model, "captioned", 2)) == {"psnr", "ssim"}
    with pytest.raises(ValueError, match="choose one of photos"):
        autoencoder.evaluate("autoencoder", model, "old", 1)


def test_it_is_a_recipe():
    family = recipes.family("autoencoder")
    assert family is autoencoder and "autoencoder" in recipes.names()
    assert family.TESTS["photos"] == 5 and not family.styles("autoencoder")
    with pytest.raises(ValueError, match="There is no model 'x': choose one of classifier"):
        recipes.family("x")
