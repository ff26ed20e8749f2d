"""Lesson 3's figures show what the models predict, and the numbers in them are right."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.quiver import Quiver
from skimage.color import rgb2lab

from course_lib.data import sprites
from course_lib.figures import figure_png
from course_lib.figures.vision import annotations, charts, maps, photos, predictions, shapes
from course_lib.vision import detector
from course_lib.vision.boxes import cell_centres
from course_lib.vision.instances import Instances
from course_lib.vision.predictions import evaluate, predict_all
from course_lib.vision.pretrained import PhotoPredictions
from course_lib.vision.tasks import LEVELS
from tests.support.stub_models import ConstantModel


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    titles = [axes.get_title(loc=loc) for axes in figure.axes for loc in ("left", "center")]
    return labels + titles


def test_ground_truth_names_and_numbers_every_object(three_objects):
    labels = texts(predictions.ground_truth(three_objects))
    for placement in three_objects.placements:
        assert placement.name in labels
    assert {"1", "2", "3"} <= set(labels)


def test_five_predictions_show_level_question_prediction_and_metric(models, three_objects):
    prediction = predict_all(models, three_objects.image)
    metrics = {
        "classifier": "wrong",
        "localizer": 0.5,
        "detector": 0.75,
        "detector found": "2 of 3",
        "segmenter": 0.25,
        "instances": 0.125,
        "instances found": "1 of 3",
    }
    labels = texts(predictions.five_predictions(three_objects, prediction, metrics))
    for task in LEVELS.values():
        assert f"{task.level} · {task.name}\n{task.question}" in labels
    assert {
        "wrong",
        "best box IoU 0.50",
        "found 2 of 3, mean box IoU 0.75",
        "mIoU 0.25",
    } <= set(labels)
    assert f"{sprites.CLASSES[prediction.label]} {prediction.probability:.0%}" in labels


def test_five_predictions_are_evaluated_unless_metrics_are_given(models, three_objects):
    prediction = predict_all(models, three_objects.image)
    metric = predictions.format_metric("localizer", evaluate(three_objects, prediction))
    assert metric in texts(predictions.five_predictions(three_objects, prediction))


def test_figures_have_all_panels(models, three_objects):
    figures = (
        predictions.five_predictions(three_objects, predict_all(models, three_objects.image)),
        maps.instance_offsets(models["instances"], three_objects),
    )
    assert [len(figure.axes) for figure in figures] == [6, 4]
    assert all(figure_png(figure, dpi=40) for figure in figures)


def test_instance_offsets_show_the_peaks_and_offsets_of_the_model(three_objects):
    semantic_logits = torch.zeros(1, 13, 128, 128)
    centre_logits = torch.full((1, 128, 128), -9.0)
    offsets = torch.zeros(1, 2, 128, 128)
    semantic_logits[:, 0] = 4.0
    semantic_logits[0, 3, 20:40, 50:80] = 12.0  # a foreground of 20 rows by 30 columns
    centre_logits[0, 30, 65] = 2.0
    centre_logits[0, 100, 10] = 1.0
    centre_logits[0, 100, 100] = -2.0  # a probability of only 0.12
    offsets[0, 0], offsets[0, 1] = 3.0, torch.arange(128)[:, None] / 10
    model = ConstantModel(semantic_logits, centre_logits, offsets)
    figure = maps.instance_offsets(model, three_objects)
    assert "2 peaks above 0.2" in texts(figure)
    (lines,) = (item for item in figure.axes[1].collections if isinstance(item, Quiver))
    # A line for every sixth pixel in both directions, all too short for a head.
    assert len(lines.U) == 3 * 5 and (lines.U == 3).all()
    np.testing.assert_allclose(lines.V, np.repeat([2.4, 3.0, 3.6], 5), rtol=1e-5)
    offsets[0, 0, :, :70] = 30.0  # rows 24, 30 and 36, columns 54, 60 and 66
    figure = maps.instance_offsets(model, three_objects)
    lines, heads = (item for item in figure.axes[1].collections if isinstance(item, Quiver))
    assert len(lines.U) == 3 * 5 and len(heads.U) == 3 * 3 and (heads.U == 18).all()
    lower_threshold = maps.instance_offsets(model, three_objects, score_threshold=0.1)
    assert "3 peaks above 0.1" in texts(lower_threshold)


def test_cell_targets_show_the_number_of_cells_and_the_distances_of_one(three_objects):
    cells = cell_centres(32, 32, 4, torch.device("cpu"))
    labels, boxes = three_objects.labels[None], three_objects.boxes[None]
    assigned = detector.assign(cells, labels, boxes, 4)[0]
    labels = texts(maps.cell_targets(three_objects, assigned))
    assert f"{int((assigned >= 0).sum())} of 1,024 cells have one" in labels
    row, column = (assigned >= 0).nonzero()[-1].tolist()
    x0, y0, x1, y1 = three_objects.boxes[assigned[row, column]].tolist()
    x, y = 4 * column + 2, 4 * row + 2
    distances = ", ".join(f"{value:g}" for value in (x - x0, y - y0, x1 - x, y1 - y))
    assert f"left, top, right, bottom: {distances} pixels" in labels
    with pytest.raises(ValueError, match="No cell"):
        maps.cell_targets(three_objects, torch.full((32, 32), -1))


def test_a_prediction_gets_the_colour_of_its_object(three_objects):
    twins = replace(three_objects, labels=torch.tensor([4, 4, 7]))
    true_colours = annotations.class_shades(twins.labels)
    labels = torch.tensor([4, 7, 4, 9])
    overlaps = torch.tensor([[0, 0.8, 0], [0.9, 0, 0.1], [0.7, 0.1, 0], [0.9, 0.0, 0]])
    colours = annotations.matched_colours(twins, labels, overlaps)
    assert colours == [*(true_colours[index] for index in (1, 2, 0)), annotations.class_colour(9)]
    nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3)
    assert annotations.matched_colours(twins, *nothing) == []


def test_neighbouring_colours_of_the_cycle_differ_in_lightness():
    colours = [annotations.cycled_colour(index) for index in range(2 * 7)]
    assert set(colours) == set(annotations.COLOUR_CYCLE) and len(set(colours)) == 7
    lightness = rgb2lab([to_rgb(colour) for colour in colours])[:, 0]  # from 0 to 100
    assert np.abs(np.diff(lightness)).min() > 10


def test_localizer_votes_show_the_models_prediction(models, three_objects):
    labels = texts(maps.localizer_votes(models["localizer"], three_objects))
    scores, _ = LEVELS["localizer"].module.predict(models["localizer"], three_objects.image[None])
    assert f"prediction: {sprites.CLASSES[scores.argmax()]}" in labels
    assert "the weights of 1,024 votes" in labels


def test_boxes_before_and_after_suppression_are_counted(models, three_objects):
    before, after = (
        detector.predict(models["detector"], three_objects.image[None], 0.01, iou_threshold)[0]
        for iou_threshold in (1.0, 0.3)
    )
    labels = texts(predictions.compare_suppression(three_objects, [before, after]))
    assert f"before suppression: {len(before.labels)} boxes" in labels
    assert f"after suppression: {len(after.labels)} boxes" in labels
    with pytest.raises(ValueError, match="give two"):
        predictions.compare_suppression(three_objects, [before])


def test_matched_boxes_are_divided_by_their_verdict(three_objects):
    found = detector.Detections(
        torch.tensor([2, 0, 1]), torch.tensor([0.9, 0.25, 0.05]), three_objects.boxes[:3]
    )
    figure = predictions.matched_boxes(three_objects, found, [True, False, False])
    labels = texts(figure)
    assert {"1 true positives", "1 false positives"} <= set(labels)
    left, right = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert f"{sprites.CLASSES[2]} 0.90" in left and f"{sprites.CLASSES[0]} 0.25" in right
    assert not any("0.05" in label for label in labels)
    with pytest.raises(ValueError, match="one for each box"):
        predictions.matched_boxes(three_objects, found, [True])


def test_detections_in_scenes_name_the_pictures_and_the_boxes(three_objects):
    found = detector.Detections(torch.tensor([2]), torch.tensor([0.9]), three_objects.boxes[:1])
    images = {f"picture {k}": three_objects.image for k in range(4)}
    figure = predictions.detections_in_scenes(images, [found] * 4)
    assert len(figure.axes) == 6
    assert [axes.get_title() or axes.get_title(loc="left") for axes in figure.axes[:4]] == [*images]
    assert texts(figure).count(f"{sprites.CLASSES[2]} 90%") == 4


def test_labels_at_one_place_do_not_cover_each_other():
    image = torch.zeros(3, 100, 100)
    # The second label would cover the first one. At the bottom of its box, it would cover the last.
    boxes = [[10, 50, 40, 90], [30, 53, 60, 81], [25, 80, 50, 95]]
    assert annotations.label_heights(boxes, image) == [50, 67, 80]
    assert annotations.label_heights([[10, 50, 40, 90], [30, 53, 60, 75]], image) == [50, 75]
    assert annotations.label_heights([], image) == []


def test_shifted_boxes_show_their_iou():
    labels = texts(charts.shifted_boxes([Fraction(0), Fraction(1, 8), Fraction(1, 2)]))
    assert {"shift 0\nIoU 1.00", "shift 1/8\nIoU 0.78", "shift 1/2\nIoU 0.33"} <= set(labels)


def test_scores_are_drawn_against_the_ious():
    figure = charts.scores_and_ious(torch.tensor([0.9, 0.2]), torch.tensor([0.8, 0.6]))
    dots = figure.axes[0].lines[1]
    np.testing.assert_allclose(dots.get_xdata(), [0.8, 0.6])
    np.testing.assert_allclose(dots.get_ydata(), [0.9, 0.2])


def test_the_courses_classes_keep_their_colours_on_photos():
    mask = torch.zeros(2, 20, 30, dtype=torch.bool)
    mask[0, 2:8, 2:8] = mask[1, 10:18, 12:20] = True
    box = torch.tensor([[1.0, 2, 8, 9]])
    prediction = PhotoPredictions(
        source="constructed",
        detections=detector.Detections(torch.tensor([4]), torch.tensor([0.75]), box),
        semantic=mask[0].long() * 5,
        instances=Instances(torch.tensor([4, 4]), torch.tensor([0.9, 0.5]), mask),
        class_names=sprites.CLASSES,
        semantic_names=("background", *sprites.CLASSES),
    )
    figure = photos.photo_predictions(torch.rand(3, 20, 30), prediction)
    colour = to_rgb(annotations.class_colour(4))
    assert figure.axes[1].patches[0].get_edgecolor()[:3] == pytest.approx(colour)
    for panel in (2, 3):
        overlay = figure.axes[panel].images[1].get_array()
        assert tuple(overlay[overlay[..., 3] > 0][0][:3]) == pytest.approx(colour)


def test_output_shapes_are_those_of_the_models(models):
    labels = texts(shapes.output_shapes(models, 64))
    for shape in (
        "3\n×64×64",
        "24\n×32×32",
        "128×4×4",
        "12×16×16",
        "4×16×16",
        "13×64×64",
        "2×64×64",
    ):
        assert shape in labels
    assert "tower: 48×16×16\nhead: 17×16×16\nweighted mean: 12 + 4" in labels
    assert "mean over 4×4: 128\nhead: 12" in labels
    assert any("in all five" in label for label in labels)
    two_models = {name: models[name] for name in ("detector", "segmenter")}
    assert any("in all two" in label for label in texts(shapes.output_shapes(two_models, 64)))
    one_model = {"detector": models["detector"]}
    assert "the backbone" in texts(shapes.output_shapes(one_model, 64))
    with pytest.raises(ValueError, match="by the names in LEVELS"):
        shapes.output_shapes({})


def test_trace_shapes_removes_its_hooks(models):
    model = models["instances"]
    trace = shapes.trace_shapes(model, 64)
    assert [name for name, _ in trace.head] == ["what", "where"]
    assert shapes.format_shape(trace.features) == "48×32×32"
    assert not any(module._forward_hooks for module in model.modules())


def test_training_stages_count_and_name_the_boxes(three_objects):
    confident = detector.Detections(
        torch.tensor([2, 0]), torch.tensor([0.9, 0.25]), three_objects.boxes[:2]
    )
    empty = detector.Detections(confident.labels[:0], confident.scores[:0], confident.boxes[:0])
    figure = photos.training_stages(three_objects, {"before": empty, "after": confident})
    assert {
        "before\n0 boxes",
        "after\n2 boxes",
        f"{sprites.CLASSES[2]} 90%",
        f"{sprites.CLASSES[0]} 25%",
    } <= set(texts(figure))
    rectangles = [
        [*patch.get_xy(), patch.get_width(), patch.get_height()] for patch in figure.axes[1].patches
    ]
    x0, y0, x1, y1 = three_objects.boxes[0].tolist()
    # The ground-truth box is drawn twice (white on black); the third rectangle is the detection.
    assert rectangles.count([x0, y0, x1 - x0, y1 - y0]) == 3
    assert len(figure.axes[0].patches) == 6
    assert len(photos.training_stages(three_objects, {"alone": confident}).axes) == 1


def test_photo_predictions_use_the_class_names_of_each_network():
    semantic = torch.zeros(100, 150, dtype=torch.int64)
    semantic[20:60, 30:90] = 1
    semantic[90, 1:4] = 2  # three of 15,000 pixels are not labelled
    mask = torch.zeros(1, 100, 150, dtype=torch.bool)
    mask[0, 10:50, 20:70] = True
    prediction = PhotoPredictions(
        source="constructed",
        detections=detector.Detections(
            torch.tensor([1]), torch.tensor([0.75]), torch.tensor([[60.0, 40, 90, 80]])
        ),
        semantic=semantic,
        instances=Instances(torch.tensor([2]), torch.tensor([0.5]), mask),
        class_names=("nothing", "cat", "dog"),
        semantic_names=("background", "sofa", "boat"),
    )
    figure = photos.photo_predictions(torch.rand(3, 100, 150), prediction)
    labels = texts(figure)
    assert {"The photo", "3 · boxes: 1", "4 · pixel classes: 2", "5 · objects: 1"} <= set(labels)
    assert {"cat 75%", "sofa", "dog 50%"} <= set(labels) and "boat" not in labels
    semantic_overlays, instance_overlays = (
        [image.get_array()[..., 3] > 0 for image in figure.axes[panel].images[1:]]
        for panel in (2, 3)
    )
    np.testing.assert_array_equal(semantic_overlays, [semantic == 1, semantic == 2])
    np.testing.assert_array_equal(instance_overlays, mask)


def test_iou_diagram_shows_the_whole_calculation():
    labels = texts(charts.iou_diagram([0, 0, 4, 4], [2, 0, 6, 4]))
    assert "IoU = 8 / (16 + 16 − 8) = 8 / 24 = 0.33" in labels
    assert "intersection\n2·4 = 8" in labels and "second: 4·4 = 16" in labels
    disjoint = charts.iou_diagram([0, 0, 1, 1], torch.tensor([2.0, 2, 3, 3]))
    assert "intersection" not in " ".join(texts(disjoint))
    with pytest.raises(ValueError, match="is not a box"):
        charts.iou_diagram([4, 0, 0, 4], [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("scores", "correct", "positives", "area"),
    [
        ([0.9, 0.8], [True, True], 2, 1.0),
        ([0.9, 0.8], [False, True], 1, 0.5),
        ([0.8, 0.9, 0.7], [False, True, True], 2, 0.5 * 1 + 0.5 * 2 / 3),  # not sorted
        ([], [], 3, 0.0),
    ],
)
def test_average_precision_is_the_area_under_the_envelope(scores, correct, positives, area):
    figure = charts.precision_recall_curve(scores, correct, positives)
    assert f"AP = blue area = {area:.3f}" in texts(figure)


def test_precision_recall_curve_refuses_inconsistent_arguments():
    with pytest.raises(ValueError, match="no fewer objects than correct"):
        charts.precision_recall_curve([0.9, 0.8], [True, True], 1)
    with pytest.raises(ValueError, match="one verdict for each score"):
        charts.precision_recall_curve([0.9], [True, False], 2)


def test_cutout_keeps_the_foreground_and_replaces_the_background():
    image, foreground = torch.ones(3, 16, 16), torch.zeros(16, 16)
    foreground[:, :8] = 1
    figure = maps.cutout(image, foreground, torch.zeros(3, 16, 16))
    blended = figure.axes[2].images[0].get_array()
    assert (blended[:, :8] == 1).all() and (blended[:, 8:] == 0).all()
    checkerboard = maps.cutout(image, torch.zeros(16, 16)).axes[2].images[0].get_array()
    assert len(np.unique(checkerboard)) == 2
    with pytest.raises(ValueError, match="same height and width"):
        maps.cutout(image, foreground[:8])


def test_generalisation_gap_shows_every_number_once():
    results = {
        "1 classifier, top-1": {"seen": 0.99, "held-out-style": 0.5},
        "own": {"seen": 0.9, "mine": 0.25},
    }
    labels = texts(charts.generalisation_gap(results))
    assert [text for text in labels if text.startswith("0.")] == ["0.99", "0.50", "0.90", "0.25"]
    assert {"held-out\nstyle", "seen", "mine"} <= set(labels)
    assert "guessing" in texts(charts.generalisation_gap(results, chance={"own": 0.2}))
    with pytest.raises(ValueError, match="at least one row"):
        charts.generalisation_gap({"nothing": {}})


def test_style_table_labels_the_held_out_style():
    styles = [*sprites.styles(), *sprites.styles("held-out")]
    figure = predictions.style_table(["owl", "car"], styles)
    labels = [axes.get_ylabel() for axes in figure.axes if "HELD OUT" in axes.get_ylabel()]
    assert len(figure.axes) == 8 and labels == [f"{styles[-1]}\nHELD OUT"]
