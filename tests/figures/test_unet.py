"""Lesson 5's figures show the network's recorded shapes, which agree with figure 1 of the paper."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch.nn import functional as F

from course_lib.convolution.layers import receptive_field
from course_lib.figures.unet import errors, layers
from course_lib.figures.unet import feature_maps as maps
from course_lib.figures.unet.architecture import architecture
from course_lib.figures.unet.blocks import PARTS, block_diagram
from course_lib.figures.unet.trace import (
    COPY,
    encoder_and_bottleneck,
    largest_valid_size,
    path_rows,
    receptive_rows,
    trace,
)
from course_lib.unet import UNet
from course_lib.unet.surgery import encode
from course_lib.vision import tasks


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def paper():
    with torch.device("meta"):
        return UNet.paper()


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return tasks.make_model("unet").eval()


def texts(figure) -> list[str]:
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    return labels + [axes.get_title(loc=loc) for axes in figure.axes for loc in ("left", "center")]


# Figure 1 of the paper: channels and side of every feature map in order, without the skip copies.
FIGURE_1 = [
    (channels, side)
    for channels, sides in (
        (64, (570, 568, 284)),
        (128, (282, 280, 140)),
        (256, (138, 136, 68)),
        (512, (66, 64, 32)),
        (1024, (30, 28)),
        (512, (56, 54, 52)),
        (256, (104, 102, 100)),
        (128, (200, 198, 196)),
        (64, (392, 390, 388)),
        (2, (388,)),
    )
    for side in sides
]


def test_trace_agrees_with_figure_1(paper):
    operations = trace(paper, 572)
    assert [item.output_shape[:2] for item in operations if item.kind != COPY] == FIGURE_1
    copies = [(item.input_shape, item.output_shape) for item in operations if item.kind == COPY]
    sides = ((512, 64, 56), (256, 136, 104), (128, 280, 200), (64, 568, 392))
    assert copies == [((c, before, before), (c, after, after)) for c, before, after in sides]
    assert sum(item.parameters for item in operations) == 31_030_658


@pytest.mark.parametrize(
    "options", [{}, {"upsampling": "bilinear", "padding": False}, {"skips": 1}, {"skips": 0}]
)
def test_trace_counts_every_parameter_and_does_not_change_the_model(options):
    model = UNet(3, 2, width=4, depth=2, **options).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    operations = trace(model, 44)
    total = sum(weights.numel() for weights in model.parameters())
    assert sum(item.parameters for item in operations) == total
    assert sum(item.kind == COPY for item in operations) == options.get("skips", 2)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_invalid_sizes_raise(paper):
    with pytest.raises(ValueError, match="max pooling of 279 x 279"):
        trace(paper, 570)
    with pytest.raises(ValueError, match="12 x 12 pixels is too small"):
        trace(paper, 12)


def is_valid(side: int, depth: int, padding: bool) -> bool:
    """Whether an input of this side is valid, computed layer by layer."""
    shrinkage = 0 if padding else 4  # of two 3x3 convolutions
    for _ in range(depth):
        side -= shrinkage
        if side < 2 or side % 2:
            return False
        side //= 2
    side -= shrinkage
    for _ in range(depth):
        if side < 1:
            return False
        side = 2 * side - shrinkage
    return side >= 1


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.extended
def test_largest_valid_size_agrees_with_a_search(depth, padding):
    with torch.device("meta"):
        model = UNet(1, 1, width=1, depth=depth, padding=padding, normalisation="none")
    valid = [side for side in range(1, 500) if is_valid(side, depth, padding)]
    smallest = valid[0]
    for max_size in range(smallest, 500, 7):
        expected = max(side for side in valid if side <= max_size)
        assert largest_valid_size(depth, padding, max_size) == expected
    with pytest.raises(ValueError, match=f"at least {smallest} pixels"):
        largest_valid_size(depth, padding, smallest - 1)
    assert trace(model, smallest)
    with pytest.raises(ValueError):
        trace(model, smallest - 2**depth if smallest > 2**depth else smallest + 1)


def central_gradient(model, forward, size, channels=3):
    """The absolute input gradient of the central output pixel, and this pixel's row."""
    x = torch.randn(2, channels, size, size, requires_grad=True, dtype=torch.float64)
    output = forward(model.double().eval(), x)
    middle = output.shape[-1] // 2
    output[:, :, middle, middle].sum().backward()
    return x.grad.abs().sum((0, 1)), middle


def run_encoder(model, x):
    for step in model.encoder:
        _, x = step(x)
    return model.bottleneck(x)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_receptive_field_of_the_bottleneck_agrees_with_the_formula_and_gradients(depth):
    torch.manual_seed(0)
    model = UNet(3, 2, width=8, depth=depth)
    size = 64 if depth < 3 else 128  # larger than the receptive field
    gradient, middle = central_gradient(model, run_encoder, size)
    rows = receptive_rows(encoder_and_bottleneck(trace(model, size)), middle)
    assert len(rows) == receptive_field([(3, 1), (3, 1), (2, 2)] * depth + [(3, 1), (3, 1)])
    assert (gradient > 0).any(1).nonzero().flatten().tolist() == list(rows)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (64, {}),
        (64, {"skips": 0}),
        (64, {"upsampling": "bilinear"}),
        (60, {"padding": False}),
        (60, {"padding": False, "upsampling": "bilinear"}),
    ],
)
def test_receptive_field_of_the_output_agrees_with_gradients(size, options):
    torch.manual_seed(0)
    model = UNet(3, 2, width=8, depth=2, **options)
    gradient, middle = central_gradient(model, lambda model, x: model(x), size)
    rows = receptive_rows(trace(model, size), middle)
    assert (gradient > 0).any(1).nonzero().flatten().tolist() == list(rows)


def test_drawing_shows_the_papers_shapes(paper):
    labels = texts(architecture(paper, 572))
    for channels, side in FIGURE_1:
        assert any(str(channels) in text for text in labels), channels
        assert any(f"{side}²" in text for text in labels) or side in (390, 388, 198, 102, 54), side
    assert {"572²", "388²", "512 +\n512", "64 +\n64", "568² → 392²", "÷2", "×2", "1×1"} <= set(
        labels
    )
    text = " ".join(labels).replace("\n", " ")
    for description in (
        "conv 3×3, ReLU",
        "max pool 2×2",
        "up-conv 2×2",
        "copy and crop",
        "conv 1×1",
        "bottleneck",
        "encoder",
    ):
        assert description in text, description


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(
    "options", [{}, {"skips": 0}, {"upsampling": "bilinear", "padding": False}]
)
@pytest.mark.extended
def test_networks_of_other_depths_are_drawn(depth, options):
    with torch.device("meta"):
        model = UNet(3, 7, width=8, depth=depth, **options)
    labels = texts(architecture(model, largest_valid_size(depth, model.padding, 400)))
    assert str(8 * 2**depth) in labels and "7" in labels
    copies = 0 if "skips" in options else depth
    # Without cropping, the legend contains "copy" too.
    assert labels.count("copy") == copies + (copies > 0 and model.padding)
    assert sum("→" in label for label in labels) == (0 if model.padding else copies)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "options", [{}, {"skips": 0}, {"upsampling": "bilinear", "padding": False}]
)
@pytest.mark.extended
def test_block_diagrams_show_modules_and_copies(part, options):
    model = UNet(3, 7, width=8, depth=2, **options)
    text = " ".join(texts(block_diagram(model, 44, part, 1 if "step" in part else 0)))
    module = {
        "encoder step": "encoder.1.",
        "decoder step": "decoder.1.",
        "output layer": "output",
    }.get(part, part)
    has_skips = "skips" not in options
    assert module in text
    assert ("copied to decoder.0" in text) == (part == "encoder step" and has_skips)
    assert ("copied from the encoder" in text) == (part == "decoder step" and has_skips)


def test_missing_blocks_raise(paper):
    with pytest.raises(ValueError, match="choose one of encoder step"):
        block_diagram(paper, 572, "middle")
    with pytest.raises(ValueError, match="has 4 of them"):
        block_diagram(paper, 572, "decoder step", 4)


def test_transposed_convolution_is_the_sum_of_its_products():
    x, kernel = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.arange(9.0).view(3, 3)
    figure = layers.transposed_convolution(x, kernel, stride=2)
    output = F.conv_transpose2d(x[None, None], kernel[None, None], stride=2)[0, 0]
    images = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    maps_ = [image for image in images if image.shape == (5, 5)]  # four products and their sum
    assert len(maps_) == 5 and any(np.allclose(image, output) for image in maps_)
    assert np.allclose(sum(maps_), 2 * output.numpy())
    with pytest.raises(ValueError, match="2 x 2 numbers"):
        layers.transposed_convolution(kernel, kernel, 2)


def test_clipping_error():
    target = torch.tensor([-2.0, 0.0, 0.5, 2.0])
    assert layers.clipping_error(target, "none") == (0, 0)
    assert layers.clipping_error(target, "tanh") == (0.5, 0.5)
    assert layers.clipping_error(target, "sigmoid (softmax too)") == (0.5, 1.25)
    with pytest.raises(ValueError, match="choose one of none"):
        layers.clipping_error(target, "step")


def test_target_histograms_describe_the_range_of_each_activation():
    noise = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    text = " ".join(texts(layers.target_histograms({"noise": noise})))
    assert "none: reaches every value" in text and "tanh: misses 3" in text


def test_normalised_maps_draw_constant_maps():
    maps_ = {"constant": torch.ones(4, 4), "random": torch.rand(4, 4)}
    figure = layers.normalised_maps(maps_, {"constant": "checkerboard 0%"})
    assert [len(axes.images) for axes in figure.axes] == [1, 1]
    figure = layers.normalised_maps(maps_, {}, limits=(0, 2))
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0, 2), (0, 2)]


def test_error_kinds_are_stacked():
    rows = {"one": {"missed": 0.02, "wrong": 0.03}, "none": {"missed": 0.0, "wrong": 0.0}}
    figure = errors.error_kinds({"all pixels": rows, "far away": rows})
    (bars, more_bars) = figure.axes[0].containers
    assert [bar.get_width() for bar in bars] == [2, 0]
    assert more_bars[0].get_x() == 2 and more_bars[0].get_width() == pytest.approx(3)
    assert {" 5.0 %", " 0.0 %"} <= set(texts(figure))
    small = errors.error_kinds({"all": {"one": {"missed": 0.0004}, "two": {"missed": 0.002}}})
    assert {" 0.04 %", " 0.2 %"} <= set(texts(small))
    with pytest.raises(ValueError, match="There are 4 kinds"):
        errors.error_kinds({"all": {"one": dict.fromkeys("abcd", 0.1)}})


def test_feature_maps_are_the_outputs_of_the_steps(small, three_objects):
    outputs = maps.feature_maps(small, three_objects.image)
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        **{f"encoder {n}": (16 * 2**n, 128 // 2**n, 128 // 2**n) for n in range(4)},
        "bottleneck": (256, 8, 8),
        **{f"decoder {n}": (128 // 2**n, 16 * 2**n, 16 * 2**n) for n in range(4)},
    }
    with torch.no_grad():
        torch.testing.assert_close(
            small.output(outputs["decoder 3"][None]), small(three_objects.image[None])
        )
    figure = maps.feature_map_grid(outputs)
    assert sum(len(axes.images) for axes in figure.axes) == 27
    assert not any(module._forward_hooks for module in small.modules())


def test_effective_receptive_fields_show_both_sizes():
    gradient = torch.zeros(20, 20)
    gradient[5:11, 4:14] = 1
    figure = maps.effective_receptive_fields({"depth 1": (gradient, range(4, 12))}, zoom=16)
    assert figure.axes[0].get_xlabel() == "computed 8×8\nmeasured 6×10"
    fields = {"depth 1": (gradient, range(4, 12))}
    figure = maps.effective_receptive_fields(fields, inner=[range(6, 9), range(5, 10)])
    assert [patch.get_width() for patch in figure.axes[0].patches] == [8, 3, 5]
    assert figure.axes[0].get_xlabel() == "computed 8×8\nmeasured 6×10"


def test_receptive_field_through_one_skip_agrees_with_gradients():
    torch.manual_seed(0)
    model = UNet(3, 1, width=8, depth=2, normalisation="none").eval()
    operations = trace(model, 64)
    for level, width in ((0, 9), (1, 26)):
        rows = path_rows(operations, level, 32)
        x = torch.randn(10, 3, 64, 64, requires_grad=True)
        skips, inputs = encode(model, x)
        x_up = model.bottleneck(inputs).detach()
        for index, step in enumerate(model.decoder):
            skip = skips[1 - index]
            x_up = step(x_up, skip if 1 - index == level else skip.detach())
        model.output(x_up)[:, :, 32, 32].sum().backward()
        reached_rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        assert len(rows) == width
        assert rows.start <= reached_rows.min() and reached_rows.max() < rows.stop


def test_compare_joins_labels_both_feature_maps():
    figure = layers.compare_joins({"a": (("input", 32), ("below", 32), "concatenate", 64)})
    assert {"input: 32", "below: 32", "32 + 32 = 64"} <= set(texts(figure))


def test_error_rates_are_drawn_by_distance():
    (axes,) = maps.error_by_distance({"one": [0.5, *[0.0] * 6]}).axes
    assert axes.get_xticklabels()[0].get_text() == "up to 1"
    (axes,) = maps.error_by_distance({"one": [0.4, 0.03, float("nan"), 0.0, 0, 0, 0]}).axes
    assert axes.get_ylim()[0] == pytest.approx(0.01)


@pytest.mark.extended
def test_segmentations_are_compared_with_the_ground_truth(three_objects):
    wrong = three_objects.semantic.clone()
    wrong[:64] = 0
    predictions = {"right": three_objects.semantic, "wrong": wrong}
    figure = maps.compare_segmentations(three_objects, predictions, {"right": "mIoU 1.00"})
    error_rate = (wrong != three_objects.semantic).float().mean()
    objects = {"one": (three_objects.semantic > 0).long()}
    only = maps.compare_segmentations(three_objects, objects, {}, objects_only=True)
    assert "this scene: 0.0% wrong" in texts(only)
    in_a_row = maps.compare_segmentations(
        three_objects, objects, {}, objects_only=True, one_row=True
    )
    assert [axes.get_title(loc="left") for axes in in_a_row.axes] == ["the image", "", "one", ""]
    assert {
        "mIoU 1.00",
        "this scene: 0.0% wrong",
        f"this scene: {error_rate:.1%} wrong",
    } <= set(texts(figure))


def test_image_columns_have_captions():
    images = torch.rand(2, 3, 8, 8)
    columns = {"noisy": images * 2, "denoised": images}
    figure = maps.image_columns(columns, {"denoised": ["20 dB", "21 dB"]})
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "20 dB", "", "21 dB"]
