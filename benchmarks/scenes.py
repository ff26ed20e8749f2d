"""How many scenes a second are made: by the process that trains, and by one and two worker
processes beside it.

The bar: one worker makes scenes faster than any of the five models takes them, which
benchmarks/vision.py looks at.
"""

from course_lib.data import scenes
from course_lib.profiling.timing import medians, one_thread

COUNT = 640  # scenes a turn: 20 batches, so that the start of a turn hardly counts
REPEATS = 7
WORKERS = (0, 1, 2)
OBJECTS = {"one": (1, 1), "one to five": (1, 5)}


def run() -> dict:
    """Medians over alternating turns. The workers live on from turn to turn, as they do in a
    training.
    """
    rows = []
    for objects, numbers in OBJECTS.items():
        loaders = {
            workers: scenes.loader(COUNT, workers=workers, objects=numbers) for workers in WORKERS
        }
        with (
            one_thread()
        ):  # without workers, scenes are made where torch could use several threads: as in a worker
            seconds = medians(
                {str(workers): _turn(loader) for workers, loader in loaders.items()}, REPEATS
            )
        rows += [
            {
                "objects": objects,
                "side": scenes.SIZE,
                "workers": workers,
                "scenes/s": COUNT / seconds[str(workers)],
                "of that without workers": seconds["0"] / seconds[str(workers)],
            }
            for workers in WORKERS
        ]
    return {"rows": rows, "scenes a turn": COUNT, "repeats": REPEATS}


def _turn(loader):
    def turn() -> None:
        for _ in loader:
            pass

    return turn
