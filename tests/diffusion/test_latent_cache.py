"""The latents of the training images, and their cache file."""

import pytest
import torch

from course_lib.compression import autoencoder
from course_lib.data.captioned import OBJECTS, captioned_picture
from course_lib.diffusion.latent_cache import encode_dataset


def test_latents_and_captions_belong_to_the_images(tmp_path, monkeypatch):
    cache_file = tmp_path / "latents.safetensors"
    latents, captions = encode_dataset(6, OBJECTS, cache_file=cache_file)
    picture = captioned_picture(5, objects=OBJECTS)
    vae = autoencoder.load()
    with torch.no_grad():
        mean = vae.encode(picture.image[None] * 2 - 1).mean[0]
    expected = mean * vae.config.scaling_factor
    torch.testing.assert_close(latents[5], expected, atol=2e-3, rtol=2e-3)
    assert captions[5] == picture.caption and latents.shape == (6, 4, 16, 16)

    with monkeypatch.context() as patch:
        patch.setattr(autoencoder, "load", lambda: pytest.fail("the cache was not used"))
        cached_latents, cached_captions = encode_dataset(6, OBJECTS, cache_file=cache_file)
    assert torch.equal(cached_latents, latents) and cached_captions == captions

    other_latents, _ = encode_dataset(3, OBJECTS[:2], cache_file=cache_file)
    assert other_latents.shape == (3, 4, 16, 16)


@pytest.mark.extended
def test_latents_have_a_standard_deviation_of_about_1():
    latents, _ = encode_dataset(40, OBJECTS)
    assert 0.8 < latents.std() < 1.25
