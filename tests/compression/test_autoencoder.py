"""The autoencoder: training data, training, evaluation, recipe."""

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
    monkeypatch.setattr(autoencoder, "CONFIG", TINY)
    monkeypatch.setattr(autoencoder, "EXAMPLES_PER_EPOCH", 8)


def test_photo_crops_and_captioned_pictures_alternate():
    images = autoencoder.TrainingImages(32)
    assert torch.equal(images[7], captioned.captioned_picture(3, 32).image * 2 - 1)
    assert torch.equal(images[6], autoencoder.photo_crop(3, 32) * 2 - 1)
    assert images[6].shape == (3, 32, 32) and images[6].min() >= -1 and images[6].max() <= 1
    assert not torch.equal(images[6], images[8])


def test_crops_come_from_training_photos_only(monkeypatch):
    names = []
    picture = photos.picture
    monkeypatch.setattr(photos, "picture", lambda name: names.append(name) or picture(name))
    autoencoder._photo.cache_clear()
    for seed in range(60):
        autoencoder.photo_crop(seed, 16)
    assert set(names) <= set(photos.names("train")) and len(names) > 5


def test_batches_do_not_depend_on_the_number_of_workers():
    def first_batch(workers):
        torch.manual_seed(0)
        return next(iter(autoencoder.loader(4, batch_size=4, workers=workers, size=16)))[0]

    assert torch.equal(first_batch(0), first_batch(1))


@pytest.mark.extended
def test_loss_falls_far_below_the_loss_of_a_constant_image(tiny):
    torch.manual_seed(0)
    model = autoencoder.make_model()
    images = torch.stack([autoencoder.TrainingImages(32)[seed] for seed in range(8)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
    for _ in range(60):
        loss = autoencoder.loss(model, images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * images.var().item()


@pytest.mark.extended
def test_train_is_reproducible_and_uses_initial_weights(tiny):
    first, history = autoencoder.train(epochs=1, seed=5)
    again, _ = autoencoder.train(epochs=1, seed=5)
    assert len(history.losses) == 1 and not first.training
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    zeros = {name: torch.zeros_like(value) for name, value in first.state_dict().items()}
    unchanged, _ = autoencoder.train(epochs=1, initial_weights=zeros, learning_rate=1e-12)
    assert max(value.abs().max() for value in unchanged.state_dict().values()) < 1e-6


def test_further_cycle_rejects_a_batch_size(tiny):
    weights = autoencoder.make_model().state_dict()
    with pytest.raises(ValueError, match="leave out --batch-size"):
        autoencoder.train(epochs=1, initial_weights=weights, batch_size=autoencoder.BATCH + 1)


@pytest.mark.extended
def test_evaluate(tiny):
    torch.manual_seed(0)
    model = autoencoder.make_model().eval()
    metrics = autoencoder.evaluate(model, "photos", 1)
    assert set(metrics) == {"psnr", "ssim", "above_pca", "above_jpeg", "gain_by_8_bits"}
    assert metrics["above_jpeg"] < 0 and metrics["above_pca"] < 0  # the weights are random
    original = photos.photo(photos.names("held-out")[0], 512)
    decoded = codecs.autoencoder(model, original).image
    assert metrics["psnr"] == pytest.approx(psnr(decoded, original), abs=1e-3)
    jpeg = codecs.pillow_within(16384, original).image
    jpeg_psnr = metrics["psnr"] - metrics["above_jpeg"]
    assert jpeg_psnr == pytest.approx(psnr(jpeg, original), abs=1e-3)
    assert set(autoencoder.evaluate(model, "captioned", 2)) == {"psnr", "ssim"}
    with pytest.raises(ValueError, match="choose one of photos"):
        autoencoder.evaluate(model, "old", 1)


def test_recipe():
    recipe = recipes.recipe("autoencoder")
    assert recipe.make_model is autoencoder.make_model and "autoencoder" in recipes.names()
    assert recipe.test_splits["photos"] == 5 and not recipe.styles
    with pytest.raises(ValueError, match="There is no model 'x': choose one of classifier"):
        recipes.recipe("x")
