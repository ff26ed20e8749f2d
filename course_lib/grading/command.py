"""``course grade``: mark what students handed in, record it, and say what could not be graded."""

from pathlib import Path
from typing import Annotated

import typer


def grade(
    folder: Annotated[Path, typer.Argument(help="student/NN_name.ipynb, nbgrader's submitted/ tree, or a zip.")],
    out: Annotated[Path, typer.Option(help="Where grades.csv, feedback and the summary go.")] = Path("grades"),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that mark; one a core if left out.")] = None,
    dask: Annotated[str | None, typer.Option(help="A Dask scheduler, tcp://host:port, whose workers mark.")] = None,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Where there is no sandbox: run the students' code as you, unprotected.")
    ] = False,
) -> None:
    """Grade what students handed in, into nbgrader's gradebook. A run that was stopped goes on where it was."""
    import tempfile

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from course_lib.cli import _checkout, _fail, _needs

    if not folder.exists():
        _fail(f"{folder} is not there: give the folder or zip file that holds the submissions")
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        _fail(f"nothing can be written to {out} ({error.strerror}): give another folder with --out")
    _needs("nbgrader", "jupytext", *(["distributed"] if dask else []))
    from course_lib.grading import build as builder
    from course_lib.grading import intake, keys, report
    from course_lib.grading import run as runner
    from course_lib.grading.source import SourceError

    root, console = _checkout(), Console(soft_wrap=True)
    workspace = root / "grading" / "workspace"
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(show_speed=True))
    try:
        if not any(workspace.glob("release/*/*.ipynb")):
            console.print("Nothing is released yet: building the lessons first.")
            builder.build(root)
        with Progress(*bars, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("starting", total=None)
            batch = runner.grade(
                folder.resolve(),
                workspace,
                lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
                workers=workers,
                dask=dask,
                trusted=trusted,
            )
    except runner.NoSandbox as error:
        _fail(f"students' code can't be shut in here. {error}. Or grade on a machine where course doctor finds a "
              "sandbox. If you know these students and their code: --trusted runs it as you, with your rights and "
              "your files.")  # fmt: skip
    except (intake.IntakeError, keys.KeyMissing, builder.BuildError, SourceError, OSError) as error:
        _fail(str(error))
    written = report.write(batch, out)
    console.print(f"{len(batch.grades)} graded, {len(batch.problems)} not graded.", style="bold", highlight=False)
    for problem in batch.problems:
        console.print(f"  {problem.file}: {problem.reason}", style="yellow", markup=False, highlight=False)
    for note in batch.notes:
        console.print(f"  {note.file}: {note.reason}", markup=False, highlight=False)
    console.print("Written: " + ", ".join(str(path) for path in written), highlight=False)
    for sentence in batch.unproven:
        console.print(f"  the audit found: {sentence}", style="bold red", markup=False, highlight=False)
    if not batch.unproven:
        console.print("Audit: every submission is graded or listed, and the gradebook says what was marked.")
    if batch.problems or batch.unproven:
        raise typer.Exit(1)
