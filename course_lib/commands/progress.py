"""``course progress`` and ``course check``: what a learner has done, and whether it is right."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from course_lib.console import fail, require_checkout, require_modules
from course_lib.learner import files, record, summary, table
from course_lib.learner.record import Record

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="The folder of your notebooks; by default this one or its notebooks/."),
]


def progress(
    lesson: Annotated[str | None, typer.Option(help="Only this lesson, item by item.")] = None,
    checks: Annotated[
        bool,
        typer.Option("--checks", help="Run hidden checks of exercises changed since the last run."),
    ] = False,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Import answers from a file that the website exported."),
    ] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Show what you have done in each lesson, and what to look at again."""
    from rich.console import Console

    place, console = _place(folder), Console(soft_wrap=True, highlight=False, markup=False)
    name = _lesson_name(lesson) if lesson is not None else ""
    quiet = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if import_file is not None:
        quiet.print(_import(import_file, place))
    if checks:
        recorded = _load(place)
        notebooks, _ = files.find(place)
        for lesson_name in [name] if name else sorted(notebooks):
            if lesson_name in notebooks:
                _grade(lesson_name, notebooks[lesson_name], recorded, quiet)
                record.save(place, recorded)
    found = summary.read(place, name)
    if as_json:
        print(json.dumps(found.as_json(), indent=1, ensure_ascii=False))
        return
    for line in table.as_lines(found, every_item=bool(name)):
        console.print(line)


def check(
    lesson: Annotated[str, typer.Argument(help="Its number or its name.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Grade one of your lessons: every question and exercise, with its hidden checks.

    The exit code is 0 if everything is right, otherwise 1.
    """
    from rich.console import Console

    place, name = _place(folder), _lesson_name(lesson)
    quiet = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    notebooks, problems = files.find(place)
    if name not in notebooks:
        reasons = [f"{file}: {why}" for file, why in problems.items() if name in file]
        fail(f"{place} contains no notebook of lesson {name}. {' '.join(reasons)}".strip())
    recorded = _load(place)
    graded = _grade(name, notebooks[name], recorded, quiet)
    record.save(place, recorded)
    (progress,) = summary.read(place, name).lessons
    earned, points = sum(item.earned for item in graded), sum(item.points for item in graded)
    is_right = all(item.is_right for item in graded)
    if as_json:
        report: dict[str, Any] = {
            "lesson": name,
            "file": progress.file,
            "points": points,
            "earned": earned,
            "right": is_right,
            "items": [{**vars(item), "right": item.is_right} for item in graded],
        }
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        console = Console(soft_wrap=True, highlight=False, markup=False)
        for line in table.check_lines(progress, graded):
            console.print(line)
    if not is_right:
        raise typer.Exit(1)


def _grade(lesson: str, notebooks: list[files.Notebook], recorded: Record, console: Any) -> list:
    """Grade a lesson, in the sandbox if available; store the results in ``recorded``."""
    require_modules("nbgrader", "jupytext")
    root = require_checkout()
    from course_grading.errors import GradingError

    from course_lib.commands import self_check

    reason = self_check.isolation()
    if reason and any(cell.solves and cell.has_work for one in notebooks for cell in one.cells):
        console.print(f"Your code runs as your user, without a sandbox: {reason}.", style="yellow")

    def report(exercise: str) -> None:
        console.print(f"{lesson}: checking {exercise}")

    try:
        return self_check.grade(
            root, lesson, notebooks, recorded, trusted=bool(reason), report=report
        )
    except GradingError as error:
        fail(str(error))


def _place(folder: Path | None) -> Path:
    place = folder or files.folder()
    if not place.is_dir():
        fail(f"{place} is not a folder: give the folder of your notebooks")
    return place


def _lesson_name(text: str) -> str:
    try:
        return summary.find_lesson(text)
    except ValueError as error:
        fail(str(error))


def _load(place: Path) -> Record:
    try:
        return record.load(place)
    except ValueError as error:
        fail(str(error))


def _import(path: Path, place: Path) -> str:
    """Add the answers of an exported file to ``progress.json``; report how many were taken."""
    recorded = _load(place)
    try:
        if path.stat().st_size > record.MAX_BYTES:
            fail(f"{path} is too large for exported progress. Nothing was changed.")
        imported = record.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{path} can't be read ({error.strerror}). Nothing was changed.")
    except ValueError as error:
        fail(f"{path}: {error} Nothing was changed.")
    taken = record.merge(recorded, imported)
    record.save(place, recorded)
    count = sum(map(len, imported.answers.values()))
    return f"Read {count} {'answer' if count == 1 else 'answers'}; {taken} new or newer than here."
