"""What each model of lesson 3 reaches from scratch in eight minutes, beside the figure on the shipped card.

The bar: 90 % of it, on two CPU cores. All five take 40 minutes; ``COURSE_LEVELS=detector,segmenter`` chooses.
The clock runs from the first batch to the last; measuring how fast this machine trains is part of it.
"""

import os
import time

from benchmarks.vision import trained_from_loader
from course_lib import checkpoints
from course_lib.vision import levels, shipping

MINUTES = 8.0
COUNT = 200  # test scenes
SPARE = 0.05  # of the time, kept back: the speed is only known from the first batches
PROBE = 20  # batches


def run() -> dict:
    """Train, measure, and compare, a row for each figure that has a bar."""
    names = os.environ.get("COURSE_LEVELS", ",".join(levels.LEVELS)).split(",")
    return {"rows": [row for name in names for row in _level(name)], "minutes allowed": MINUTES, "test scenes": COUNT}


def _level(name: str) -> list[dict]:
    begin = time.perf_counter()
    speed, _ = trained_from_loader(name, PROBE)
    left = MINUTES * 60 * (1 - SPARE) - (time.perf_counter() - begin)
    # Whole epochs, so that the learning rate comes down in time; never more than the shipped model had.
    epochs = max(1, min(int(left * speed / levels.EPOCH), levels.level(name).epochs))
    model, history = levels.train(name, epochs=epochs, workers=1)
    minutes = (time.perf_counter() - begin) / 60
    figures = levels.evaluate(name, model, shipping.BARS_SPLIT, COUNT)
    shipped = checkpoints.card(name)["metrics"][shipping.BARS_SPLIT]
    return [
        {
            "model": name,
            "metric": metric,
            "reached": figures[metric],
            "shipped": shipped[metric],
            "share": figures[metric] / shipped[metric],
            "minutes": minutes,
            "epochs": f"{len(history.losses)} of {levels.level(name).epochs}",
            "images/s": epochs * levels.EPOCH / history.seconds,
            "bar met": str(figures[metric] >= 0.9 * shipped[metric] and minutes <= MINUTES),
        }
        for metric in shipping.BARS[name]
    ]
