"""Codecs give back a picture and count its bytes; PCA is the best linear code; PSNR and SSIM are
the field's.
"""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from sklearn.decomposition import PCA
from torch.nn import functional as F

from course_lib.compression import codecs, pca
from course_lib.compression.autoencoder import CONFIG
from course_lib.data import photos
from course_lib.data.photos import photo
from course_lib.metrics.images import psnr, ssim
from course_lib.sd.vae import AutoencoderKL


@pytest.fixture(scope="module")
def image():
    return photo("sunset", 128)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AutoencoderKL(CONFIG).eval()


@pytest.fixture(scope="module")
def code():
    return pca.fit(8, size=64)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_file_has_as_many_bytes_as_told(image, format):
    stored = codecs.pillow(image, format, 40)
    file = io.BytesIO()
    options = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}}[format]
    Image.fromarray(codecs.whole_bytes(image)).save(file, format, quality=40, **options)
    assert stored.bytes == len(file.getvalue())
    assert stored.bits_per_pixel == pytest.approx(8 * stored.bytes / 128**2)
    assert stored.image.shape == image.shape and 20 < psnr(stored.image, image) < 60


def test_more_of_pillows_options_reach_it(image):
    assert (
        codecs.pillow(image, "JPEG", 80, subsampling=0).bytes
        > codecs.pillow(image, "JPEG", 80).bytes
    )


def test_whole_bytes_clamp_and_round():
    values = (
        torch.tensor([-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0])
        .view(1, 2, 3)
        .expand(3, 2, 3)
    )
    assert codecs.whole_bytes(values)[..., 2].flatten().tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("format, quality", [("PNG", 50), ("JPEG", 0), ("WEBP", 101)])
def test_formats_and_qualities_that_are_none(image, format, quality):
    with pytest.raises(ValueError, match="choose 'JPEG' or 'WEBP', and 1 to 100"):
        codecs.pillow(image, format, quality)


def test_the_best_quality_within_a_size(image):
    every = {quality: codecs.pillow(image, "JPEG", quality).bytes for quality in range(1, 101)}
    for size in (every[1], 1500, 3000, 10**6):
        best = codecs.at_most(size, image)
        assert best.bytes == max(taken for taken in every.values() if taken <= size)
    with pytest.raises(ValueError, match="Even quality 1 takes"):
        codecs.at_most(every[1] - 1, image)


@pytest.mark.parametrize("bits", [1, 2, 6, 8])
def test_quantised_values_come_back_to_half_a_step(bits):
    latents = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1, 10, 0.1, 3]
    )[:, None, None] + torch.arange(4.0).view(4, 1, 1)
    numbers, ranges = codecs.quantise(latents, bits)
    assert numbers.dtype == torch.uint8
    assert (
        numbers.amin((1, 2)).tolist() == [0] * 4
        and numbers.amax((1, 2)).tolist() == [2**bits - 1] * 4
    )
    step = (ranges[:, 1] - ranges[:, 0])[:, None, None] / (2**bits - 1)
    back = codecs.dequantise(numbers, ranges, bits)
    assert ((back - latents).abs() <= step * 0.501).all()


def test_a_channel_of_one_value_comes_back():
    latents = torch.full((2, 3, 3), -4.5)
    assert torch.equal(codecs.dequantise(*codecs.quantise(latents, 8), 8), latents)


@pytest.mark.parametrize("bits", [0, 9])
def test_bits_that_are_none(bits):
    with pytest.raises(ValueError, match="choose 1 to 8"):
        codecs.quantise(torch.zeros(1, 2, 2), bits)


def test_the_autoencoder_is_a_codec(model, image):
    whole, coarse = codecs.autoencoder(model, image), codecs.autoencoder(model, image, bits=6)
    latents = codecs.encoded(model, image)
    assert latents.shape == (4, 16, 16) and whole.bytes == 4 * latents.numel()
    assert coarse.bytes < latents.numel() * 8 / 8 + 100
    assert whole.image.shape == image.shape and whole.image.min() >= 0 and whole.image.max() <= 1
    torch.testing.assert_close(whole.image, codecs.decoded(model, latents))
    with torch.no_grad():
        torch.testing.assert_close(latents, model.encode(image[None] * 2 - 1).mean[0])


def test_fewer_bits_take_fewer_bytes(model, code, image):
    for way in (
        lambda bits: codecs.autoencoder(model, image, bits),
        lambda bits: codecs.linear(code, image, bits),
    ):
        sizes = [way(bits).bytes for bits in (2, 4, 6, 8)]
        assert sizes == sorted(sizes)


def test_judging_takes_means_over_pictures(image):
    pictures = [image, photo("dandelion", 128)]
    stored = [codecs.pillow(picture, "JPEG", 50) for picture in pictures]
    point = codecs.judge(stored, pictures)
    assert point.bits_per_pixel == pytest.approx(np.mean([one.bits_per_pixel for one in stored]))
    pairs = list(zip(stored, pictures, strict=True))
    assert point.psnr == pytest.approx(
        np.mean([psnr(one.image, picture) for one, picture in pairs])
    )
    assert point.ssim == pytest.approx(
        np.mean([ssim(one.image, picture) for one, picture in pairs])
    )
    for some, others in (([], []), (stored, pictures[:1])):
        with pytest.raises(ValueError, match="at least one pair"):
            codecs.judge(some, others)


def test_pca_is_scikit_learns(code):
    values = torch.cat(
        [F.unfold(photo(name, 64)[None], 8, stride=8)[0].T for name in photos.names("train")]
    )
    theirs = PCA(8, svd_solver="full").fit(values.double().numpy())
    torch.testing.assert_close(code.mean, torch.from_numpy(theirs.mean_).float())
    alike = (code.components.numpy() * theirs.components_).sum(1)  # the sign is free
    np.testing.assert_allclose(np.abs(alike), 1, atol=1e-4)
    np.testing.assert_allclose(code.shares.numpy(), theirs.explained_variance_ratio_, atol=1e-5)


def test_the_linear_code_projects(code, image):
    latents = code.encode(image)
    assert latents.shape == (8, 16, 16)
    back = code.decode(latents)
    assert back.shape == image.shape
    again = code.decode(code.encode(back))
    assert psnr(again, back) > 35  # not exact: what comes back is clamped to [0, 1]


def test_more_components_come_nearer(code, image):
    near = [psnr(codecs.linear(code.first(count), image).image, image) for count in (1, 2, 4, 8)]
    assert near == sorted(near)
    torch.testing.assert_close(code.first(3).encode(image), code.encode(image)[:3])
    with pytest.raises(ValueError, match="choose 1 to 8"):
        code.first(9)


def test_psnr_is_scikit_images(image):
    worse = (
        image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    ).clamp(0, 1)
    expected = peak_signal_noise_ratio(image.numpy(), worse.numpy(), data_range=1.0)
    assert psnr(worse, image) == pytest.approx(expected, abs=1e-3)
    assert psnr(image, image) == math.inf


def test_ssim_of_a_picture_with_itself_is_1(image):
    assert ssim(image, image) == pytest.approx(1)
    blurred = F.avg_pool2d(image, 5, stride=1, padding=2)
    assert ssim(blurred, image) < ssim(codecs.pillow(image, "JPEG", 95).image, image) < 1
