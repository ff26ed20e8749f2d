"""Run benchmarks, print their tables and save them: ``uv run python -m benchmarks [NAME ...]``.

Each module has ``run() -> dict``, whose ``rows`` are printed. Alternatives are timed alternately in
the same process or session; the results are medians and their ratios.
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
# By name only: minutes (sd with 11 GB) to an hour; "pages" needs a built site.
LONG = ("attacks", "grading", "learning", "pages", "sd", "website")
RESULTS = Path(__file__).parent / "results"


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Which: {', '.join(NAMES + LONG)}; "
            f"by default all except {', '.join(LONG)}, which are long or need a built site."
        ),
    ] = None,
) -> None:
    """Measure, print and save as JSON in benchmarks/results/."""
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
