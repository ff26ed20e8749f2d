"""Lesson 3's figures show what the models say, in their own numbers."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from course_lib.data import sprites
from course_lib.data.scenes import scene
from course_lib.figures import png
from course_lib.figures import vision as figures
from course_lib.figures.vision_shapes import trace, written
from course_lib.vision import detector
from course_lib.vision.answers import ask, judge
from course_lib.vision.levels import LEVELS


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    return {name: level.model().eval() for name, level in LEVELS.items()}


@pytest.fixture(scope="module")
def three():
    return scene(0, objects=(3, 3), split="new-backgrounds")


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
    measures = {"classifier": "wrong", "localizer": 0.5, "detector": 0.75, "detector found": "2 of 3"}
    measures |= {"segmenter": 0.25, "instances": 0.125, "instances found": "1 of 3"}
    found = words(figures.five_answers(three, told, measures))
    for level in LEVELS.values():
        assert f"{level.number} · {level.name}\n{level.question}" in found
    assert {"wrong", "box IoU 0.50", "found 2 of 3, mean box IoU 0.75", "foreground mIoU 0.25"} <= set(found)
    assert f"{sprites.CLASSES[told.label]} {told.probability:.0%}" in found


def test_five_answers_are_judged_unless_a_judgement_is_given(models, three):
    told = ask(models, three.image)
    assert figures.measure("localizer", judge(three, told)) in words(figures.five_answers(three, told))


def test_figures_are_drawn_from_the_running_models(models, three):
    drawn = figures.five_answers(three, ask(models, three.image)), figures.pointing(models["instances"], three)
    assert [len(figure.axes) for figure in drawn] == [6, 4]
    assert all(png(figure, dpi=40) for figure in drawn)


def test_votes_draws_the_models_own_answer(models, three):
    figure = figures.votes(models["localizer"], three)
    scores, _ = LEVELS["localizer"].module.predict(models["localizer"], three.image[None])
    assert f"the answer: {sprites.CLASSES[scores.argmax()]}" in words(figure)
    assert "the weights of 1,024 votes" in words(figure)


def test_suppression_is_counted(models, three):
    both = [detector.predict(models["detector"], three.image[None], 0.01, overlap)[0] for overlap in (1.0, 0.3)]
    found = words(figures.detections(three, both))
    counts = [len(one.labels) for one in both]
    assert {f"before suppression: {counts[0]} boxes", f"after suppression: {counts[1]} boxes"} <= set(found)
    with pytest.raises(ValueError, match="give two"):
        figures.detections(three, both[:1])


def test_output_shapes_are_those_of_the_running_models(models):
    found = words(figures.output_shapes(models, 64))
    for text in ("3×64×64", "24×32×32", "128×4×4", "12×16×16", "16×16×4", "13×64×64", "2×64×64"):
        assert text in found
    assert "tower: 48×16×16\nhead: 17×16×16" in found
    with pytest.raises(ValueError, match="by the names in LEVELS"):
        figures.output_shapes({})


def test_a_trace_leaves_no_hooks_behind(models):
    model = models["instances"]
    seen = trace(model, 64)
    assert [name for name, _ in seen.head] == ["what", "where"] and written(seen.shared) == "48×32×32"
    assert not any(part._forward_hooks for part in model.modules())


def test_iou_writes_the_whole_sum():
    found = words(figures.iou([0, 0, 4, 4], [2, 0, 6, 4]))
    assert "IoU = 8 / (16 + 16 − 8) = 8 / 24 = 0.33" in [axes.get_title() for axes in plt.gcf().axes] + found
    assert "intersection\n2·4 = 8" in found and "second: 4·4 = 16" in found
    assert "intersection" not in " ".join(words(figures.iou([0, 0, 1, 1], torch.tensor([2.0, 2, 3, 3]))))
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
    assert f"AP = blue area = {area:.3f}" in words(figures.precision_recall(scores, right, positives))


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
    results = {"1 classifier, top-1": {"seen": 0.99, "held-out-style": 0.5}, "own": {"seen": 0.9, "mine": 0.25}}
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
