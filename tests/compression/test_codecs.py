"""Codecs: decoded images, sizes, quantisation, block PCA; and PSNR and SSIM."""

import io
import lzma
import math
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from sklearn.decomposition import PCA
from torch.nn import functional as F

from course_lib.compression import codecs, pca
from course_lib.compression.autoencoder import CONFIG
from course_lib.compression.shortcut_autoencoder import ShortcutAutoencoder
from course_lib.data import photos
from course_lib.data.photos import photo
from course_lib.metrics.images import psnr, ssim


@pytest.fixture(scope="module")
def image():
    return photo("sunset", 128)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ShortcutAutoencoder(CONFIG).eval()


@pytest.fixture(scope="module")
def block_pca():
    return pca.fit(8, size=64)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_pillow_reports_the_file_size(image, format):
    encoded = codecs.pillow(image, format, 40)
    file = io.BytesIO()
    options = {"JPEG": {"optimize": True}, "WEBP": {"method": 6}}[format]
    Image.fromarray(codecs.to_uint8(image)).save(file, format, quality=40, **options)
    assert encoded.bytes == len(file.getvalue())
    assert encoded.bits_per_pixel == pytest.approx(8 * encoded.bytes / 128**2)
    assert encoded.image.shape == image.shape and 20 < psnr(encoded.image, image) < 60


def test_pillow_passes_options_on(image):
    full_chroma = codecs.pillow(image, "JPEG", 80, subsampling=0)
    assert full_chroma.bytes > codecs.pillow(image, "JPEG", 80).bytes


def test_to_uint8_clamps_and_rounds():
    values = torch.tensor([-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0])
    image = values.view(1, 2, 3).expand(3, 2, 3)
    assert codecs.to_uint8(image)[..., 2].flatten().tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("format, quality", [("PNG", 50), ("JPEG", 0), ("WEBP", 101)])
def test_pillow_rejects_unknown_formats_and_qualities(image, format, quality):
    with pytest.raises(ValueError, match="choose 'JPEG' or 'WEBP', and 1 to 100"):
        codecs.pillow(image, format, quality)


def test_pillow_within_finds_the_best_quality(image):
    sizes = [codecs.pillow(image, "JPEG", quality).bytes for quality in range(1, 101)]
    for max_bytes in (sizes[0], 1500, 3000, 10**6):
        best = codecs.pillow_within(max_bytes, image)
        assert best.bytes == max(size for size in sizes if size <= max_bytes)
    with pytest.raises(ValueError, match="Even quality 1 takes"):
        codecs.pillow_within(sizes[0] - 1, image)


def test_the_header_of_a_jpeg_file_ends_where_its_codes_begin(image):
    file = io.BytesIO()
    Image.fromarray(codecs.to_uint8(image)).save(file, "JPEG", quality=40, optimize=True)
    parts = file.getvalue().split(b"\xff\xda")  # the marker "start of scan"
    assert len(parts) == 2
    length = int.from_bytes(parts[1][:2], "big")
    encoded = codecs.pillow(image, "JPEG", 40)
    assert encoded.header == len(parts[0]) + 2 + length
    assert codecs.pillow(image, "WEBP", 40).header == 0


def test_without_its_header_a_jpeg_file_may_be_larger(image):
    whole = codecs.pillow(image, "JPEG", 30)
    bare = codecs.pillow_within(whole.bytes, image, count_header=False)
    assert bare.bytes - bare.header <= whole.bytes < bare.bytes
    with pytest.raises(ValueError, match="Even quality 1 takes"):
        codecs.pillow_within(10, image, count_header=False)


@pytest.mark.parametrize("bits", [1, 2, 6, 8])
def test_quantisation_error_is_at_most_half_a_step(bits):
    noise = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([1, 10, 0.1, 3])[:, None, None]
    latents = noise * scales + torch.arange(4.0).view(4, 1, 1)
    codes, ranges = codecs.quantise(latents, bits)
    assert codes.dtype == torch.uint8
    assert codes.amin((1, 2)).tolist() == [0] * 4
    assert codes.amax((1, 2)).tolist() == [2**bits - 1] * 4
    step = (ranges[:, 1] - ranges[:, 0])[:, None, None] / (2**bits - 1)
    error = codecs.dequantise(codes, ranges, bits) - latents
    assert (error.abs() <= step * 0.501).all()


def test_quantise_restores_a_constant_channel():
    latents = torch.full((2, 3, 3), -4.5)
    assert torch.equal(codecs.dequantise(*codecs.quantise(latents, 8), 8), latents)


@pytest.mark.parametrize("bits", [0, 9])
def test_quantise_rejects_invalid_bits(bits):
    with pytest.raises(ValueError, match="choose 1 to 8"):
        codecs.quantise(torch.zeros(1, 2, 2), bits)


def test_autoencoder_codec(model, image):
    exact, coarse = codecs.autoencoder(model, image), codecs.autoencoder(model, image, bits=6)
    latents = codecs.encode(model, image)
    assert latents.shape == (4, 16, 16) and exact.bytes == 4 * latents.numel()
    assert coarse.bytes < latents.numel() * 8 / 8 + 100
    assert exact.image.shape == image.shape and exact.image.min() >= 0 and exact.image.max() <= 1
    torch.testing.assert_close(exact.image, codecs.decode(model, latents))
    with torch.no_grad():
        torch.testing.assert_close(latents, model.encode(image[None] * 2 - 1).mean[0])


def test_encode_and_decode_accept_batches(model, image):
    images = torch.stack([image[:, :32, :32]] * 19 + [image[:, 32:64, :32]] * 3)
    latents = codecs.encode(model, images)
    assert latents.shape == (22, 4, 4, 4)
    for index in (0, 21):
        torch.testing.assert_close(latents[index], codecs.encode(model, images[index]))
    decoded = codecs.decode(model, latents)
    assert decoded.shape == images.shape
    torch.testing.assert_close(decoded[21], codecs.decode(model, latents[21]))


def test_fewer_bits_take_fewer_bytes(model, block_pca, image):
    for codec in (
        lambda bits: codecs.autoencoder(model, image, bits),
        lambda bits: codecs.block_pca(block_pca, image, bits),
    ):
        sizes = [codec(bits).bytes for bits in (2, 4, 6, 8)]
        assert sizes == sorted(sizes)


def test_latents_are_packed_losslessly_and_by_any_method(model, image):
    latent = codecs.encode(model, image)
    numbers, _ = codecs.quantise(latent, 4)
    data = numbers.numpy().tobytes()
    packed = codecs.compress_lzma(data)
    restored = lzma.decompress(packed, format=lzma.FORMAT_RAW, filters=[codecs._LZMA])
    assert restored == data
    for method in (codecs.compress_lzma, zlib.compress):
        expected = len(method(data)) + 4 * 8
        assert codecs.pack_latent(model, latent, 4, method).bytes == expected
    unpacked = codecs.pack_latent(model, latent, 4, bytes)
    assert unpacked.bytes == latent.numel() + 4 * 8
    assert torch.equal(unpacked.image, codecs.autoencoder(model, image, 4).image)


def test_rate_distortion_is_the_mean_over_images(image):
    originals = [image, photo("dandelion", 128)]
    encoded = [codecs.pillow(original, "JPEG", 50) for original in originals]
    result = codecs.rate_distortion(encoded, originals)
    pairs = [(code.image, original) for code, original in zip(encoded, originals, strict=True)]
    assert result.bits_per_pixel == pytest.approx(
        np.mean([code.bits_per_pixel for code in encoded])
    )
    assert result.psnr == pytest.approx(np.mean([psnr(*pair) for pair in pairs]))
    assert result.ssim == pytest.approx(np.mean([ssim(*pair) for pair in pairs]))
    for codes, images in (([], []), (encoded, originals[:1])):
        with pytest.raises(ValueError, match="at least one pair"):
            codecs.rate_distortion(codes, images)


def test_block_pca_matches_scikit_learn(block_pca):
    values = torch.cat(
        [F.unfold(photo(name, 64)[None], 8, stride=8)[0].T for name in photos.names("train")]
    )
    expected = PCA(8, svd_solver="full").fit(values.double().numpy())
    torch.testing.assert_close(block_pca.mean, torch.from_numpy(expected.mean_).float())
    cosines = (block_pca.components.numpy() * expected.components_).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-4)  # the sign is arbitrary
    ratio = block_pca.explained_variance_ratio.numpy()
    np.testing.assert_allclose(ratio, expected.explained_variance_ratio_, atol=1e-5)


def test_block_pca_projects(block_pca, image):
    latents = block_pca.encode(image)
    assert latents.shape == (8, 16, 16)
    projected = block_pca.decode(latents)
    assert projected.shape == image.shape
    projected_again = block_pca.decode(block_pca.encode(projected))
    assert psnr(projected_again, projected) > 35  # not exact: decode clamps to [0, 1]


def test_more_components_reduce_the_error(block_pca, image):
    scores = [
        psnr(codecs.block_pca(block_pca.truncate(count), image).image, image)
        for count in (1, 2, 4, 8)
    ]
    assert scores == sorted(scores)
    torch.testing.assert_close(block_pca.truncate(3).encode(image), block_pca.encode(image)[:3])
    with pytest.raises(ValueError, match="choose 1 to 8"):
        block_pca.truncate(9)


def test_psnr_matches_scikit_image(image):
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    noisy = (image + 0.1 * noise).clamp(0, 1)
    expected = peak_signal_noise_ratio(image.numpy(), noisy.numpy(), data_range=1.0)
    assert psnr(noisy, image) == pytest.approx(expected, abs=1e-3)
    assert psnr(image, image) == math.inf


def test_ssim_orders_distortions(image):
    assert ssim(image, image) == pytest.approx(1)
    blurred = F.avg_pool2d(image, 5, stride=1, padding=2)
    assert ssim(blurred, image) < ssim(codecs.pillow(image, "JPEG", 95).image, image) < 1
