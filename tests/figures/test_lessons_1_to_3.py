"""Figures, animations and sliders of lessons 1 to 3 that other test files don't cover."""

import io

import pytest
import torch
from PIL import Image

from course_lib import by_mode
from course_lib.convolution import edge_kernels, layers
from course_lib.data import scenes
from course_lib.figures.convolution import animation
from course_lib.figures.convolution import kernels as kernel_figures
from course_lib.figures.convolution import layers as layer_figures
from course_lib.figures.images import gif_bytes
from course_lib.figures.questions import bright_square
from course_lib.figures.vision import annotations, photos, shapes
from course_lib.metrics.detection import exact_average_precision
from course_lib.vision import tasks
from course_lib.vision.detector import Detections
from course_lib.widgets.vision_thresholds import SuppressionExplorer, ThresholdExplorer
from tests.support.widgets import read_picture


def all_text(figure) -> str:
    return "\n".join(
        text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    )


def test_sliding_frames_have_one_frame_for_each_output_pixel():
    frames = animation.sliding_frames(torch.rand(5, 6), torch.randn(3, 3))
    assert len(frames) == 30 and len({frame.size for frame in frames}) == 1
    # a zero of the padding is as black as a zero of the image
    assert frames[0].getpixel((5, animation._TITLE + 6 * animation._CELL + 5)) == (0, 0, 0)
    gif = Image.open(io.BytesIO(gif_bytes(frames)))
    assert gif.format == "GIF" and gif.n_frames > 1


def test_kernels_in_training_are_shown_stage_by_stage(capsys):
    stages = [torch.randn(4, 3, 9, 9), torch.randn(4, 3, 9, 9)]
    animation.show_learning_kernels(stages, ["first", "last"])
    assert "HTML" in capsys.readouterr().out


def test_im2col_diagram_contains_the_matrix():
    image = torch.randint(0, 10, (4, 4)).float()
    kernel = edge_kernels.kernel("vertical edges (Sobel)")
    columns = layers.im2col(image[None, None], 3, 3)[0]
    text = all_text(layer_figures.im2col_diagram(image, columns, kernel))
    for value in kernel.flatten() @ columns:
        assert f"{value:g}".replace("-", "−") in text


def test_stages_and_responses_are_labelled():
    steps = {"photo": torch.rand(20, 20), "ReLU": torch.rand(18, 18)}
    assert "18 x 18" in all_text(layer_figures.activation_and_pooling(steps))
    blur = {"blur": edge_kernels.kernel("blur")}
    text = all_text(kernel_figures.one_photo_many_kernels(torch.rand(20, 20), blur))
    assert "blur" in text and "1/9" in text


def test_edge_responses_distinguish_edges_from_lines():
    sobel = edge_kernels.edge_responses(edge_kernels.kernel("vertical edges (Sobel)"))
    assert sobel["vertical"] == (0, 4) and sobel["horizontal"] == (0, 0)
    line = torch.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]])
    low, high = edge_kernels.edge_responses(line)["backslash"]
    assert low < 0 < high


def test_objects_of_one_class_share_a_hue_but_have_different_colours():
    colours = annotations.class_shades([3, 5, 3])
    assert colours[0].lower() == annotations.class_colour(3).lower()
    assert len(set(colours)) == 3


def test_feature_pyramid_shows_the_models_shapes():
    figure = shapes.feature_pyramid(tasks.make_model("segmenter").eval(), torch.rand(3, 64, 64))
    text = all_text(figure)
    assert "backbone\n128×4×4" in text and "pyramid\n48×32×32" in text and "1×1 conv." in text
    assert "left" in all_text(photos.labelled_images({"left": torch.rand(3, 8, 8)}))


def test_exact_average_precision_of_the_lessons_example():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    correct = torch.tensor([True, True, False, True, False])
    assert exact_average_precision(scores, correct, 4) == pytest.approx((1 + 1 + 3 / 4) / 4)
    nothing = torch.zeros(0), torch.zeros(0, dtype=torch.bool)
    assert exact_average_precision(*nothing, 3) == 0


def test_threshold_selects_a_point_on_the_curve():
    flags = torch.tensor([True, False, True])
    widget = ThresholdExplorer(torch.tensor([0.9, 0.6, 0.3]), flags, object_count=4)
    assert widget.counts() == (3, 2)
    widget.threshold.value = 0.5
    assert widget.counts() == (2, 1) and "Precision 0.50, recall 0.25" in widget.message.value
    widget.threshold.value = 0.95
    assert widget.counts() == (0, 0)


def test_text_at_the_point_never_enlarges_the_picture():
    widget = ThresholdExplorer(torch.linspace(0.99, 0.01, 50), torch.arange(50) < 25, 26)
    sizes = set()
    for threshold in (0.05, 0.3, 0.6, 0.95):
        widget.threshold.value = threshold
        sizes.add(read_picture(widget).shape)
    assert len(sizes) == 1


def test_suppression_calls_the_learners_function_once_per_class():
    scene = scenes.scene(0)
    box = torch.tensor([[10.0, 10, 40, 40]]).repeat(3, 1)
    found = Detections(torch.tensor([0, 0, 1]), torch.tensor([0.9, 0.8, 0.7]), box)
    calls = []

    def suppress(boxes, scores, threshold):
        calls.append(threshold)
        return [0]

    widget = SuppressionExplorer(scene, found, suppress)
    assert widget.kept() == [0, 2] and "2 of 3 boxes" in widget.message.value
    widget.threshold.value = 0.3
    assert calls[-1] == pytest.approx(0.3)


def test_by_mode_returns_the_modes_value(monkeypatch):
    for mode, expected in (("quick", 1), ("full", 2), ("grading", 3)):
        monkeypatch.setenv("COURSE_MODE", mode)
        assert by_mode(quick=1, full=2, grading=3) == expected


def test_bright_square_is_at_the_position_in_the_question_text():
    image = bright_square()
    assert image.size == (200, 140)
    assert image.getpixel((70, 40)) == image.getpixel((129, 99)) != image.getpixel((130, 100))
