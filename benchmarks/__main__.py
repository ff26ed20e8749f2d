"""Run benchmarks, print their tables and save them: ``uv run python -m benchmarks [NAME ...]``.

Each module has ``run() -> dict``, whose ``rows`` are printed. Where a benchmark compares the
course's code with another implementation, both are timed alternately; times are medians.
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

DEFAULT = ("autoencoder", "convolution", "drawing", "scenes", "startup", "unet", "vision")
# Run only by name: they take minutes to an hour. "sd" needs 11 GB of memory; "pages" needs a built
# website.
ON_REQUEST = ("attacks", "flows", "grading", "learning", "pages", "sd", "website")
RESULTS = Path(__file__).parent / "results"


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"The benchmarks to run: {', '.join(DEFAULT + ON_REQUEST)}; "
            f"by default all but {', '.join(ON_REQUEST)}, which are slow or need a built website."
        ),
    ] = None,
) -> None:
    """Run benchmarks, print their tables, and save them as JSON in benchmarks/results/."""
    console = Console(width=160)
    for name in names or DEFAULT:
        if name not in DEFAULT + ON_REQUEST:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(DEFAULT + ON_REQUEST)}")
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
