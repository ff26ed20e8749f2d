"""Run benchmarks, print their tables and save them: ``uv run python -m benchmarks [NAME ...]``.

Each module has ``run() -> dict``, whose ``rows`` are printed. The course's code and its peers are
timed alternately in the same run; the results are medians and their ratios.
"""

import importlib
import json
import platform
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

NAMES = ("convolution", "drawing", "front_door", "scenes", "unet", "vision")
# Run only by name: they take minutes to an hour. "sd" needs 11 GB, "pages" a built site.
LONG = ("attacks", "grading", "learning", "pages", "sd", "website")
RESULTS = Path(__file__).parent / "results"


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"The benchmarks to run: {', '.join(NAMES + LONG)}; "
            f"by default all except {', '.join(LONG)}, which take long or need a built site."
        ),
    ] = None,
) -> None:
    """Run benchmarks, print their tables, and save them as JSON in benchmarks/results/."""
    console = Console(width=160)
    for name in names or NAMES:
        if name not in NAMES + LONG:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(NAMES + LONG)}")
        start = time.perf_counter()
        result = importlib.import_module(f"benchmarks.{name}").run()
        result["machine"] = (
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        )
        result["seconds"] = round(time.perf_counter() - start, 1)
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        console.print(_table(f"{name} ({result['machine']})", result["rows"]))
        console.print(f"saved as {path}", highlight=False)


def _table(title: str, rows: list[dict]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(
            *(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values())
        )
    return table


if __name__ == "__main__":
    typer.run(main)
