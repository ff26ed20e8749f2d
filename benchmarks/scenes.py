"""The number of scenes composed per second in the training process, and by one and two workers.

The goal: one worker composes scenes faster than any of the five models trains on them;
benchmarks/vision.py measures the training.
"""

from collections.abc import Callable, Iterable

from course_lib.data import scenes
from course_lib.profiling.timing import medians, one_thread

COUNT = 640  # scenes per measurement: 20 batches, so that the start-up is negligible
REPEATS = 7
WORKERS = (0, 1, 2)
OBJECTS = {"one": (1, 1), "one to five": (1, 5)}


def run() -> dict:
    """Medians of alternating measurements. The workers are persistent, as in training."""
    rows = []
    for label, objects in OBJECTS.items():
        loaders = {
            str(workers): scenes.loader(COUNT, workers=workers, objects=objects)
            for workers in WORKERS
        }
        with one_thread():  # as in a worker; without workers, torch would use several threads
            seconds = medians(
                {workers: _iterate(loader) for workers, loader in loaders.items()}, REPEATS
            )
        rows += [
            {
                "objects": label,
                "side": scenes.SIZE,
                "workers": int(workers),
                "scenes/s": COUNT / time,
                "x of no workers": seconds["0"] / time,
            }
            for workers, time in seconds.items()
        ]
    return {"rows": rows, "scenes per measurement": COUNT, "repeats": REPEATS}


def _iterate(loader: Iterable) -> Callable[[], None]:
    def iterate() -> None:
        for _ in loader:
            pass

    return iterate
