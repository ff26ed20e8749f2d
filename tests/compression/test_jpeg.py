"""The course's JPEG implementation gives the same results as Pillow's."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn

from course_lib.compression import jpeg
from course_lib.compression.codecs import pillow, to_uint8
from course_lib.data.photos import photo
from course_lib.metrics.images import psnr


@pytest.fixture(scope="module")
def image():
    return photo("sunset", 128)


def test_dct_matches_scipy(image):
    block = jpeg.to_blocks(image[0])[3, 4]
    expected = torch.from_numpy(dctn(block.numpy(), norm="ortho"))
    torch.testing.assert_close(jpeg.dct(block), expected)


def test_dct_matrix_is_orthonormal():
    for size in (1, 2, 8, 16):
        waves = jpeg.dct_matrix(size)
        torch.testing.assert_close(waves @ waves.T, torch.eye(size), atol=1e-6, rtol=0)


def test_transforms_are_invertible(image):
    restored = jpeg.ycbcr_to_rgb(jpeg.rgb_to_ycbcr(image))
    torch.testing.assert_close(restored, image, atol=1e-5, rtol=0)
    torch.testing.assert_close(jpeg.from_blocks(jpeg.to_blocks(image[1])), image[1])
    blocks = jpeg.to_blocks(image[2])
    torch.testing.assert_close(jpeg.inverse_dct(jpeg.dct(blocks)), blocks, atol=1e-5, rtol=0)


def test_blocks_are_in_image_order(image):
    torch.testing.assert_close(jpeg.to_blocks(image[0])[2, 5], image[0, 16:24, 40:48])


def test_colour_transform_matches_pillow(image):
    expected = np.asarray(Image.fromarray(to_uint8(image)).convert("YCbCr"), dtype=np.float32)
    planes = jpeg.to_planes(image) + 128
    difference = np.abs(planes.permute(1, 2, 0).numpy() - expected)
    assert difference.max() <= 1  # Pillow's convert() truncates where its encoder rounds
    shift = torch.tensor([128.0, 0, 0])[:, None, None]
    unrounded = jpeg.rgb_to_ycbcr(image) * 255 - shift
    torch.testing.assert_close(planes - 128, unrounded, atol=0.501, rtol=0)


def jpeg_file(image, quality: int, **options) -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(file, "JPEG", quality=quality, **options)
    return Image.open(file)


@pytest.mark.parametrize("quality", [1, 2, 10, 25, 49, 50, 51, 75, 90, 99, 100])
def test_quantisation_tables_match_pillow(image, quality):
    expected = jpeg_file(image, quality).quantization
    tables = jpeg.quantisation_tables(quality)
    # Sorted, because older versions of Pillow return a table in zigzag order.
    for component, index in ((0, 0), (1, 1), (2, 1)):
        assert sorted(tables[component].flatten().int().tolist()) == sorted(expected[index])


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_decoded_image_matches_pillow(image, quality):
    decoded = jpeg.decompress(jpeg.compress(image, quality))
    expected = pillow(image, "JPEG", quality, subsampling=0).image
    # A coefficient half-way between two integers may be rounded either way; then it differs by a
    # whole quantisation step.
    difference = np.abs(to_uint8(decoded).astype(int) - to_uint8(expected))
    assert difference.mean() < 0.4 and (difference > 1).mean() < 0.1
    assert abs(psnr(decoded, image) - psnr(expected, image)) < 0.1


def test_coefficients_match_the_file(image):
    file = jpeg_file(image, 30, subsampling=0)
    file.draft("YCbCr", None)  # the stored planes, not converted to RGB
    planes = torch.from_numpy(np.array(file)).permute(2, 0, 1) - 128.0
    compressed = jpeg.compress(image, 30)
    for plane, coefficients, table in zip(
        planes, compressed.coefficients, compressed.tables, strict=True
    ):
        expected = (jpeg.dct(jpeg.to_blocks(plane)) / table).round()
        assert (expected == coefficients).float().mean() > 0.999


def test_chroma_subsampling_matches_pillow(image):
    decoded = jpeg.decompress(jpeg.compress(image, 50, subsample_chroma=True))
    expected = pillow(image, "JPEG", 50, subsampling=2).image
    assert psnr(decoded, expected) > 40
    assert abs(psnr(decoded, image) - psnr(expected, image)) < 0.2


def test_lower_quality_keeps_fewer_coefficients(image):
    nonzero, scores = [], []
    for quality in (90, 50, 10, 1):
        compressed = jpeg.compress(image, quality)
        nonzero.append(sum(int((part != 0).sum()) for part in compressed.coefficients))
        scores.append(psnr(jpeg.decompress(compressed), image))
    assert nonzero == sorted(nonzero, reverse=True)
    assert scores == sorted(scores, reverse=True)


def test_quantisation_error_is_at_most_half_a_step(image):
    compressed = jpeg.compress(image, 20)
    exact = jpeg.dct(jpeg.to_blocks(jpeg.to_planes(image)[0]))
    table = compressed.tables[0]
    assert (exact - compressed.coefficients[0] * table).abs().le(table / 2 + 1e-3).all()


def test_constant_image_has_one_coefficient_per_block():
    compressed = jpeg.compress(torch.full((3, 16, 24), 0.75), 80)
    luma, blue, red = compressed.coefficients
    assert int((luma != 0).sum()) == 6 and not blue.any() and not red.any()
    assert (jpeg.decompress(compressed) - 0.75).abs().max() < 0.02


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_invalid_quality_is_rejected(quality):
    with pytest.raises(ValueError, match="choose 1 to 100"):
        jpeg.quantisation_tables(quality)


def test_sides_that_are_not_multiples_of_8_are_rejected():
    with pytest.raises(ValueError, match="multiples of 8"):
        jpeg.compress(torch.zeros(3, 20, 16), 50)
    with pytest.raises(ValueError, match="multiples of 8"):
        jpeg.compress(torch.zeros(3, 24, 16), 50, subsample_chroma=True)
