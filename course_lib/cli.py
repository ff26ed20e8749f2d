"""The ``course`` command. Each of its commands imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer
from course_grading import commands

from course_lib.commands import generate, stable_diffusion
from course_lib.console import checkout, fail, needs

app = typer.Typer(
    help="From Pixels to Stable Diffusion: start the lessons, build and grade them, train and measure their models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(commands.grade)
app.command()(generate.generate)
app.command()(commands.export)
app.command()(commands.analyse)
app.add_typer(stable_diffusion.app, name="sd")


def main() -> None:
    """The entry point: a user's mistake ends in one sentence, not in a traceback."""
    app()


@app.command()
def lab(
    lesson: Annotated[
        str, typer.Argument(help="Its number or its name; lesson 1 if left out.")
    ] = "1",
    browser: Annotated[
        bool, typer.Option(help="Open it in the browser; without, the address is printed.")
    ] = True,
    port: Annotated[
        int,
        typer.Option(
            min=1, max=65535, help="The port to listen on; another is taken if it is in use."
        ),
    ] = 8888,
) -> None:
    """Start the course in JupyterLab on a lesson."""
    import os
    import sys

    needs("jupyterlab", "ipykernel", "notebook")
    root = checkout()
    notebooks = sorted(
        path.name
        for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb")
        if path.name.count(".") == 1
    )
    wanted = Path(lesson).name.removesuffix(".ipynb").lower()
    if wanted.isdecimal():
        chosen = [name for name in notebooks if name.startswith(f"{int(wanted):02d}_")]
    else:
        chosen = [name for name in notebooks if wanted and wanted in name.removesuffix(".ipynb")]
    if len(chosen) != 1:
        what = "several lessons are like" if chosen else "there is no lesson"
        fail(f"{what} {lesson!r}. There are: {', '.join(notebooks) or 'none: run course build'}")
    arguments = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    # A start page rather than a file: the address that --no-browser prints then leads to the lesson
    # too.
    arguments.append(f"--LabApp.default_url=/lab/tree/notebooks/{chosen[0]}")
    # Learners' Lab asks for no news and shows no instructor's menus:
    # course_lib/commands/jupyterlab/page_config.json
    arguments.append(
        f"--LabApp.app_settings_dir={Path(__file__).parent / 'commands' / 'jupyterlab'}"
    )
    arguments += [f"--ServerApp.port={port}", *([] if browser else ["--no-browser"])]
    if (
        getattr(os, "geteuid", lambda: 1)() == 0
    ):  # JupyterLab refuses to run as root, as in a container, unless told
        arguments.append("--allow-root")
    os.chdir(root)
    print(f"Starting JupyterLab on notebooks/{chosen[0]}; stop it with Ctrl+C.", flush=True)
    if sys.platform == "win32":
        import subprocess

        raise typer.Exit(subprocess.call(arguments))
    os.execv(sys.executable, arguments)


@app.command()
def build(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: say what differs or is given away.")
    ] = False,
    graded: Annotated[
        bool, typer.Option("--graded", help="The classroom release, without feedback.")
    ] = False,
    solutions: Annotated[
        Path | None, typer.Option(help="With --graded: a private copy of solutions/.")
    ] = None,
) -> None:
    """Build every lesson from its source in solutions/."""
    from rich.console import Console

    needs("nbgrader", "jupytext")
    from course_grading.assign import build as builder
    from course_grading.assign.source import SourceError

    root, console = checkout(), Console(soft_wrap=True)
    try:
        report = (
            builder.check(root)
            if check
            else builder.build(root, solutions=solutions, graded=graded)
        )
    except (SourceError, builder.BuildError) as error:
        fail(str(error))
    for lesson in report.lessons:
        asks, codes = len(lesson.questions), len(lesson.exercises)
        console.print(
            f"{lesson.name}: {asks} questions, {codes} exercises, {lesson.points:g} points",
            highlight=False,
        )
    for path in report.written:
        console.print(f"wrote {path.relative_to(root)}", highlight=False)
    for path in report.kept:
        console.print(
            f"your work was kept as {path.relative_to(root)}", style="bold", highlight=False
        )
    if report.classroom_kept:
        console.print(
            "grading/workspace keeps its classroom release: for another, course build --graded",
            highlight=False,
        )
    if graded:
        console.print("the classroom release is in grading/workspace/release", highlight=False)
    if report.problems:
        fail("the build is not sound:\n" + "\n".join(f"  {problem}" for problem in report.problems))
    if check:
        console.print("Everything is as the sources say, and nothing is given away.", style="green")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say what this machine can do, and how to mend what is missing."""
    from course_lib.commands.doctor import examine

    findings = examine()
    bad = [finding for finding in findings if finding.needed and not finding.ok]
    if as_json:
        import json
        from dataclasses import asdict

        print(
            json.dumps(
                {"ok": not bad, "findings": [asdict(finding) for finding in findings]}, indent=2
            )
        )
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for column in ("", "what", "here", "to mend it"):
            table.add_column(column)
        for f in findings:
            mark = (
                "[green]ok[/]" if f.ok else "[red]missing[/]" if f.needed else "[yellow]without[/]"
            )
            table.add_row(mark, f.what, f.here, "" if f.ok else f.mend)
        console = Console()
        console.print(table)
        console.print(
            "Something that the course needs is missing."
            if bad
            else "This machine can run the course."
        )
    raise typer.Exit(1 if bad else 0)


@app.command()
def train(
    name: Annotated[
        str, typer.Argument(help="A model of the lessons, as course evaluate lists them, or all.")
    ],
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of 2,000 examples each, for tiny-sd 10,000; if left out, as the first cycle of the shipped one.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that make examples ahead of time.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and of the examples.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; if left out, the best one here.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="The file of a run that was stopped: go on from there.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The highest one of its rise and fall, above 0; if left out, the shipped model's."
        ),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="A .safetensors file to begin with, not random weights.")
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(help="Leave this drawing style out of the training, and measure on it."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder that the model and its card go to.")] = Path(
        "trained"
    ),
    ship: Annotated[
        bool, typer.Option("--ship", help="Replace the checkout's own checkpoint instead.")
    ] = False,
) -> None:
    """Train a model of the lessons and measure it. Ctrl+C stops it, and nothing is lost."""
    from rich.console import Console

    needs("torchmetrics", "pycocotools", extra="metrics")
    if ship:
        checkout()
    from course_lib.training import recipes
    from course_lib.training.run import Run, figures_table

    if (resume or start) and name == "all":
        fail("--resume and --start are about one model: name it instead of all")
    console = Console(soft_wrap=True)
    try:
        asked = [
            Run(
                one, epochs, workers, seed, device, out, ship, resume, learning_rate, start, without
            )
            for one in (recipes.names() if name == "all" else [name])
        ]
        for run in asked:
            done = run.train()
            for sentence in done.told:
                console.print(sentence, highlight=False, markup=False)
            if not done.finished:
                raise typer.Exit(130)  # what shells return of a command that was interrupted
            if done.figures:
                console.print(figures_table(done.figures))
    except (ValueError, OSError, FloatingPointError) as error:
        fail(str(error))


@app.command()
def evaluate(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which models; all if none is named.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="For example new-backgrounds, or photos for the autoencoder; all if left out."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Test examples of each split.")] = 500,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: one object per model and split.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Measure this .safetensors file instead.")
    ] = None,
) -> None:
    """Measure the models of the lessons on what they were not trained on."""
    from rich.console import Console

    from course_lib.training.run import evaluate_models, figures_table

    try:
        with Console(stderr=True).status("measuring") as status:
            figures = evaluate_models(
                names, split, count, checkpoint, lambda what: status.update(f"measuring {what}")
            )
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        fail(str(error))
    if as_json:
        import json

        print(json.dumps(figures, indent=2))
    else:
        Console().print(figures_table(figures))
