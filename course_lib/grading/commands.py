"""``course export`` and ``course analyse``: what instructors take out of the gradebook."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="The folder that everything goes to.")]


def export(
    to: Annotated[str, typer.Option(help="canvas, moodle or gradescope; csv for nbgrader's own table.")],
    roster: Annotated[
        Path | None, typer.Option(help="The platform's own export of who is in the course (CSV).")
    ] = None,
    lesson: Annotated[list[str] | None, typer.Option(help="NN_name, more than once for more; all if left out.")] = None,
    out: Out = Path("grades"),
) -> None:
    """Write the gradebook's scores as your platform imports them: late penalties and scores by hand are in them."""
    from rich.console import Console

    from course_lib.cli import _fail

    workspace, console = _workspace(), Console(soft_wrap=True)
    from nbgrader.plugins import CsvExportPlugin

    from course_lib.grading.desk import open_desk
    from course_lib.grading.exports import PLUGINS, ExportError

    if to != "csv" and to not in PLUGINS:
        _fail(f"there is no export to {to!r}: choose {', '.join(PLUGINS)} or csv")
    _writable(out)
    if to == "csv":
        # nbgrader would write into the current folder.
        plugin = CsvExportPlugin(to=str(out / "nbgrader.csv"), assignment=lesson or [])
    else:
        path = out / PLUGINS[to].default
        plugin = PLUGINS[to](to=str(path), roster=str(roster or workspace / "roster.csv"), assignment=lesson or [])
    try:
        with open_desk(workspace).gradebook as book:
            plugin.export(book)
    except ExportError as error:
        _fail(str(error))
    finally:
        for sentence in getattr(plugin, "told", []):
            console.print(f"  {sentence}", style="yellow", markup=False, highlight=False)
    written = getattr(plugin, "written", [Path(plugin.to)])
    console.print("Written: " + ", ".join(map(str, written)), highlight=False, markup=False)


def analyse(
    lessons: Annotated[list[str] | None, typer.Argument(help="NN_name; all that are graded if none is named.")] = None,
    out: Out = Path("grades"),
) -> None:
    """Write what the answers say about the questions (analysis/), and which codes are nearly the same (likeness/)."""
    from rich.console import Console

    from course_lib.cli import _fail

    workspace, console = _workspace(), Console(soft_wrap=True)
    from course_lib.grading import analysis, likeness, scores
    from course_lib.grading.desk import open_desk

    _writable(out)
    with open_desk(workspace).gradebook as book:
        graded = sorted({total.lesson for total in scores.totals(book) if total.graded})
        if not graded:
            _fail("the gradebook holds no graded submission: run course grade first")
        for lesson in lessons or graded:
            if lesson not in graded:
                _fail(f"nothing of {lesson!r} is graded. There are: {', '.join(graded)}")
            try:
                with console.status(lesson):
                    page = analysis.write(book, workspace, lesson, out / "analysis")
                    alike, compared = likeness.write(workspace, lesson, out / "likeness")
            except (analysis.AnalysisError, ValueError) as error:
                _fail(str(error))
            console.print(f"{page}, {alike}: {compared.students} students, pairs to look at: {len(compared.pairs)}",
                          highlight=False, markup=False)  # fmt: skip


def _workspace() -> Path:
    from course_lib.cli import _checkout, _needs

    _needs("nbgrader", "jupytext")
    return _checkout() / "grading" / "workspace"


def _writable(out: Path) -> None:
    from course_lib.cli import _fail

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _fail(f"nothing can be written to {out} ({error.strerror}): give another folder with --out")
