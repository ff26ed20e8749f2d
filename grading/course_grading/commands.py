"""The grader's commands, from ``course build`` to ``course analyse``. Each imports its modules only
when it runs.
"""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_lib.console import fail, require_checkout, require_modules

if TYPE_CHECKING:
    from course_grading.assign.build import BuildReport

Out = Annotated[Path, typer.Option(help="The folder to write to.")]


def build(
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing: report differences and leaked answers."),
    ] = False,
    graded: Annotated[
        bool, typer.Option("--graded", help="The classroom release, without feedback.")
    ] = False,
    solutions: Annotated[
        Path | None, typer.Option(help="With --graded: a private copy of solutions/.")
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(help="With --graded: draw the class's variant, for example with 2027."),
    ] = None,
    per_student: Annotated[
        bool,
        typer.Option(
            "--per-student", help="With --seed: a variant for each student on the roster."
        ),
    ] = False,
) -> None:
    """Build every lesson from its source in solutions/."""
    from rich.console import Console

    require_modules("nbgrader", "jupytext")
    from course_grading.assign import build as builder
    from course_grading.errors import GradingError

    root, console = require_checkout(), Console(soft_wrap=True, highlight=False)
    try:
        if check:
            report = builder.check(root)
        else:
            report = builder.build(
                root, solutions=solutions, graded=graded, seed=seed, per_student=per_student
            )
    except GradingError as error:
        fail(str(error))
    for line in _describe_lessons(report):
        console.print(line)
    for path in report.written:
        console.print(f"wrote {path.relative_to(root)}")
    for path in report.backups:
        console.print(f"your work was kept as {path.relative_to(root)}", style="bold")
    if report.classroom_unchanged:
        console.print(
            "grading/workspace keeps its classroom release: to replace it, course build --graded"
        )
    if graded:
        console.print("the classroom release is in grading/workspace/release")
    if report.students:
        console.print(
            f"the releases of {len(report.students)} students are in grading/workspace/students"
        )
    if report.problems:
        fail("the build has problems:\n" + "\n".join(f"  {line}" for line in report.problems))
    if check:
        console.print("The notebooks match their sources and give no answer away.", style="green")


def _describe_lessons(report: "BuildReport") -> Iterator[str]:
    """A line for each lesson, and for --check what guessing earns."""
    for lesson in report.lessons:
        yield (
            f"{lesson.name}: {len(lesson.questions)} questions, "
            f"{len(lesson.exercises)} exercises, {lesson.points:g} points"
        )
    if report.guessing:
        yield from report.guessing.to_lines()
        yield from report.guessing.problems


def grade(
    folder: Annotated[
        Path,
        typer.Argument(
            help="student/NN_name.ipynb, nbgrader's submitted/ tree, a zip or a tar.gz."
        ),
    ],
    out: Out = Path("grades"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Grading processes; by default one per core.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="A Dask scheduler, tcp://host:port, whose workers grade.")
    ] = None,
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted",
            help="Without a sandbox: students' code runs with your rights, on your files.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Keep running, and grade new submissions until Ctrl-C."),
    ] = False,
) -> None:
    """Grade submissions into nbgrader's gradebook. A stopped run can be resumed."""
    if not folder.exists():
        fail(f"{folder} does not exist: give the folder or zip file of submissions")
    if watch:
        _watch(folder.resolve(), out, workers, dask, trusted)
        return
    _grade(folder.resolve(), None, out, workers, dask, trusted)


def regrade(
    item: Annotated[
        list[str] | None, typer.Option(help="Grade lessons with this question or exercise.")
    ] = None,
    student: Annotated[list[str] | None, typer.Option(help="Grade this student's work.")] = None,
    lesson: Annotated[list[str] | None, typer.Option(help="Grade this lesson, NN_name.")] = None,
    out: Out = Path("grades"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Grading processes; by default one per core.")
    ] = None,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="As in course grade: without a sandbox.")
    ] = False,
) -> None:
    """Apply changed due dates, answer keys, overrides, manual scores and comments, without a
    folder.

    Submissions that match all given options are always graded again, from the originals that were
    kept.
    """
    chosen = (frozenset(student or ()), frozenset(lesson or ()), frozenset(item or ()))
    _grade(None, chosen, out, workers, None, trusted)


def _grade(
    folder: Path | None,
    chosen: tuple[frozenset[str], frozenset[str], frozenset[str]] | None,
    out: Path,
    workers: int | None,
    dask: str | None,
    trusted: bool,
) -> None:
    """Grade a folder, or a selection (students, lessons, items); write and print the report."""
    from rich.console import Console
    from tqdm import tqdm

    _writable(out)
    require_modules("nbgrader", "jupytext", *(["distributed"] if dask else []))
    from course_grading.autograde import processes

    processes.prepare()  # imports in parallel with this process
    from course_grading import batch as runner
    from course_grading.assign import build as builder
    from course_grading.errors import GradingError, SandboxUnavailableError

    root, console = require_checkout(), Console(soft_wrap=True)
    workspace = root / "grading" / "workspace"
    try:
        if not any(workspace.glob("release/*/*.ipynb")):
            console.print("Nothing is released yet: building the lessons first.")
            builder.build(root)
        # On stdout, like the rest of the report.
        with tqdm(desc="grading", unit=" submissions", file=sys.stdout, dynamic_ncols=True) as bar:

            def progress(name: str, done: int, total: int, problems: int) -> None:
                bar.total = total
                bar.set_postfix_str(f"problems: {problems}; {name}", refresh=False)
                bar.update(done - bar.n)

            if folder is None:
                selection = runner.Selection(*(chosen or ()))
                batch = runner.regrade(
                    workspace, selection, progress, workers=workers, trusted=trusted
                )
            else:
                batch = runner.grade_batch(
                    folder, workspace, progress, workers=workers, dask=dask, trusted=trusted
                )
    except SandboxUnavailableError as error:
        fail(
            f"students' code can't be isolated here. {error}. Or grade on a machine where course "
            "doctor finds a sandbox. If you know these students and their code: --trusted runs it "
            "as you, with your rights and your files."
        )
    except (GradingError, OSError) as error:
        fail(str(error))
    _report(batch, out, console)


def _watch(folder: Path, out: Path, workers: int | None, dask: str | None, trusted: bool) -> None:
    """Watch a folder and grade submissions, with a line for each, until Ctrl-C."""
    import signal

    from rich.console import Console

    _writable(out)
    require_modules("nbgrader", "jupytext", *(["distributed"] if dask else []))
    from course_grading.autograde import processes

    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the worker processes
    processes.prepare()
    signal.signal(signal.SIGINT, previous)
    from course_grading import watch as watching
    from course_grading.batch import grade_batch
    from course_grading.gradebook import state
    from course_grading.reports import tables

    root, console = require_checkout(), Console(soft_wrap=True, highlight=False, markup=False)
    workspace = root / "grading" / "workspace"
    if reason := watching.refuse_reason(folder, out):
        fail(reason)
    if not any(workspace.glob("release/*/*.ipynb")):
        fail("nothing is released yet: run course build --graded first")
    reporter = watching.Reporter(state.load(workspace))
    interruption = watching.Interruption(console.print)

    def grade_files(names: Collection[str]) -> list[str]:
        batch = grade_batch(
            folder, workspace, workers=workers, dask=dask, trusted=trusted, only=names
        )
        tables.write(batch, out)
        return [*reporter.lines(batch)]

    console.print(f"Watching {folder}. Ctrl-C ends it.")
    with interruption.handled():
        watching.watch(folder, grade_files, console.print, interruption.wait, interruption.at_work)
    console.print(f"Ended. Everything is written in {out}, and in the gradebook.")


def _report(batch, out: Path, console) -> None:
    """Write the tables and print a summary; exit with 1 if there are problems or audit findings."""
    from course_grading.reports import tables

    written = tables.write(batch, out)
    console.print(
        f"{len(batch.grades)} graded, {len(batch.problems)} not graded.",
        style="bold",
        highlight=False,
    )
    for problem in batch.problems:
        # Gradescope's file names do not contain the student
        named = problem.student.replace("_", " ") in problem.file.replace("_", " ")
        owner = "" if named else f" ({problem.student})"
        console.print(
            f"  {problem.file}{owner}: {problem.reason}",
            style="yellow",
            markup=False,
            highlight=False,
        )
    _print_notes(batch.notes, console)
    _print_changes(batch.changes, console)
    waiting = sum(grade.needs_manual for grade in batch.class_grades)
    if waiting:
        console.print(f"To be graded manually: {waiting} submissions, see needs_manual.csv.")
    console.print("Written: " + ", ".join(str(path) for path in written), highlight=False)
    for finding in batch.audit_findings:
        console.print(
            f"  the audit found: {finding}", style="bold red", markup=False, highlight=False
        )
    if not batch.audit_findings:
        console.print(
            "Audit: every submission is graded or listed, and the gradebook agrees with the "
            "results."
        )
    if batch.problems or batch.audit_findings:
        raise typer.Exit(1)


def _print_notes(notes: list, console) -> None:
    """Print the notes; of more than four with the same reason, the first three."""
    alike: dict[str, list] = {}
    for note in notes:
        alike.setdefault(note.reason, []).append(note)
    for reason, group in alike.items():
        shown = group if len(group) <= 4 else group[:3]
        for note in shown:
            name = note.file or f"{note.lesson} of {note.student}"
            console.print(f"  {name}: {reason}", markup=False, highlight=False)
        if len(group) > len(shown):
            console.print(f"  and {len(group) - len(shown)} more like this: see notes.csv")


def _print_changes(changes: list, console) -> None:
    """Print the first changes; changes.csv has all of them."""
    if not changes:
        return
    students = len({change.student for change in changes})
    console.print(f"Changed since the last run ({students} students):", highlight=False)
    for change in changes[:20]:
        console.print(
            f"  {change.student}, {change.lesson}: {change.what} {change.before or 'nothing'} -> "
            f"{change.after or 'nothing'} ({change.reason})",
            markup=False,
            highlight=False,
        )
    if len(changes) > 20:
        console.print(f"  and {len(changes) - 20} more: see changes.csv in the run's folder")


def export(
    to: Annotated[
        str | None,
        typer.Option(help="Scores: canvas, moodle or gradescope; csv for nbgrader's own table."),
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(help="The platform's own export of its students (CSV).")
    ] = None,
    lesson: Annotated[
        list[str] | None, typer.Option(help="NN_name; repeat it for more lessons; by default all.")
    ] = None,
    feedback_zip: Annotated[
        bool,
        typer.Option(
            "--feedback-zip",
            help="Instead of scores: a zip of feedback pages that moodle or canvas imports.",
        ),
    ] = False,
    out: Out = Path("grades"),
    questions: Annotated[
        str | None,
        typer.Option(help="Questions instead of scores: qti (Canvas), moodle or gift."),
    ] = None,
    solutions: Annotated[
        Path | None, typer.Option(help="With --questions: a private copy of solutions/.")
    ] = None,
) -> None:
    """Write a file that your platform imports: the gradebook's scores, with late penalties and
    manual grades; the feedback pages (--feedback-zip); or the lessons' questions for its own
    quizzes (--questions).
    """
    from rich.console import Console

    if (to is None) == (questions is None):
        fail("give --to PLATFORM for scores, or --questions FORMAT for questions")
    if (roster and questions) or (solutions and to):
        fail("use --roster with --to PLATFORM, and --solutions with --questions FORMAT")
    if to is None:
        assert questions is not None
        _export_questions(questions, solutions, lesson or [], out)
        return
    workspace, console = _workspace(), Console(soft_wrap=True)
    from nbgrader.plugins import CsvExportPlugin

    from course_grading.batch import exclusive
    from course_grading.errors import GradingError
    from course_grading.export.platforms import PLUGINS, ExportError
    from course_grading.gradebook import freshness
    from course_grading.gradebook.nbgrader_api import open_api

    if to != "csv" and to not in PLUGINS:
        fail(f"unknown platform {to!r}: choose {', '.join(PLUGINS)} or csv")
    _writable(out)
    api = open_api(workspace)
    try:
        with exclusive(workspace):
            freshness.update_dates(api, workspace)
        outdated = freshness.find_outdated(api, workspace)
    except GradingError as error:
        fail(str(error))
    for sentence in outdated:
        console.print(f"  {sentence}", style="yellow", markup=False, highlight=False)
    if feedback_zip:
        _export_feedback(api, workspace, to, lesson or [], out, console)
        return
    if to == "csv":
        # nbgrader's default is the current folder
        plugin = CsvExportPlugin(to=str(out / "nbgrader.csv"), assignment=lesson or [])
    else:
        path = out / PLUGINS[to].default_name
        plugin = PLUGINS[to](
            to=str(path), roster=str(roster or workspace / "roster.csv"), assignment=lesson or []
        )
    try:
        with api.gradebook as book:
            plugin.export(book)
    except ExportError as error:
        fail(str(error))
    finally:
        for sentence in getattr(plugin, "messages", []):
            console.print(f"  {sentence}", style="yellow", markup=False, highlight=False)
    written = getattr(plugin, "written", [Path(plugin.to)])
    console.print("Written: " + ", ".join(map(str, written)), highlight=False, markup=False)


def _export_questions(name: str, solutions: Path | None, lessons: list[str], out: Path) -> None:
    from rich.console import Console

    root, console = require_checkout(), Console(soft_wrap=True, highlight=False, markup=False)
    require_modules("jupytext", "markdown_it", "mdit_py_plugins")
    from course_grading.errors import GradingError
    from course_grading.export.questions_formats import export_questions

    _writable(out)
    try:
        path, messages = export_questions(name, solutions or root / "solutions", lessons, out)
    except GradingError as error:
        fail(str(error))
    for message in messages:
        console.print(f"  {message}", style="yellow")
    console.print(f"Written: {path}")


def _export_feedback(api, workspace: Path, to: str, lessons: list[str], out: Path, console) -> None:
    from course_grading.errors import ExportError
    from course_grading.export import feedback_zip
    from course_grading.gradebook import scores

    if to not in feedback_zip.PLATFORMS:
        fail(f"{to} imports no feedback files: --feedback-zip is for moodle and canvas")
    with api.gradebook as book:
        graded = [(t.student, t.lesson) for t in scores.totals(book, lessons) if t.graded]
    try:
        written, left_out = feedback_zip.write(workspace, to, graded, out)
    except ExportError as error:
        fail(str(error))
    for sentence in left_out:
        console.print(
            f"  not in the zip: {sentence}", style="yellow", markup=False, highlight=False
        )
    console.print("Written: " + ", ".join(map(str, written)), highlight=False, markup=False)


def class_list(
    roster: Annotated[
        Path, typer.Option(help="The platform's participant list or grade export (CSV).")
    ],
) -> None:
    """Import the class from your platform's roster: names, ids, sections, groups, extensions.

    It is written to grading/workspace/roster.csv, which you may edit. Later runs report missing
    submissions, formgrader shows names, and exports need no --roster.
    """
    from rich.console import Console

    workspace, console = _workspace(), Console(soft_wrap=True, highlight=False)
    from course_grading.batch import exclusive
    from course_grading.errors import GradingError
    from course_grading.export import class_list as classes
    from course_grading.gradebook.nbgrader_api import open_api

    try:
        workspace.mkdir(parents=True, exist_ok=True)
        with exclusive(workspace):
            members, messages = classes.import_roster(roster, workspace)
            with open_api(workspace).gradebook as book:
                members.fill_names(book)
    except (GradingError, OSError) as error:
        fail(str(error))
    for message in messages:
        console.print(f"  {message}", markup=False)
    console.print(f"{len(members.members)} students: {members.roster.path}", markup=False)


def analyse(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="NN_name; by default all graded lessons.")
    ] = None,
    out: Out = Path("grades"),
) -> None:
    """Write the item analysis (analysis/) and a report on similar code (likeness/)."""
    from rich.console import Console

    workspace, console = _workspace(), Console(soft_wrap=True)
    from course_grading.gradebook import scores
    from course_grading.gradebook.nbgrader_api import open_api
    from course_grading.reports import item_analysis, similarity

    _writable(out)
    with open_api(workspace).gradebook as book:
        graded = sorted({total.lesson for total in scores.totals(book) if total.graded})
        if not graded:
            fail("the gradebook has no graded submission: run course grade first")
        for lesson in lessons or graded:
            if lesson not in graded:
                fail(f"nothing of {lesson!r} is graded. Graded lessons: {', '.join(graded)}")
            try:
                with console.status(lesson):
                    page = item_analysis.write(book, workspace, lesson, out / "analysis")
                    similarity_page, report = similarity.write(workspace, lesson, out / "likeness")
            except (item_analysis.AnalysisError, ValueError) as error:
                fail(str(error))
            console.print(
                f"{page}, {similarity_page}: {report.students} students, "
                f"pairs to look at: {len(report.pairs)}",
                highlight=False,
                markup=False,
            )


def _workspace() -> Path:
    require_modules("nbgrader", "jupytext")
    return require_checkout() / "grading" / "workspace"


def _writable(out: Path) -> None:
    import tempfile

    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        fail(f"nothing can be written to {out} ({error.strerror}): give another folder with --out")
