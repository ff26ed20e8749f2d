"""The parts of lesson 4's small autoencoder, and the lesson's claims about the shipped one."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.compression import autoencoder, codecs, jpeg, pca, small
from course_lib.data.photos import names, photo
from course_lib.figures.compression.waves import TILE, wave_grid
from course_lib.metrics.images import psnr


def test_pca_is_a_convolution():
    linear = pca.fit(4, size=64)
    image = photo("sunset", 64)
    weight, bias = small.pca_convolution(linear.components, linear.mean)
    latent = F.conv2d(image[None], weight, bias, stride=8)[0]
    torch.testing.assert_close(latent, linear.encode(image), atol=1e-4, rtol=1e-4)


def test_vae_loss_is_zero_for_perfect_reconstruction_and_a_standard_gaussian():
    image, latent = torch.rand(1, 3, 4, 4), torch.zeros(1, 4, 2, 2)
    assert small.vae_loss(image, image, latent, latent, 1.0) == 0
    assert small.vae_loss(image, image, latent + 2, latent, 0.5) == pytest.approx(1.0)


def test_reparameterise_takes_the_root_of_the_variance():
    sample = small.reparameterise(torch.ones(1), torch.tensor([4.0]).log(), torch.ones(1))
    assert float(sample) == pytest.approx(3)


def test_quantise_latent_returns_codes_and_restored_values():
    latent = torch.randn(4, 3, 3)
    codes, values = small.quantise_latent(latent, 8)
    assert codes.max() == 255 and (values - latent).abs().max() < 0.03


def test_zigzag_is_the_order_of_the_standard():
    """The first and last entries are those of ITU-T T.81, figure A.6."""
    order = jpeg.zigzag(torch.arange(64).view(8, 8)).tolist()
    assert order[:10] == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert order[-3:] == [55, 62, 63] and sorted(order) == list(range(64))


def test_run_lengths_are_pairs_of_zeros_and_value():
    pairs = jpeg.run_lengths([5, 0, 0, -3, 0, 1, 0, 0])
    assert pairs == [(0, 5), (2, -3), (1, 1), (0, 0)]
    assert jpeg.run_lengths([1, 2]) == [(0, 1), (0, 2)]


def test_encode_block_agrees_with_compress():
    image = photo("sunset", 64)
    blocks = jpeg.to_blocks(jpeg.to_planes(image)[0] + 128)
    levels, _ = jpeg.encode_block(blocks[1, 2], jpeg.quantisation_tables(40)[0], jpeg.dct_matrix())
    assert torch.equal(levels, jpeg.compress(image, 40).coefficients[0][1, 2].float())


def test_wave_grid_has_each_basis_function_at_its_position():
    """Row 1, column 0 is light above and dark below; row 0, column 1 is light at the left."""
    grid = wave_grid()
    assert grid.size == (8 * TILE, 8 * TILE)
    upper, lower = (grid.getpixel((10, TILE + y)) for y in (4, 29))
    assert upper > 150 > 90 > lower
    left, right = (grid.getpixel((TILE + x, 10)) for x in (4, 29))
    assert left > 150 > 90 > right


@pytest.mark.slow
def test_codec_comparison_of_section_8():
    """At the size of 8-bit latents JPEG has a higher mean PSNR than the autoencoder, at 4 bits a
    lower one; WebP is above both.
    """
    model = autoencoder.load()
    originals = [photo(name, 512) for name in names("held-out")]
    latents = [codecs.encode(model, image) for image in originals]

    smallest = [codecs.pillow(image, "WEBP", 1).bytes for image in originals]

    def total_psnrs(bits: int) -> list[float]:
        """Of the autoencoder, JPEG and WebP, on the photos on which WebP gets as small."""
        ours = [codecs.pack_latent(model, latent, bits) for latent in latents]
        rows = zip(ours, originals, smallest, strict=True)
        pairs = [(one, image) for one, image, least in rows if least <= one.bytes]
        assert len(pairs) >= 4
        totals = [sum(psnr(one.image, image) for one, image in pairs)]
        for kind in ("JPEG", "WEBP"):
            rivals = [codecs.pillow_within(one.bytes, image, kind).image for one, image in pairs]
            totals.append(
                sum(psnr(rival, pair[1]) for rival, pair in zip(rivals, pairs, strict=True))
            )
        return totals

    ours, by_jpeg, by_webp = total_psnrs(8)
    assert by_webp > by_jpeg > ours
    ours, by_jpeg, by_webp = total_psnrs(4)
    assert by_webp > ours > by_jpeg
