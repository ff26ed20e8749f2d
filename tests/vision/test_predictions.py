"""Predictions of all five models for one image, and their evaluation against known scenes."""

from dataclasses import replace

import pytest
import torch

from course_lib.data import sprites
from course_lib.data.compose import UNKNOWN
from course_lib.data.scenes import scene
from course_lib.metrics import detection
from course_lib.vision.detector import Detections
from course_lib.vision.instances import Instances
from course_lib.vision.predictions import (
    SCORE_THRESHOLD,
    Localization,
    Predictions,
    evaluate,
    mask_iou,
    match,
    predict_all,
)
from course_lib.vision.tasks import LEVELS


def perfect_predictions(scene) -> Predictions:
    scores = torch.linspace(0.9, 0.8, len(scene.labels))
    label = int(scene.labels[0])
    return Predictions(
        label=label,
        probability=0.9,
        localization=Localization(label, 0.9, scene.boxes[0]),
        detections=Detections(scene.labels, scores, scene.boxes),
        semantic=scene.semantic,
        foreground=(scene.semantic > 0).float(),
        instances=Instances(scene.labels, scores, scene.masks),
    )


def test_predict_all(models, three_objects):
    predictions = predict_all(models, three_objects.image)
    assert (
        predictions.semantic.shape == predictions.foreground.shape == three_objects.image.shape[1:]
    )
    assert 0 <= predictions.probability <= 1 and predictions.localization.box.shape == (4,)
    assert (predictions.detections.scores >= SCORE_THRESHOLD).all()
    with torch.no_grad():
        assert predictions.label == int(models["classifier"](three_objects.image[None]).argmax())


def test_predict_all_does_not_change_a_model_in_training_mode(models, three_objects):
    models = dict(models, segmenter=LEVELS["segmenter"].make_model().train())
    before = {name: value.clone() for name, value in models["segmenter"].state_dict().items()}
    predict_all(models, three_objects.image)
    assert models["segmenter"].training
    after = models["segmenter"].state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_missing_model_raises(models, three_objects):
    models = {name: model for name, model in models.items() if name != "segmenter"}
    with pytest.raises(ValueError, match="lack segmenter"):
        predict_all(models, three_objects.image)


def test_evaluate_perfect_predictions(three_objects):
    assert evaluate(three_objects, perfect_predictions(three_objects)) == {
        "classifier": "right for 1 of 3 objects",
        "localizer": pytest.approx(1.0),
        "detector": pytest.approx(1.0),
        "detector found": "3 of 3",
        "segmenter": pytest.approx(1.0),
        "instances": pytest.approx(1.0),
        "instances found": "3 of 3",
    }


def test_evaluate_wrong_predictions():
    one_object = scene(1, objects=(1, 1))
    label = int(one_object.labels[0])
    wrong_label = (label + 1) % len(sprites.CLASSES)
    x0, y0, x1, y1 = one_object.boxes[0].tolist()
    upper_half = torch.tensor([x0, y0, x1, (y0 + y1) / 2])
    predictions = Predictions(
        label=wrong_label,
        probability=0.5,
        localization=Localization(label, 0.5, upper_half),
        detections=Detections(torch.tensor([wrong_label]), torch.tensor([0.9]), one_object.boxes),
        semantic=torch.zeros_like(one_object.semantic),
        foreground=torch.zeros(one_object.image.shape[1:]),
        instances=Instances(one_object.labels, torch.tensor([0.9]), ~one_object.masks),
    )
    assert evaluate(one_object, predictions) == {
        "classifier": "wrong",
        "localizer": pytest.approx(0.5),
        "detector": 0.0,
        "detector found": "0 of 1",
        "segmenter": 0.0,
        "instances": 0.0,
        "instances found": "0 of 1",
    }
    assert evaluate(one_object, replace(predictions, label=label))["classifier"] == "right"


def test_evaluate_agrees_with_the_metric_of_the_task(three_objects):
    semantic = three_objects.semantic.roll((5, 3), (0, 1))
    predictions = replace(perfect_predictions(three_objects), semantic=semantic)
    expected = detection.foreground_iou(
        semantic[None], three_objects.semantic[None], len(sprites.CLASSES)
    )
    assert evaluate(three_objects, predictions)["segmenter"] == pytest.approx(expected, abs=1e-6)


def test_unknown_objects_match_any_class():
    unknown = scene(2, objects=(2, 2), split="unseen-objects")
    assert (unknown.labels == UNKNOWN).all()
    predictions = perfect_predictions(unknown)
    predictions = replace(
        predictions,
        label=3,
        detections=predictions.detections._replace(labels=torch.tensor([0, 1])),
        semantic=(unknown.semantic > 0).long() * 5,
    )
    metrics = evaluate(unknown, predictions)
    assert metrics["classifier"] == "not one of its classes"
    assert metrics["detector found"] == "2 of 2" and metrics["segmenter"] == 1.0


def test_match_is_greedy_and_matches_each_object_once():
    labels, predicted_labels = torch.tensor([4, 4]), torch.tensor([4, 4, 4, 2])
    overlaps = torch.tensor([[0.9, 0.6], [0.8, 0.7], [0.95, 0.9], [0.9, 0.9]])
    matches = match(labels, predicted_labels, overlaps)
    assert {index: prediction for index, (prediction, _) in matches.items()} == {0: 0, 1: 1}
    assert match(labels, predicted_labels, overlaps / 2) == {}


def test_mask_iou():
    first = torch.zeros(1, 4, 4, dtype=torch.bool)
    first[0, :2] = True
    second = torch.stack([first[0], first[0].T, ~first[0]])
    assert mask_iou(first, second).tolist() == [[1.0, pytest.approx(4 / 12), 0.0]]


def test_evaluate_empty_scene_raises(three_objects):
    empty = replace(
        three_objects,
        labels=three_objects.labels[:0],
        boxes=three_objects.boxes[:0],
        masks=three_objects.masks[:0],
    )
    with pytest.raises(ValueError, match="no objects, .* give one with"):
        evaluate(empty, perfect_predictions(three_objects))
