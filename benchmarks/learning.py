"""The metrics of each model of lesson 3 after eight minutes of training from random weights,
compared with the shipped model's.

The goal is 90 % of the shipped model's value, on two CPU cores. All five take half an hour;
``COURSE_LEVELS=detector,segmenter`` selects some. Only the training is timed, without start-up
and evaluation. "N of M epochs": the shipped model was trained for M.
"""

import os

from course_lib.assets import checkpoints
from course_lib.vision import tasks

MINUTES = 8.0
# Two cores completed these numbers of epochs in that time when this was written. They are fixed,
# because the learning-rate schedule depends on them.
EPOCHS = {"classifier": 8, "localizer": 12, "detector": 9, "segmenter": 8, "instances": 6}
TEST_SCENES = 200
SPLIT = "new-backgrounds"


def run() -> dict:
    """Train, evaluate and compare; a row for each metric that has a threshold."""
    names = os.environ.get("COURSE_LEVELS", ",".join(tasks.LEVELS)).split(",")
    return {
        "rows": [row for name in names for row in _measure(name)],
        "minutes allowed": MINUTES,
        "test scenes": TEST_SCENES,
    }


def _measure(name: str) -> list[dict]:
    model, history = tasks.train(name, epochs=EPOCHS[name], workers=1)
    minutes = history.seconds / 60
    metrics = tasks.evaluate(name, model, SPLIT, TEST_SCENES)
    card = checkpoints.read_card(name)
    shipped = card["metrics"][SPLIT]
    return [
        {
            "model": name,
            "metric": metric,
            "reached": metrics[metric],
            "shipped": shipped[metric],
            "share": metrics[metric] / shipped[metric],
            "minutes": minutes,
            "epochs": f"{EPOCHS[name]} of {card['epochs']}",
            "images/s": EPOCHS[name] * tasks.EXAMPLES_PER_EPOCH / history.seconds,
            "goal met": str(metrics[metric] >= 0.9 * shipped[metric] and minutes <= MINUTES),
        }
        for metric in tasks.THRESHOLDS[name][SPLIT]
    ]
