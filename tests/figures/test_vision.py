"""Lesson 3's figures show what the models say, in their own numbers."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.quiver import Quiver

from course_lib.data import sprites
from course_lib.figures import png
from course_lib.figures.vision import answers as figures
from course_lib.figures.vision import photos as photo
from course_lib.figures.vision.shapes import trace, written
from course_lib.vision import detector
from course_lib.vision.answers import ask, judge
from course_lib.vision.instances import Instances
from course_lib.vision.pretrained import PhotoAnswers
from course_lib.vision.tasks import LEVELS
from tests.support.stub_models import ConstantModel


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def words(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)] + [
        axes.get_title(loc="left") for axes in figure.axes
    ]


def test_truth_names_every_object_twice_and_numbers_it(three):
    found = words(figures.truth(three))
    for placement in three.placements:
        assert placement.name in found
    assert {"1", "2", "3"} <= set(found)


def test_five_answers_have_their_level_question_answer_and_measure(models, three):
    told = ask(models, three.image)
    measures = {
        "classifier": "wrong",
        "localizer": 0.5,
        "detector": 0.75,
        "detector found": "2 of 3",
    }
    measures |= {"segmenter": 0.25, "instances": 0.125, "instances found": "1 of 3"}
    found = words(figures.five_answers(three, told, measures))
    for level in LEVELS.values():
        assert f"{level.number} · {level.name}\n{level.question}" in found
    assert {
        "wrong",
        "box IoU 0.50",
        "found 2 of 3, mean box IoU 0.75",
        "foreground mIoU 0.25",
    } <= set(found)
    assert f"{sprites.CLASSES[told.label]} {told.probability:.0%}" in found


def test_five_answers_are_judged_unless_a_judgement_is_given(models, three):
    told = ask(models, three.image)
    assert figures.measure("localizer", judge(three, told)) in words(
        figures.five_answers(three, told)
    )


def test_figures_are_drawn_from_the_running_models(models, three):
    drawn = (
        figures.five_answers(three, ask(models, three.image)),
        figures.pointing(models["instances"], three),
    )
    assert [len(figure.axes) for figure in drawn] == [6, 4]
    assert all(png(figure, dpi=40) for figure in drawn)


def test_pointing_draws_the_peaks_and_the_arrows_of_the_model(three):
    scores, hills, offsets = (
        torch.zeros(1, 13, 128, 128),
        torch.full((1, 128, 128), -9.0),
        torch.zeros(1, 2, 128, 128),
    )
    scores[:, 0], scores[0, 3, 20:40, 50:80] = 4.0, 12.0  # 20 rows by 30 columns are no background
    # the last is a peak of 0.12 only
    hills[0, 30, 65], hills[0, 100, 10], hills[0, 100, 100] = (
        2.0,
        1.0,
        -2.0,
    )
    offsets[0, 0], offsets[0, 1] = 3.0, torch.arange(128)[:, None] / 10
    model = ConstantModel(scores, hills, offsets)
    figure = figures.pointing(model, three)
    assert "2 peaks above 0.2" in words(figure)
    (arrows,) = (one for one in figure.axes[1].collections if isinstance(one, Quiver))
    assert len(arrows.U) == 4 * 6 and (arrows.U == 3).all()  # one for every fifth pixel each way
    np.testing.assert_allclose(arrows.V, np.repeat([2.0, 2.5, 3.0, 3.5], 6), rtol=1e-5)
    assert "3 peaks above 0.1" in words(figures.pointing(model, three, least_score=0.1))


def test_votes_draws_the_models_own_answer(models, three):
    figure = figures.votes(models["localizer"], three)
    scores, _ = LEVELS["localizer"].module.predict(models["localizer"], three.image[None])
    assert f"the answer: {sprites.CLASSES[scores.argmax()]}" in words(figure)
    assert "the weights of 1,024 votes" in words(figure)


def test_suppression_is_counted(models, three):
    both = [
        detector.predict(models["detector"], three.image[None], 0.01, overlap)[0]
        for overlap in (1.0, 0.3)
    ]
    found = words(figures.detections(three, both))
    counts = [len(one.labels) for one in both]
    assert {
        f"before suppression: {counts[0]} boxes",
        f"after suppression: {counts[1]} boxes",
    } <= set(found)
    with pytest.raises(ValueError, match="give two"):
        figures.detections(three, both[:1])


def test_output_shapes_are_those_of_the_running_models(models):
    found = words(figures.output_shapes(models, 64))
    for text in ("3×64×64", "24×32×32", "128×4×4", "12×16×16", "16×16×4", "13×64×64", "2×64×64"):
        assert text in found
    assert "tower: 48×16×16\nhead: 17×16×16" in found
    assert any("in all five" in text for text in found)
    two = words(
        figures.output_shapes({name: models[name] for name in ("detector", "segmenter")}, 64)
    )
    assert any("in all two" in text for text in two)
    assert "the backbone" in words(figures.output_shapes({"detector": models["detector"]}, 64))
    with pytest.raises(ValueError, match="by the names in LEVELS"):
        figures.output_shapes({})


def test_a_trace_leaves_no_hooks_behind(models):
    model = models["instances"]
    seen = trace(model, 64)
    assert [name for name, _ in seen.head] == ["what", "where"] and written(
        seen.shared
    ) == "48×32×32"
    assert not any(part._forward_hooks for part in model.modules())


def test_stages_counts_and_names_the_boxes_of_each(three):
    sure = detector.Detections(torch.tensor([2, 0]), torch.tensor([0.9, 0.25]), three.boxes[:2])
    nothing = detector.Detections(sure.labels[:0], sure.scores[:0], sure.boxes[:0])
    figure = photo.stages(three, {"before": nothing, "after": sure})
    assert {
        "before: 0 boxes",
        "after: 2 boxes",
        f"{sprites.CLASSES[2]} 90%",
        f"{sprites.CLASSES[0]} 25%",
    } <= set(words(figure))
    corners = [
        [*patch.get_xy(), patch.get_width(), patch.get_height()] for patch in figure.axes[1].patches
    ]
    x0, y0, x1, y1 = three.boxes[0].tolist()
    # twice the truth, white on black, and the answer
    assert corners.count([x0, y0, x1 - x0, y1 - y0]) == 3
    assert len(figure.axes[0].patches) == 6 and len(photo.stages(three, {"alone": sure}).axes) == 1


def test_photo_answers_take_each_name_from_the_data_of_its_network():
    kinds = torch.zeros(100, 150, dtype=torch.int64)
    kinds[20:60, 30:90], kinds[90, 1:4] = 1, 2  # three pixels of 15,000 carry no name
    mask = torch.zeros(1, 100, 150, dtype=torch.bool)
    mask[0, 10:50, 20:70] = True
    told = PhotoAnswers(
        source="made by hand",
        detections=detector.Detections(
            torch.tensor([1]), torch.tensor([0.75]), torch.tensor([[60.0, 40, 90, 80]])
        ),
        kinds=kinds,
        instances=Instances(torch.tensor([2]), torch.tensor([0.5]), mask),
        names=("nothing", "cat", "dog"),
        kind_names=("background", "sofa", "boat"),
    )
    figure = photo.photo_answers(torch.rand(3, 100, 150), told)
    found = words(figure)
    assert {"The photo", "3 · boxes: 1", "4 · kinds of pixels: 2", "5 · objects: 1"} <= set(found)
    assert {"cat 75%", "sofa", "dog 50%"} <= set(found) and "boat" not in found
    shades = [
        [image.get_array()[..., 3] > 0 for image in figure.axes[place].images[1:]]
        for place in (2, 3)
    ]
    np.testing.assert_array_equal(shades[0], [kinds == 1, kinds == 2])
    np.testing.assert_array_equal(shades[1], mask)


def test_iou_writes_the_whole_sum():
    found = words(figures.iou([0, 0, 4, 4], [2, 0, 6, 4]))
    assert (
        "IoU = 8 / (16 + 16 − 8) = 8 / 24 = 0.33"
        in [axes.get_title() for axes in plt.gcf().axes] + found
    )
    assert "intersection\n2·4 = 8" in found and "second: 4·4 = 16" in found
    assert "intersection" not in " ".join(
        words(figures.iou([0, 0, 1, 1], torch.tensor([2.0, 2, 3, 3])))
    )
    with pytest.raises(ValueError, match="is no box"):
        figures.iou([4, 0, 0, 4], [0, 0, 1, 1])


@pytest.mark.parametrize(
    "scores, right, positives, area",
    [
        ([0.9, 0.8], [True, True], 2, 1.0),
        ([0.9, 0.8], [False, True], 1, 0.5),
        ([0.8, 0.9, 0.7], [False, True, True], 2, 0.5 * 1 + 0.5 * 2 / 3),  # not sorted
        ([], [], 3, 0.0),
    ],
)
def test_average_precision_is_the_area_under_the_envelope(scores, right, positives, area):
    assert f"AP = blue area = {area:.3f}" in words(
        figures.precision_recall(scores, right, positives)
    )


def test_impossible_detections_are_refused():
    with pytest.raises(ValueError, match="no fewer objects than right"):
        figures.precision_recall([0.9, 0.8], [True, True], 1)
    with pytest.raises(ValueError, match="as many verdicts"):
        figures.precision_recall([0.9], [True, False], 2)


def test_cutout_keeps_the_foreground_and_shows_what_is_behind():
    image, inside = torch.ones(3, 16, 16), torch.zeros(16, 16)
    inside[:, :8] = 1
    shown = figures.cutout(image, inside, torch.zeros(3, 16, 16)).axes[2].images[0].get_array()
    assert (shown[:, :8] == 1).all() and (shown[:, 8:] == 0).all()
    board = figures.cutout(image, torch.zeros(16, 16)).axes[2].images[0].get_array()
    assert len(np.unique(board)) == 2
    with pytest.raises(ValueError, match="same height and width"):
        figures.cutout(image, inside[:8])


def test_gap_writes_every_number_once():
    results = {
        "1 classifier, top-1": {"seen": 0.99, "held-out-style": 0.5},
        "own": {"seen": 0.9, "mine": 0.25},
    }
    found = words(figures.gap(results))
    assert [text for text in found if text.startswith("0.")] == ["0.99", "0.50", "0.90", "0.25"]
    assert {"held-out\nstyle", "seen", "mine"} <= set(found)
    with pytest.raises(ValueError, match="at least one row"):
        figures.gap({"nothing": {}})


def test_styles_marks_the_one_that_is_held_out():
    everything = [*sprites.styles(), *sprites.styles("held-out")]
    figure = figures.styles(["owl", "car"], everything)
    marked = [axes.get_ylabel() for axes in figure.axes if "HELD OUT" in axes.get_ylabel()]
    assert len(figure.axes) == 8 and marked == [f"{everything[-1]}\nHELD OUT"]
