"""The latents of the training pictures, and the files that keep them."""

import pytest
import torch

from course_lib.compression import autoencoder, codecs
from course_lib.data import described
from course_lib.data.captioned import OBJECTS, CaptionedPictures
from course_lib.data.described import DescribedPictures
from course_lib.diffusion import latent_cache
from course_lib.diffusion.latent_cache import encode_dataset


@pytest.mark.parametrize(
    "pictures",
    [
        pytest.param(CaptionedPictures(range(5), objects=OBJECTS), id="captioned"),
        pytest.param(DescribedPictures(range(5)), id="described"),
    ],
)
def test_latents_are_encoded_in_pieces_that_are_kept(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(latent_cache, "PIECE", 2)
    latents = encode_dataset(pictures, tmp_path)
    assert latents.shape == (5, 4, 16, 16) and latents.dtype == torch.float16
    vae = autoencoder.load()
    expected = codecs.encode(vae, pictures[4].image) * vae.config.scaling_factor
    torch.testing.assert_close(latents[4].float(), expected, atol=2e-3, rtol=2e-3)

    first, second, third = sorted(tmp_path.iterdir())
    second.unlink()
    third.write_bytes(b"incomplete")
    times = first.stat().st_mtime_ns
    assert torch.equal(encode_dataset(pictures, tmp_path), latents)
    assert first.stat().st_mtime_ns == times and len(list(tmp_path.iterdir())) == 3
    with monkeypatch.context() as patch:
        patch.setattr(autoencoder, "load", lambda: pytest.fail("the pieces were not used"))
        assert torch.equal(encode_dataset(pictures, tmp_path), latents)
        patch.setattr(latent_cache, "_mark", lambda *of: "other pictures")
        with pytest.raises(pytest.fail.Exception):
            encode_dataset(pictures, tmp_path)


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    pictures = DescribedPictures(range(3))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert torch.equal(encode_dataset(pictures), encode_dataset(pictures, tmp_path / "kept"))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_piece_is_stale_if_any_of_its_texts_changed(monkeypatch):
    pictures = DescribedPictures(range(3))
    mark = latent_cache._mark(pictures, range(3), b"weights")
    assert mark == latent_cache._mark(pictures, range(3), b"weights")
    assert mark != latent_cache._mark(pictures, range(3), b"other weights")
    sample = described.sample_description
    monkeypatch.setattr(
        described, "sample_description", lambda seed, **kind: sample(9 if seed == 2 else seed)
    )
    assert mark != latent_cache._mark(pictures, range(3), b"weights")


@pytest.mark.extended
def test_latents_have_a_standard_deviation_of_about_1():
    latents = encode_dataset(CaptionedPictures(range(40), objects=OBJECTS))
    assert 0.8 < latents.float().std() < 1.25
