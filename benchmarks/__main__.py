"""Run the benchmarks, print their tables and save them: ``uv run python -m benchmarks [NAME ...]``.

Each module has ``run() -> dict`` whose ``rows`` are what is printed. Everything that is compared
runs alternately in the same process or session; what is told are medians and their ratios.
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
# from a quarter of an hour (with 11 GB) to one: only when they are named
LONG = (
    "attacks",
    "grading",
    "learning",
    "sd",
)
RESULTS = Path(__file__).parent / "results"


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Which: {', '.join(NAMES + LONG)}; if none, all but {', '.join(LONG)}, which are long."
        ),
    ] = None,
):
    """Measure, print and save as JSON under benchmarks/results/."""
    for name in names or NAMES:
        if name not in NAMES + LONG:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(NAMES + LONG)}")
        started = time.time()
        result = importlib.import_module(f"benchmarks.{name}").run()
        result["machine"] = (
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
        )
        result["seconds"] = round(time.time() - started, 1)
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(result, indent=2) + "\n")
        table = Table(title=f"{name} ({result['machine']})", title_justify="left")
        for column in result["rows"][0]:
            table.add_column(column)
        for row in result["rows"]:
            table.add_row(
                *[
                    f"{value:.3g}" if isinstance(value, float) else str(value)
                    for value in row.values()
                ]
            )
        console = Console(width=160)
        console.print(table)
        console.print(f"saved as {path}", highlight=False)


typer.run(main)
