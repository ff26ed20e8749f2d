"""Five models are asked about one picture, and their answers are judged by hand-made truths."""

from dataclasses import replace

import pytest
import torch

from course_lib.data import sprites
from course_lib.data.compose import UNKNOWN
from course_lib.data.scenes import scene
from course_lib.vision import answers as asking
from course_lib.vision.answers import Answers, Located, ask, judge, mask_iou, match
from course_lib.vision.detector import Detections
from course_lib.vision.instances import Instances
from course_lib.vision.tasks import LEVELS


def truth_told(one) -> Answers:
    """The answers of five models that are never wrong."""
    sure = torch.linspace(0.9, 0.8, len(one.labels))
    label = int(one.labels[0])
    return Answers(
        *(label, 0.9, Located(label, 0.9, one.boxes[0])),
        detections=Detections(one.labels, sure, one.boxes),
        kinds=one.semantic,
        foreground=(one.semantic > 0).float(),
        instances=Instances(one.labels, sure, one.masks),
    )


def test_five_models_answer_one_picture(models, three):
    told = ask(models, three.image)
    assert told.kinds.shape == told.foreground.shape == three.image.shape[1:]
    assert 0 <= told.probability <= 1 and told.located.box.shape == (4,)
    assert (told.detections.scores >= asking.LEAST_SCORE).all()
    with torch.no_grad():
        assert told.label == int(models["classifier"](three.image[None]).argmax())


def test_asking_leaves_a_model_in_training_as_it_was(models, three):
    models = dict(models, segmenter=LEVELS["segmenter"].model().train())
    before = {name: value.clone() for name, value in models["segmenter"].state_dict().items()}
    ask(models, three.image)
    assert models["segmenter"].training
    assert all(
        torch.equal(value, before[name]) for name, value in models["segmenter"].state_dict().items()
    )


def test_a_missing_model_is_named(models, three):
    with pytest.raises(ValueError, match="lack segmenter"):
        ask({name: model for name, model in models.items() if name != "segmenter"}, three.image)


def test_the_truth_is_judged_perfect(three):
    assert judge(three, truth_told(three)) == {
        "classifier": "right about 1 of 3",
        **{
            name: pytest.approx(1.0) for name in ("localizer", "detector", "segmenter", "instances")
        },
        **{f"{name} found": "3 of 3" for name in ("detector", "instances")},
    }


def test_judge_counts_what_is_wrong():
    one = scene(1, objects=(1, 1))
    label = int(one.labels[0])
    other = (label + 1) % len(sprites.CLASSES)
    x0, y0, x1, y1 = one.boxes[0].tolist()
    half = torch.tensor([x0, y0, x1, (y0 + y1) / 2])
    told = Answers(
        *(other, 0.5, Located(label, 0.5, half)),
        detections=Detections(torch.tensor([other]), torch.tensor([0.9]), one.boxes),
        kinds=torch.zeros_like(one.semantic),
        foreground=torch.zeros(one.image.shape[1:]),
        instances=Instances(one.labels, torch.tensor([0.9]), ~one.masks),
    )
    expected = {
        "classifier": "wrong",
        "localizer": pytest.approx(0.5),
        "detector": 0.0,
        "detector found": "0 of 1",
    }
    expected |= {"segmenter": 0.0, "instances": 0.0, "instances found": "0 of 1"}
    assert judge(one, told) == expected
    assert judge(one, replace(told, label=label))["classifier"] == "right"


def test_judge_agrees_with_the_metric_that_the_level_is_measured_by(three):
    from course_lib.metrics import detection

    kinds = three.semantic.roll((5, 3), (0, 1))
    told = replace(truth_told(three), kinds=kinds)
    expected = detection.foreground_iou(kinds[None], three.semantic[None], len(sprites.CLASSES))
    assert judge(three, told)["segmenter"] == pytest.approx(expected, abs=1e-6)


def test_unknown_objects_may_have_any_name():
    one = scene(2, objects=(2, 2), split="unseen-objects")
    told = truth_told(one)
    told = replace(
        *(told,),
        label=3,
        detections=told.detections._replace(labels=torch.tensor([0, 1])),
        kinds=(one.semantic > 0).long() * 5,
    )
    said = judge(one, told)
    assert (one.labels == UNKNOWN).all() and said["classifier"] == "has no word for it"
    assert said["detector found"] == "2 of 2" and said["segmenter"] == 1.0


def test_the_surest_answer_takes_the_object_and_each_is_taken_once():
    labels, found = torch.tensor([4, 4]), torch.tensor([4, 4, 4, 2])
    overlaps = torch.tensor([[0.9, 0.6], [0.8, 0.7], [0.95, 0.9], [0.9, 0.9]])
    taken = match(labels, found, overlaps)
    assert {number: answer for number, (answer, _) in taken.items()} == {0: 0, 1: 1}
    assert match(labels, found, overlaps / 2) == {}


def test_mask_iou():
    first = torch.zeros(1, 4, 4, dtype=torch.bool)
    first[0, :2] = True
    assert mask_iou(first, torch.stack([first[0], first[0].T, ~first[0]])).tolist() == [
        [1.0, pytest.approx(4 / 12), 0.0]
    ]


def test_an_empty_scene_can_not_be_judged(three):
    nothing = replace(three, labels=three.labels[:0], boxes=three.boxes[:0], masks=three.masks[:0])
    with pytest.raises(ValueError, match="no objects, .* give one with"):
        judge(nothing, truth_told(three))
