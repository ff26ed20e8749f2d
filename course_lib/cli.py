"""The ``course`` command: registers its subcommands, which import their dependencies lazily."""

import typer
from course_grading import commands as grading
from course_site import commands as website

from course_lib.commands import doctor, generate, lab, progress, stable_diffusion, train
from course_lib.console import escape_unencodable

app = typer.Typer(
    help=(
        "From Pixels to Stable Diffusion: start the lessons, build and grade them, "
        "train and evaluate their models."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    lab.lab,
    progress.progress,
    progress.check,
    grading.build,
    grading.grade,
    grading.regrade,
    grading.export,
    grading.analyse,
    doctor.doctor,
    train.train,
    train.evaluate,
    generate.generate,
    website.site,
):
    app.command()(command)
app.command("class")(grading.class_list)
app.add_typer(stable_diffusion.app, name="sd")


def main() -> None:
    """The entry point."""
    escape_unencodable()
    app()
