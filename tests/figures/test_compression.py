"""Lesson 4's figures show the values of the codecs and models that they are drawn from."""

import pytest
import torch
from matplotlib import pyplot as plt

from course_lib.compression import jpeg, pca
from course_lib.compression.autoencoder import CONFIG
from course_lib.compression.codecs import RateDistortion, pillow
from course_lib.compression.shortcut_autoencoder import ShortcutAutoencoder
from course_lib.data.photos import photo
from course_lib.figures.compression import charts, latents, shapes
from course_lib.figures.compression import jpeg as figures
from course_lib.metrics.images import psnr
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL


@pytest.fixture(scope="module")
def image():
    return photo("sunset", 64)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ShortcutAutoencoder(CONFIG).eval()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    return labels + [axes.get_title(loc="left") for axes in figure.axes]


def test_block_tables_show_the_numbers_of_the_codec(image):
    figure = figures.block_tables(image, 3, 4, quality=20)
    tables = [[text.get_text().replace("−", "-") for text in axes.texts] for axes in figure.axes]
    coefficients = jpeg.compress(image, 20).coefficients[0][3, 4].flatten().tolist()
    assert [int(number) for number in tables[3]] == coefficients
    pixels = jpeg.to_blocks(jpeg.to_planes(image)[0] + 128)[3, 4].flatten()
    assert [int(number) for number in tables[0]] == pixels.int().tolist()
    nonzero = sum(number != 0 for number in coefficients)
    assert any(f"{nonzero} are not 0" in text for text in texts(figure))
    with pytest.raises(ValueError, match="8 rows of 8 blocks"):
        figures.block_tables(image, 8, 0, 20)


def test_other_jpeg_figures_are_drawn(image):
    decoded = jpeg.decompress(jpeg.compress(image, 30))
    drawings = [
        figures.colour_planes(image),
        figures.dct_basis(),
        figures.dct_reconstruction(jpeg.to_blocks(image[0])[0, 0], counts=(1, 64)),
        figures.compare_with_pillow(decoded, image),
    ]
    assert all(figure.axes for figure in drawings)
    with pytest.raises(ValueError, match="1 to 64"):
        figures.dct_reconstruction(jpeg.to_blocks(image[0])[0, 0], counts=(0,))


def test_all_64_coefficients_reconstruct_the_block(image):
    block = jpeg.to_blocks(image[0])[2, 2]
    figure = figures.dct_reconstruction(block, counts=(64,))
    torch.testing.assert_close(
        torch.from_numpy(figure.axes[0].images[0].get_array().data), block, atol=1e-5, rtol=0
    )


def test_compare_qualities_shows_file_size_and_psnr(image):
    labels = texts(figures.compare_qualities(image, (50, 5), corner=(8, 8), side=16))
    for quality in (50, 5):
        encoded = pillow(image, "JPEG", quality)
        assert f"quality {quality}\n{encoded.bytes:,} bytes" in labels
        assert f"{psnr(encoded.image, image):.1f} dB" in labels


def test_charts_draw_their_data():
    results = {
        "one": {10: (1000, 25.0), 90: (9000, 35.0)},
        "two": {10: (2000, 24.0), 90: (8000, 36.0)},
    }
    left, right = charts.bytes_by_quality(results).axes
    assert left.lines[1].get_ydata().tolist() == [2000, 8000]
    assert right.lines[0].get_ydata().tolist() == [25.0, 35.0]
    codecs = {
        "JPEG": [RateDistortion(0.1, 20, 0.5), RateDistortion(1.0, 30, 0.9)],
        "autoencoder": [RateDistortion(0.4, 26, 0.7)],
        "other": [RateDistortion(0.2, 21, 0.6)],
    }
    panels = charts.rate_distortion(codecs, {"autoencoder": ["8 bits"]}).axes
    assert [line.get_label() for line in panels[0].lines] == [*codecs]
    assert panels[1].lines[0].get_xydata().tolist() == [[0.1, 0.5], [1.0, 0.9]]
    assert [text.get_text() for text in panels[0].texts] == ["8 bits"]


@pytest.mark.parametrize(
    "draw", [charts.bytes_by_quality, charts.rate_distortion, shapes.autoencoder_shapes]
)
def test_empty_data_raises(draw):
    with pytest.raises(ValueError, match="at least one"):
        draw({})


def test_traced_shapes_match_the_configuration():
    config = AutoencoderConfig(block_out_channels=(4, 8, 12, 16), norm_num_groups=2)
    model = AutoencoderKL(config)
    stages = shapes.trace_stages(model, 64)
    by_name = {stage.name: stage.shape for stage in stages}
    assert stages[0].shape == stages[-1].shape == (3, 64, 64)
    assert by_name["latent"] == (4, 8, 8)
    assert by_name["quant_conv"] == (8, 8, 8)
    assert by_name["down_blocks.0"] == (config.block_out_channels[0], 32, 32)
    assert by_name["up_blocks.0"] == (config.block_out_channels[-1], 16, 16)
    assert not any(module._forward_hooks for module in model.modules())


def test_traced_shapes_of_the_shortcut_autoencoder_never_have_the_full_resolution(model):
    first, *inner, last = shapes.trace_stages(model, 64)
    assert first.shape == last.shape == (3, 64, 64)
    wide, deep = CONFIG.block_out_channels
    assert [stage.shape for stage in inner] == [
        (48, 16, 16),
        (wide, 16, 16),
        (deep, 8, 8),
        (4, 8, 8),
        (deep, 8, 8),
        (4 * wide, 8, 8),
        (wide, 16, 16),
        (48, 16, 16),
    ]


def test_official_model_is_traced_on_the_meta_device():
    with torch.device("meta"):
        official = AutoencoderKL()
    by_name = {stage.name: stage.shape for stage in shapes.trace_stages(official, 512)}
    assert by_name["image"] == by_name["conv_out"] == (3, 512, 512)
    assert by_name["latent"] == (4, 64, 64)
    labels = texts(shapes.autoencoder_shapes({"official": official}))
    assert "official: 83,653,863 parameters" in labels
    assert {"3×512×512", "4×64×64", "512×64×64"} <= set(labels)


def test_gallery_shows_images_titles_and_notes(image):
    rows = {"first": [image, image], "second": [image, 1 - image]}
    figure = latents.gallery(rows, ["left", "right"], {"second": ["a", "b"]})
    assert len(figure.axes) == 4
    assert {"first", "second", "left", "right", "a", "b"} <= set(texts(figure))
    for wrong in (
        {"rows": {}},
        {"rows": {"a": [image]}, "columns": ["1", "2"]},
        {"rows": {"a": [image], "b": []}},
    ):
        with pytest.raises(ValueError, match="the same number of each"):
            latents.gallery(**wrong)


@pytest.mark.extended
def test_principal_components_show_their_share_of_the_variance():
    code = pca.fit(4, size=64)
    figure = latents.principal_components(code)
    assert any(f"({code.explained_variance_ratio[0]:.1%})" in text for text in texts(figure))


def test_latent_channels_draws_each_channel_and_two_changes(model, image):
    figure = latents.latent_channels(model, image, change=2)
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 2 + 3 * 4
    assert "channel 3 − 2 std" in texts(figure)


def test_latent_histograms_show_spread_and_noise_of_each_channel(model, image):
    with torch.no_grad():
        posterior = model.encode(image[None] * 2 - 1)
    titles = texts(latents.latent_histograms(posterior))
    noises = (0.5 * posterior.logvar).exp().mean((0, 2, 3))
    for channel, noise in enumerate(noises):
        spread = posterior.mean[:, channel].numpy().std()
        ratio = f"{spread:.2f} / {noise:.3f} = {spread / noise:.1f}"
        assert f"channel {channel}: {ratio}" in titles


def test_rounding_differences_are_drawn_as_equal(image):
    changed = image.clone()
    changed[0, 0, 0] += 2 / 255 if image[0, 0, 0] < 0.5 else -2 / 255
    changed[1, 4, 4] += 0.2 if image[1, 4, 4] < 0.5 else -0.2
    drawn = figures.compare_with_pillow(changed, image).axes[2].images[0].get_array()
    assert (drawn[0, 0] == 128).all() and (drawn[4, 4] != 128).any()


def test_patterns_are_drawn_with_the_sign_of_their_cosines():
    cosines = jpeg.dct_matrix()
    figure = charts.patterns_and_cosines(-cosines, cosines)
    for axes in figure.axes:
        curve, dots, _ = axes.lines
        assert list(curve.get_ydata()) == pytest.approx(list(dots.get_ydata()))
    assert texts(figure)[:2] == ["0: 1.000", "1: 1.000"]
