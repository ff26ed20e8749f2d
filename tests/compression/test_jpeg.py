"""JPEG by hand does what a real JPEG library does."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn

from course_lib.compression import jpeg
from course_lib.compression.codecs import pillow, whole_bytes
from course_lib.data.photos import photo
from course_lib.metrics.images import psnr


@pytest.fixture(scope="module")
def image():
    return photo("sunset", 128)


def test_the_transform_is_scipys(image):
    block = jpeg.blocks(image[0])[3, 4]
    torch.testing.assert_close(jpeg.dct(block), torch.from_numpy(dctn(block.numpy(), norm="ortho")))


def test_the_waves_are_of_length_1_and_at_right_angles():
    for size in (1, 2, 8, 16):
        waves = jpeg.dct_matrix(size)
        torch.testing.assert_close(waves @ waves.T, torch.eye(size), atol=1e-6, rtol=0)


def test_nothing_is_lost_but_by_rounding(image):
    torch.testing.assert_close(jpeg.rgb(jpeg.ycbcr(image)), image, atol=1e-5, rtol=0)
    torch.testing.assert_close(jpeg.plane(jpeg.blocks(image[1])), image[1])
    blocks = jpeg.blocks(image[2])
    torch.testing.assert_close(jpeg.inverse_dct(jpeg.dct(blocks)), blocks, atol=1e-5, rtol=0)


def test_blocks_are_where_they_were(image):
    torch.testing.assert_close(jpeg.blocks(image[0])[2, 5], image[0, 16:24, 40:48])


def test_the_colour_transform_is_pillows(image):
    theirs = np.asarray(Image.fromarray(whole_bytes(image)).convert("YCbCr"), dtype=np.float32)
    ours = jpeg.planes(image) + 128
    apart = np.abs(ours.permute(1, 2, 0).numpy() - theirs)
    assert apart.max() <= 1  # that conversion of Pillow's cuts off what its encoder rounds
    torch.testing.assert_close(
        ours - 128,
        jpeg.ycbcr(image) * 255 - torch.tensor([128.0, 0, 0])[:, None, None],
        atol=0.501,
        rtol=0,
    )


def file_of(image, quality: int, **options) -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(whole_bytes(image)).save(file, "JPEG", quality=quality, **options)
    return Image.open(file)


@pytest.mark.parametrize("quality", [1, 2, 10, 25, 49, 50, 51, 75, 90, 99, 100])
def test_the_steps_are_pillows(image, quality):
    theirs = file_of(image, quality).quantization
    ours = jpeg.tables(quality)
    # Older versions of Pillow give a table in the order of the file, along diagonals.
    for index, place in ((0, 0), (1, 1), (1, 2)):
        assert sorted(theirs[index]) == sorted(ours[place].flatten().int().tolist())


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_the_picture_is_pillows(image, quality):
    ours = jpeg.decompress(jpeg.compress(image, quality))
    theirs = pillow(image, "JPEG", quality, subsampling=0).image
    # An amount that is half-way between two numbers may fall to either side: there a whole step
    # lies between.
    apart = np.abs(whole_bytes(ours).astype(int) - whole_bytes(theirs))
    assert apart.mean() < 0.4 and (apart > 1).mean() < 0.1
    assert abs(psnr(ours, image) - psnr(theirs, image)) < 0.1


def test_the_numbers_in_the_file_are_pillows(image):
    file = file_of(image, 30, subsampling=0)
    # the planes as they are stored, without the way back to red, green and blue
    file.draft("YCbCr", None)
    planes = torch.from_numpy(np.array(file)).permute(2, 0, 1) - 128.0
    ours = jpeg.compress(image, 30)
    for plane, numbers, steps in zip(planes, ours.numbers, ours.steps, strict=True):
        assert ((jpeg.dct(jpeg.blocks(plane)) / steps).round() == numbers).float().mean() > 0.999


def test_with_halved_colours_it_is_what_files_usually_hold(image):
    ours = jpeg.decompress(jpeg.compress(image, 50, halve_colours=True))
    theirs = pillow(image, "JPEG", 50, subsampling=2).image
    assert psnr(ours, theirs) > 40
    assert abs(psnr(ours, image) - psnr(theirs, image)) < 0.2


def test_a_lower_quality_keeps_fewer_numbers_and_comes_back_worse(image):
    kept, near = [], []
    for quality in (90, 50, 10, 1):
        found = jpeg.compress(image, quality)
        kept.append(sum(int((part != 0).sum()) for part in found.numbers))
        near.append(psnr(jpeg.decompress(found), image))
    assert kept == sorted(kept, reverse=True) and near == sorted(near, reverse=True)


def test_the_number_is_the_amount_in_steps(image):
    found = jpeg.compress(image, 20)
    amounts = jpeg.dct(jpeg.blocks(jpeg.planes(image)[0]))
    assert (amounts - found.numbers[0] * found.steps[0]).abs().le(found.steps[0] / 2 + 1e-3).all()


def test_an_even_picture_is_one_number_a_block():
    found = jpeg.compress(torch.full((3, 16, 24), 0.75), 80)
    assert (
        int((found.numbers[0] != 0).sum()) == 6
        and not found.numbers[1].any()
        and not found.numbers[2].any()
    )
    assert (jpeg.decompress(found) - 0.75).abs().max() < 0.02


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_there_are_100_qualities(quality):
    with pytest.raises(ValueError, match="choose 1 to 100"):
        jpeg.tables(quality)


def test_sides_that_are_no_multiples_of_8_are_told():
    with pytest.raises(ValueError, match="multiples of 8"):
        jpeg.compress(torch.zeros(3, 20, 16), 50)
    with pytest.raises(ValueError, match="multiples of 8"):
        jpeg.compress(torch.zeros(3, 24, 16), 50, halve_colours=True)
