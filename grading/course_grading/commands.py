"""``course grade``, ``course export`` and ``course analyse``: into the gradebook, and what is taken
out of it.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from course_lib.console import checkout, fail, needs

Out = Annotated[Path, typer.Option(help="The folder that everything goes to.")]


def grade(
    folder: Annotated[
        Path, typer.Argument(help="student/NN_name.ipynb, nbgrader's submitted/ tree, or a zip.")
    ],
    out: Out = Path("grades"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that mark; one a core if left out.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="A Dask scheduler, tcp://host:port, whose workers mark.")
    ] = None,
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted",
            help="Where there is no sandbox: run the students' code as you, unprotected.",
        ),
    ] = False,
) -> None:
    """Grade what students handed in, into nbgrader's gradebook. A run that was stopped goes on
    where it was.
    """
    from rich.console import Console
    from tqdm import tqdm

    if not folder.exists():
        fail(f"{folder} is not there: give the folder or zip file that holds the submissions")
    _writable(out)
    needs("nbgrader", "jupytext", *(["distributed"] if dask else []))
    from course_grading.autograde import processes

    processes.prepare()  # while this process imports the same
    from course_grading import batch as runner
    from course_grading.assign import build as builder
    from course_grading.assign.source import SourceError
    from course_grading.autograde import answer_keys
    from course_grading.collect import submissions
    from course_grading.reports import tables

    root, console = checkout(), Console(soft_wrap=True)
    workspace = root / "grading" / "workspace"
    try:
        if not any(workspace.glob("release/*/*.ipynb")):
            console.print("Nothing is released yet: building the lessons first.")
            builder.build(root)
        # On stdout, like all else that is told; the rate is of the last few submissions.
        with tqdm(desc="grading", unit=" submissions", file=sys.stdout, dynamic_ncols=True) as bar:

            def progress(what: str, done: int, total: int, problems: int) -> None:
                bar.total = total
                bar.set_postfix_str(f"problems: {problems}; {what}", refresh=False)
                bar.update(done - bar.n)

            batch = runner.grade(
                folder.resolve(), workspace, progress, workers=workers, dask=dask, trusted=trusted
            )
    except runner.NoSandbox as error:
        fail(f"students' code can't be shut in here. {error}. Or grade on a machine where course doctor finds a "
              "sandbox. If you know these students and their code: --trusted runs it as you, with your rights and "
              "your files.")  # fmt: skip
    except (
        submissions.IntakeError,
        answer_keys.KeyMissing,
        builder.BuildError,
        SourceError,
        OSError,
    ) as error:
        fail(str(error))
    written = tables.write(batch, out)
    console.print(
        f"{len(batch.grades)} graded, {len(batch.problems)} not graded.",
        style="bold",
        highlight=False,
    )
    for problem in batch.problems:
        console.print(
            f"  {problem.file}: {problem.reason}", style="yellow", markup=False, highlight=False
        )
    for note in batch.notes:
        console.print(f"  {note.file}: {note.reason}", markup=False, highlight=False)
    console.print("Written: " + ", ".join(str(path) for path in written), highlight=False)
    for sentence in batch.unproven:
        console.print(
            f"  the audit found: {sentence}", style="bold red", markup=False, highlight=False
        )
    if not batch.unproven:
        console.print(
            "Audit: every submission is graded or listed, and the gradebook says what was marked."
        )
    if batch.problems or batch.unproven:
        raise typer.Exit(1)


def export(
    to: Annotated[
        str, typer.Option(help="canvas, moodle or gradescope; csv for nbgrader's own table.")
    ],
    roster: Annotated[
        Path | None, typer.Option(help="The platform's own export of who is in the course (CSV).")
    ] = None,
    lesson: Annotated[
        list[str] | None, typer.Option(help="NN_name, more than once for more; all if left out.")
    ] = None,
    out: Out = Path("grades"),
) -> None:
    """Write the gradebook's scores as your platform imports them: late penalties and scores by hand
    are in them.
    """
    from rich.console import Console

    workspace, console = _workspace(), Console(soft_wrap=True)
    from nbgrader.plugins import CsvExportPlugin

    from course_grading.export.platforms import PLUGINS, ExportError
    from course_grading.gradebook.nbgrader_api import open_desk

    if to != "csv" and to not in PLUGINS:
        fail(f"there is no export to {to!r}: choose {', '.join(PLUGINS)} or csv")
    _writable(out)
    if to == "csv":
        # nbgrader would write into the current folder.
        plugin = CsvExportPlugin(to=str(out / "nbgrader.csv"), assignment=lesson or [])
    else:
        path = out / PLUGINS[to].default
        plugin = PLUGINS[to](
            to=str(path), roster=str(roster or workspace / "roster.csv"), assignment=lesson or []
        )
    try:
        with open_desk(workspace).gradebook as book:
            plugin.export(book)
    except ExportError as error:
        fail(str(error))
    finally:
        for sentence in getattr(plugin, "told", []):
            console.print(f"  {sentence}", style="yellow", markup=False, highlight=False)
    written = getattr(plugin, "written", [Path(plugin.to)])
    console.print("Written: " + ", ".join(map(str, written)), highlight=False, markup=False)


def analyse(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="NN_name; all that are graded if none is named.")
    ] = None,
    out: Out = Path("grades"),
) -> None:
    """Write what the answers say about the questions (analysis/), and which codes are nearly the
    same (likeness/).
    """
    from rich.console import Console

    workspace, console = _workspace(), Console(soft_wrap=True)
    from course_grading.gradebook import scores
    from course_grading.gradebook.nbgrader_api import open_desk
    from course_grading.reports import item_analysis, similarity

    _writable(out)
    with open_desk(workspace).gradebook as book:
        graded = sorted({total.lesson for total in scores.totals(book) if total.graded})
        if not graded:
            fail("the gradebook holds no graded submission: run course grade first")
        for lesson in lessons or graded:
            if lesson not in graded:
                fail(f"nothing of {lesson!r} is graded. There are: {', '.join(graded)}")
            try:
                with console.status(lesson):
                    page = item_analysis.write(book, workspace, lesson, out / "analysis")
                    alike, compared = similarity.write(workspace, lesson, out / "likeness")
            except (item_analysis.AnalysisError, ValueError) as error:
                fail(str(error))
            console.print(f"{page}, {alike}: {compared.students} students, pairs to look at: {len(compared.pairs)}",
                          highlight=False, markup=False)  # fmt: skip


def _workspace() -> Path:

    needs("nbgrader", "jupytext")
    return checkout() / "grading" / "workspace"


def _writable(out: Path) -> None:
    import tempfile

    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        fail(f"nothing can be written to {out} ({error.strerror}): give another folder with --out")
