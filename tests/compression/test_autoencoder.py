"""The autoencoder: training data, training, evaluation, recipe."""

import pytest
import torch

from course_lib.compression import autoencoder, codecs, pca
from course_lib.compression.shortcut_autoencoder import ShortcutAutoencoderConfig
from course_lib.data import captioned, photos
from course_lib.metrics.images import psnr
from course_lib.training import recipes

TINY = ShortcutAutoencoderConfig(
    block_out_channels=(8, 16), encoder_blocks=(0, 1), decoder_blocks=(0, 1)
)


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


def test_untrained_model_reconstructs_as_pca_does():
    image = photos.photo(photos.names("held-out")[0], 128)
    model, code = autoencoder.make_model().eval(), pca.fit(4)
    decoded = codecs.autoencoder(model, image).image
    by_pca = codecs.block_pca(code, image).image
    assert (decoded - by_pca).abs().max() < 1e-4
    latents = torch.cat(
        [
            codecs.encode(model, photos.photo(name, 512)).flatten(1)
            for name in photos.names("train")
        ],
        dim=1,
    )
    assert latents.std(1) == pytest.approx(torch.ones(4), abs=1e-3)


@pytest.mark.extended
def test_loss_falls_below_the_loss_of_pca(tiny):
    torch.manual_seed(0)
    model = autoencoder.make_model()
    images = torch.stack([autoencoder.TrainingImages(32)[seed] for seed in range(8)])
    untrained = autoencoder.loss(model, images).item()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)
    for _ in range(60):
        loss = autoencoder.loss(model, images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.8 * untrained


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


@pytest.mark.extended
def test_training_leaves_the_shortcut_as_it_is(tiny):
    trained, _ = autoencoder.train(epochs=1, learning_rate=1e-2)
    untrained = autoencoder.make_model()
    for name, value in trained.state_dict().items():
        changed = not torch.equal(value, untrained.state_dict()[name])
        assert changed != name.startswith("linear_"), name


@pytest.mark.extended
def test_decoder_only_keeps_the_latents_as_they_are(tiny):
    trained, _ = autoencoder.train(epochs=1, learning_rate=1e-2, decoder_only=True)
    torch.manual_seed(0)
    untrained = autoencoder.make_model().state_dict()
    for name, value in trained.state_dict().items():
        changed = not torch.equal(value, untrained[name])
        assert changed == name.startswith("decoder."), name


@pytest.mark.extended
def test_evaluate(tiny):
    torch.manual_seed(0)
    model = autoencoder.make_model().eval()
    metrics = autoencoder.evaluate(model, "photos", 1)
    jpeg_metrics = {"above_jpeg_at_5_bits", "above_jpeg_at_4_bits"}
    assert set(metrics) == {"psnr", "ssim", "above_pca", "gain_by_8_bits"} | jpeg_metrics
    assert abs(metrics["above_pca"]) < 0.01  # untrained, it is PCA
    original = photos.photo(photos.names("held-out")[0], 512)
    decoded = codecs.autoencoder(model, original).image
    assert metrics["psnr"] == pytest.approx(psnr(decoded, original), abs=1e-3)
    packed = codecs.autoencoder(model, original, bits=5)
    jpegs = [codecs.pillow(original, "JPEG", quality) for quality in range(1, 30)]
    jpeg = next(jpeg for jpeg in jpegs if jpeg.bytes >= packed.bytes)
    lead = psnr(packed.image, original) - psnr(jpeg.image, original)
    assert metrics["above_jpeg_at_5_bits"] == pytest.approx(lead, abs=1e-3)
    assert set(autoencoder.evaluate(model, "captioned", 2)) == {"psnr", "ssim"}
    with pytest.raises(ValueError, match="choose one of photos"):
        autoencoder.evaluate(model, "old", 1)


def test_recipe():
    recipe = recipes.recipe("autoencoder")
    assert recipe.make_model is autoencoder.make_model and "autoencoder" in recipes.names()
    assert recipe.test_splits["photos"] == 5 and not recipe.styles
    with pytest.raises(ValueError, match="There is no model 'x': choose one of classifier"):
        recipes.recipe("x")
