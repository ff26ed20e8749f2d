"""Lesson 5's figures are drawn from the running network: what they say is compared with figure 1 of
the paper.
"""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch.nn import functional as F

from course_lib.convolution.layers import receptive_field
from course_lib.data.scenes import scene
from course_lib.figures.unet import feature_maps as maps
from course_lib.figures.unet import layers as parts
from course_lib.figures.unet.architecture import architecture
from course_lib.figures.unet.blocks import PARTS, block
from course_lib.figures.unet.trace import COPY, down_to_bottleneck, fitting, seen, trace
from course_lib.unet.model import UNet
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
    return tasks.model("unet").eval()


@pytest.fixture(scope="module")
def three():
    return scene(0, objects=(3, 3), split="new-backgrounds")


def words(figure) -> list[str]:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [
        *found,
        *(axes.get_title(loc=place) for axes in figure.axes for place in ("left", "center")),
    ]


# Figure 1 of the paper: channels and side of every map, in order, without what is copied.
FIGURE_1 = [
    *(
        (64, 570),
        (64, 568),
        (64, 284),
        (128, 282),
        (128, 280),
        (128, 140),
        (256, 138),
        (256, 136),
        (256, 68),
    ),
    *((512, 66), (512, 64), (512, 32), (1024, 30), (1024, 28)),
    *((512, 56), (512, 54), (512, 52), (256, 104), (256, 102), (256, 100)),
    *((128, 200), (128, 198), (128, 196), (64, 392), (64, 390), (64, 388), (2, 388)),
]


def test_the_trace_is_figure_1(paper):
    found = trace(paper, 572)
    assert [one.after[:2] for one in found if one.kind != COPY] == FIGURE_1
    copies = [(one.before, one.after) for one in found if one.kind == COPY]
    sides = ((512, 64, 56), (256, 136, 104), (128, 280, 200), (64, 568, 392))
    assert copies == [((c, before, before), (c, after, after)) for c, before, after in sides]
    assert sum(one.parameters for one in found) == 31_030_658


@pytest.mark.parametrize(
    "options", [{}, {"upsampling": "bilinear", "padding": False}, {"skips": 1}, {"skips": 0}]
)
def test_the_trace_holds_every_parameter_and_leaves_the_model_alone(options):
    model = UNet(3, 2, width=4, depth=2, **options).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = trace(model, 44)
    assert sum(one.parameters for one in found) == sum(
        weights.numel() for weights in model.parameters()
    )
    assert sum(one.kind == COPY for one in found) == options.get("skips", 2)
    assert model.training and not any(
        module._forward_hooks or module._forward_pre_hooks for module in model.modules()
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_sizes_that_do_not_fit_are_refused(paper):
    with pytest.raises(ValueError, match="max pooling of 279 x 279"):
        trace(paper, 570)
    with pytest.raises(ValueError, match="12 x 12 pixels is too small"):
        trace(paper, 12)


def fits(side: int, depth: int, padding: bool) -> bool:
    """The arithmetic of the sizes, step by step."""
    lost = 0 if padding else 4
    for _ in range(depth):
        side -= lost
        if side < 2 or side % 2:
            return False
        side //= 2
    side -= lost
    for _ in range(depth):
        if side < 1:
            return False
        side = 2 * side - lost
    return side >= 1


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_the_size_that_fits_is_the_largest_one(depth, padding):
    with torch.device("meta"):
        model = UNet(1, 1, width=1, depth=depth, padding=padding, normalisation="none")
    least = next(side for side in range(1, 500) if fits(side, depth, padding))
    for near in range(least, 500, 7):
        assert fitting(depth, padding, near) == max(
            side for side in range(near + 1) if fits(side, depth, padding)
        )
    with pytest.raises(ValueError, match=f"at least {least} pixels"):
        fitting(depth, padding, least - 1)
    assert trace(model, least)
    with pytest.raises(ValueError):
        trace(model, least - 2**depth if least > 2**depth else least + 1)


def gradient(model, answer, size, channels=3):
    x = torch.randn(8, channels, size, size, requires_grad=True, dtype=torch.float64)
    found = answer(model.double().eval(), x)
    middle = found.shape[-1] // 2
    found[:, :, middle, middle].sum().backward()
    return x.grad.abs().sum((0, 1)), middle


def encoded(model, x):
    for step in model.encoder:
        _, x = step(x)
    return model.bottleneck(x)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_the_bottleneck_sees_is_computed_as_in_lesson_2_and_measured(depth):
    torch.manual_seed(0)
    model = UNet(3, 2, width=8, depth=depth)
    found, middle = gradient(model, encoded, 128)
    rows = seen(down_to_bottleneck(trace(model, 128)), middle)
    assert len(rows) == receptive_field([(3, 1), (3, 1), (2, 2)] * depth + [(3, 1), (3, 1)])
    assert (found > 0).any(1).nonzero().flatten().tolist() == list(rows)


@pytest.mark.parametrize("size, options", [
    (128, {}), (128, {"skips": 0}), (128, {"upsampling": "bilinear"}),
    (124, {"padding": False}), (124, {"padding": False, "upsampling": "bilinear"}),
])  # fmt: skip
def test_what_an_output_sees_is_measured_too(size, options):
    torch.manual_seed(0)
    model = UNet(3, 2, width=8, depth=2, **options)
    found, middle = gradient(model, lambda model, x: model(x), size)
    assert (found > 0).any(1).nonzero().flatten().tolist() == list(seen(trace(model, size), middle))


def test_the_drawing_says_the_papers_numbers(paper):
    found = words(architecture(paper, 572))
    for channels, side in FIGURE_1:
        assert any(str(channels) in text for text in found), channels
        assert any(f"{side}²" in text for text in found) or side in (390, 388, 198, 102, 54), side
    assert {"572²", "388²", "512 + 512", "64 + 64", "568² → 392²", "÷2", "×2", "1×1"} <= set(found)
    legend = " ".join(found).replace("\n", " ")
    for told in (
        "conv 3×3, ReLU",
        "max pool 2×2",
        "up-conv 2×2",
        "copy and crop",
        "conv 1×1",
        "bottleneck",
        "encoder",
    ):
        assert told in legend, told


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(
    "options", [{}, {"skips": 0}, {"upsampling": "bilinear", "padding": False}]
)
def test_other_networks_are_drawn_as_they_are(depth, options):
    with torch.device("meta"):
        model = UNet(3, 7, width=8, depth=depth, **options)
    found = words(architecture(model, fitting(depth, model.padding, 400)))
    assert str(8 * 2**depth) in found and "7" in found
    copies = 0 if "skips" in options else depth
    # the last one stands in the legend
    assert found.count("copy") == copies + (copies > 0 and model.padding)
    assert sum("→" in text for text in found) == (0 if model.padding else copies)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "options", [{}, {"skips": 0}, {"upsampling": "bilinear", "padding": False}]
)
def test_each_block_is_drawn_with_its_modules(part, options):
    model = UNet(3, 7, width=8, depth=2, **options)
    figure = block(model, 44, part, 1 if "step" in part else 0)
    found = " ".join(words(figure))
    prefix = {
        "encoder step": "encoder.1.",
        "decoder step": "decoder.1.",
        "output layer": "output",
    }.get(part, part)
    assert prefix in found
    assert ("kept for decoder.0" in found) == (part == "encoder step" and "skips" not in options)
    assert ("kept by the encoder" in found) == (part == "decoder step" and "skips" not in options)


def test_blocks_that_are_not_there_are_refused(paper):
    with pytest.raises(ValueError, match="choose one of encoder step"):
        block(paper, 572, "middle")
    with pytest.raises(ValueError, match="has 4 of them"):
        block(paper, 572, "decoder step", 4)


def test_a_transposed_convolution_is_the_sum_of_its_shares():
    x, kernel = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.arange(9.0).view(3, 3)
    figure = parts.transposed(x, kernel, stride=2)
    whole = F.conv_transpose2d(x[None, None], kernel[None, None], stride=2)[0, 0]
    images = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    shares = [image for image in images if image.shape == (5, 5)]
    assert len(shares) == 5 and any(np.allclose(share, whole) for share in shares)
    assert np.allclose(sum(shares), 2 * whole.numpy())
    with pytest.raises(ValueError, match="2 x 2 numbers"):
        parts.transposed(kernel, kernel, 2)


def test_what_is_out_of_reach():
    target = torch.tensor([-2.0, 0.0, 0.5, 2.0])
    assert parts.out_of_reach(target, "none") == (0, 0)
    assert parts.out_of_reach(target, "tanh") == (0.5, 0.5)
    assert parts.out_of_reach(target, "sigmoid (softmax too)") == (0.5, 1.25)
    with pytest.raises(ValueError, match="choose one of none"):
        parts.out_of_reach(target, "step")


def test_the_reach_of_activations_is_told():
    figure = parts.targets({"noise": torch.randn(1000, generator=torch.Generator().manual_seed(0))})
    found = " ".join(words(figure))
    assert "none: reaches every value" in found and "tanh: misses 3" in found


def test_patterns_draws_even_maps_too():
    figure = parts.patterns(
        {"even": torch.ones(4, 4), "not": torch.rand(4, 4)}, {"even": "checkerboard 0%"}
    )
    assert [len(axes.images) for axes in figure.axes] == [1, 1]


def test_feature_maps_are_what_the_steps_hand_on(small, three):
    found = maps.feature_maps(small, three.image)
    assert {name: tuple(one.shape) for name, one in found.items()} == {
        **{f"encoder {n}": (16 * 2**n, 128 // 2**n, 128 // 2**n) for n in range(4)},
        "bottleneck": (256, 8, 8),
        **{f"decoder {n}": (128 // 2**n, 16 * 2**n, 16 * 2**n) for n in range(4)},
    }
    with torch.no_grad():
        torch.testing.assert_close(small.output(found["decoder 3"][None]), small(three.image[None]))
    figure = maps.scales(found)
    assert sum(len(axes.images) for axes in figure.axes) == 27
    assert not any(module._forward_hooks for module in small.modules())


def test_influence_tells_both_sizes():
    found = torch.zeros(20, 20)
    found[5:11, 4:14] = 1
    figure = maps.influence({"depth 1": (found, range(4, 12))}, zoom=16)
    assert figure.axes[0].get_xlabel() == "computed 8×8\nmeasured 6×10"


def test_border_distance_counts_pixels():
    kinds = torch.zeros(6, 6, dtype=torch.int64)
    kinds[:, 3:] = 2
    assert maps.border_distance(kinds)[0].tolist() == [3, 2, 1, 1, 2, 3]
    assert maps.border_distance(torch.zeros(3, 3, dtype=torch.int64)).isinf().all()


def test_error_rates_count_each_pixel_once():
    truth = torch.zeros(8, 12, dtype=torch.int64)
    truth[:, 6:] = 1
    answer = truth.clone()
    answer[:, 6] = 0  # wrong right at the border, on one of its two sides
    answer[0, 0] = 1  # and one far away
    rates, shares = maps.error_rates([truth], [answer])
    assert rates[0] == pytest.approx(0.5) and rates[1:4] == [0, 0, 0]
    assert sum(shares) == pytest.approx(1) and shares[0] == pytest.approx(8 / 9)
    assert rates[-1] == 0  # no pixel lies so far inside
    assert maps.by_distance({"one": rates}).axes[0].get_xticklabels()[0].get_text() == "up to 1"


def test_answers_are_compared_with_the_truth(three):
    wrong = three.semantic.clone()
    wrong[:64] = 0
    figure = maps.compared(three, {"right": three.semantic, "wrong": wrong}, {"right": "mIoU 1.00"})
    found = words(figure)
    share = (wrong != three.semantic).float().mean()
    assert {"mIoU 1.00", "0.0% of the pixels wrong", f"{share:.1%} of the pixels wrong"} <= set(
        found
    )


def test_pictures_stand_in_columns():
    images = torch.rand(2, 3, 8, 8)
    figure = maps.pictures({"noisy": images * 2, "left": images}, {"left": ["20 dB", "21 dB"]})
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "20 dB", "", "21 dB"]
