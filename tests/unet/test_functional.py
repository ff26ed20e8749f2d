"""The functional U-Net agrees with the modules; skip surgery; the box figure."""

import pytest
import torch

from course_lib.figures.unet.boxes import BOTTLENECK, DECODER, ENCODER, u_of_boxes
from course_lib.figures.unet.trace import encoder_and_bottleneck, receptive_rows, trace
from course_lib.unet import UNet, functional
from course_lib.unet.surgery import run_with_edited_skips


@pytest.mark.parametrize("padding", [False, True])
def test_forward_agrees_with_the_modules(padding):
    torch.manual_seed(0)
    model = UNet(2, 3, width=3, depth=2, padding=padding, normalisation="none").eval()
    images = torch.rand(2, 2, 44, 44)
    scores = functional.unet_forward(images, *functional.step_weights(model), padding=int(padding))
    torch.testing.assert_close(scores, model(images))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_receptive_field_of_the_bottleneck_agrees_with_the_trace(depth):
    model = UNet(1, 1, width=1, depth=depth)
    rows = receptive_rows(encoder_and_bottleneck(trace(model, 256)), 256 // 2**depth // 2)
    assert functional.bottleneck_field(depth) == len(rows)


@pytest.mark.parametrize(("width", "depth"), [(2, 1), (3, 3), (5, 2)])
def test_parameter_count_agrees_with_the_model(width, depth):
    model = UNet(3, 4, width=width, depth=depth, normalisation="none")
    count = sum(parameter.numel() for parameter in model.parameters())
    assert functional.unet_parameters(3, 4, width, depth) == count


def test_design_for_the_papers_budget_is_the_papers_network():
    assert functional.design_unet(140, 31_030_658, 1, 2) == (4, 64)
    assert functional.design_unet(140, 31_030_657, 1, 2) == (4, 63)
    assert functional.design_unet(5, 1, 1, 1) == (0, 0)


def test_identity_surgery_does_not_change_the_output():
    torch.manual_seed(0)
    model = UNet(3, 2, width=4, depth=2).eval()
    images = torch.rand(1, 3, 16, 16)
    levels = []

    def keep(level, skip):
        levels.append((level, skip.shape[-1]))
        return skip

    torch.testing.assert_close(run_with_edited_skips(model, images, keep), model(images))
    assert levels == [(1, 8), (0, 16)]
    cut = run_with_edited_skips(model, images, lambda level, skip: 0 * skip)
    assert not torch.allclose(cut, model(images))


@pytest.mark.parametrize("marked", range(3))
def test_boxes_are_drawn_at_their_corners(marked):
    image = u_of_boxes(marked)
    colours = [image.getpixel((x0 + 5, y0 + 5)) for x0, y0, _, _ in DECODER]
    assert [colour != colours[marked] for colour in colours].count(True) == 2
    assert image.getpixel((BOTTLENECK[0] + 5, BOTTLENECK[1] + 5)) != colours[marked]
    assert all(x1 <= 410 and y1 <= 180 for _, _, x1, y1 in (*ENCODER, *DECODER))
    # a cross only on the skip connection that is cut
    middles = [
        ((left[2] + right[0]) // 2, (left[1] + left[3]) // 2)
        for left, right in zip(reversed(ENCODER), DECODER, strict=True)
    ]
    crossed = [image.getpixel((x - 6, y - 6)) == (213, 94, 0) for x, y in middles]
    assert crossed == [index == marked for index in range(3)]
