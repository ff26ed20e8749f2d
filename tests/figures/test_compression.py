"""Lesson 4's figures show the numbers of the codecs and the models that they are drawn from."""

import pytest
import torch
from matplotlib import pyplot as plt

from course_lib.compression import jpeg, pca
from course_lib.compression.autoencoder import CONFIG
from course_lib.compression.codecs import Point, pillow
from course_lib.data.photos import photo
from course_lib.figures.compression import charts as charts
from course_lib.figures.compression import jpeg as figures
from course_lib.figures.compression import latents as latents
from course_lib.figures.compression import shapes as shapes
from course_lib.metrics.images import psnr
from course_lib.sd.vae import AutoencoderKL


@pytest.fixture(scope="module")
def image():
    return photo("sunset", 64)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AutoencoderKL(CONFIG).eval()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def words(figure) -> list[str]:
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return texts + [axes.get_title(loc="left") for axes in figure.axes]


def test_one_block_writes_the_numbers_of_jpeg(image):
    figure = figures.one_block(image, 3, 4, quality=20)
    tables = [[text.get_text().replace("−", "-") for text in axes.texts] for axes in figure.axes]
    numbers = jpeg.compress(image, 20).numbers[0][3, 4].flatten().tolist()
    assert [int(number) for number in tables[3]] == numbers
    pixels = jpeg.blocks(jpeg.planes(image)[0] + 128)[3, 4].flatten()
    assert [int(number) for number in tables[0]] == pixels.int().tolist()
    assert any(
        f"{sum(number != 0 for number in numbers)} are not 0" in word for word in words(figure)
    )
    with pytest.raises(ValueError, match="8 rows of 8 blocks"):
        figures.one_block(image, 8, 0, 20)


def test_every_jpeg_figure_is_drawn(image):
    by_hand = jpeg.decompress(jpeg.compress(image, 30))
    drawn = [
        figures.colours(image),
        figures.waves(),
        figures.sum_of_waves(jpeg.blocks(image[0])[0, 0], counts=(1, 64)),
        figures.ours_and_theirs(by_hand, image),
    ]
    assert all(figure.axes for figure in drawn)
    with pytest.raises(ValueError, match="1 to 64"):
        figures.sum_of_waves(jpeg.blocks(image[0])[0, 0], counts=(0,))


def test_all_64_waves_are_the_block(image):
    block = jpeg.blocks(image[0])[2, 2]
    figure = figures.sum_of_waves(block, counts=(64,))
    torch.testing.assert_close(
        torch.from_numpy(figure.axes[0].images[0].get_array().data), block, atol=1e-5, rtol=0
    )


def test_qualities_are_told_with_the_files_bytes(image):
    said = words(figures.at_qualities(image, (50, 5), corner=(8, 8), side=16))
    for quality in (50, 5):
        stored = pillow(image, "JPEG", quality)
        assert f"quality {quality}\n{stored.bytes:,} bytes" in said
        assert f"{psnr(stored.image, image):.1f} dB" in said


def test_the_charts_draw_what_they_are_given():
    found = {
        "one": {10: (1000, 25.0), 90: (9000, 35.0)},
        "two": {10: (2000, 24.0), 90: (8000, 36.0)},
    }
    left, right = charts.bytes_by_quality(found).axes
    assert left.lines[1].get_ydata().tolist() == [2000, 8000] and right.lines[
        0
    ].get_ydata().tolist() == [25.0, 35.0]
    ways = {
        "JPEG": [Point(0.1, 20, 0.5), Point(1.0, 30, 0.9)],
        "autoencoder": [Point(0.4, 26, 0.7)],
    }
    ways |= {"another": [Point(0.2, 21, 0.6)]}
    panels = charts.rate_distortion(ways, {"autoencoder": ["8 bits"]}).axes
    assert [line.get_label() for line in panels[0].lines] == [*ways]
    assert panels[1].lines[0].get_xydata().tolist() == [[0.1, 0.5], [1.0, 0.9]]
    assert [text.get_text() for text in panels[0].texts] == ["8 bits"]


@pytest.mark.parametrize("drawn", [charts.bytes_by_quality, charts.rate_distortion, shapes.shapes])
def test_nothing_to_draw_is_told(drawn):
    with pytest.raises(ValueError, match="at least one"):
        drawn({})


def test_shapes_are_those_of_the_running_model(model):
    stages = shapes.trace(model, 64)
    found = {stage.name: stage.shape for stage in stages}
    assert [stages[0].shape, found["latent"], stages[-1].shape] == [
        (3, 64, 64),
        (4, 8, 8),
        (3, 64, 64),
    ]
    assert found["quant_conv"] == (8, 8, 8) and found["down_blocks.0"] == (
        CONFIG.block_out_channels[0],
        32,
        32,
    )
    assert found["up_blocks.0"] == (CONFIG.block_out_channels[-1], 16, 16)
    assert not any(part._forward_hooks for part in model.modules())


def test_the_official_model_is_traced_without_a_number():
    with torch.device("meta"):
        official = AutoencoderKL()
    stages = {stage.name: stage.shape for stage in shapes.trace(official, 512)}
    assert (stages["image"], stages["latent"], stages["conv_out"]) == (
        (3, 512, 512),
        (4, 64, 64),
        (3, 512, 512),
    )
    figure = shapes.shapes({"official": official})
    assert "official: 83,653,863 parameters" in words(figure)
    assert {"3×512×512", "4×64×64", "512×64×64"} <= set(words(figure))


def test_a_gallery_has_a_place_for_everything(image):
    rows = {"first": [image, image], "second": [image, 1 - image]}
    figure = latents.gallery(rows, ["left", "right"], {"second": ["a", "b"]})
    assert len(figure.axes) == 4
    assert {"first", "second", "left", "right", "a", "b"} <= set(words(figure))
    for wrong in (
        {"rows": {}},
        {"rows": {"a": [image]}, "columns": ["1", "2"]},
        {"rows": {"a": [image], "b": []}},
    ):
        with pytest.raises(ValueError, match="as many of each"):
            latents.gallery(**wrong)


def test_components_tell_their_share(image):
    code = pca.fit(4, size=64)
    figure = latents.components(code)
    assert any(f"({code.shares[0]:.1%})" in word for word in words(figure))


def test_channels_are_moved_one_by_one(model, image):
    figure = latents.channels(model, image, change=2)
    maps = [axes for axes in figure.axes if axes.images]
    assert len(maps) == 2 + 3 * 4
    assert "channel 3 − 2 std" in words(figure)


def test_spread_tells_medians(model, image):
    with torch.no_grad():
        posterior = model.encode(image[None] * 2 - 1)
    said = words(latents.spread(posterior))
    assert f"the means: std {posterior.mean.numpy().std():.2f}" in said
    assert any(f"{(0.5 * posterior.logvar).exp().median():.3f}" in word for word in said)
