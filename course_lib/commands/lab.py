"""``course lab``: open a lesson in JupyterLab, by default the current one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from course_lib.console import fail, require_checkout, require_modules
from course_lib.learner import summary

# page_config.json disables JupyterLab's announcements and nbgrader's instructor menus.
_JUPYTERLAB_SETTINGS = Path(__file__).parent / "jupyterlab"


def lab(
    lesson: Annotated[
        str | None,
        typer.Argument(help="The lesson's number or name; by default the one where you stopped."),
    ] = None,
    browser: Annotated[
        bool, typer.Option(help="Open the browser, or only print the address.")
    ] = True,
    port: Annotated[
        int,
        typer.Option(
            min=1, max=65535, help="The port to listen on; if it is in use, the next free one."
        ),
    ] = 8888,
) -> None:
    """Open a lesson in JupyterLab, at its first unfinished question or exercise."""
    require_modules("jupyterlab", "ipykernel", "notebook")
    root = require_checkout()
    notebook, cell, section = _find_resume_point(root, lesson)
    # lab_server adds the cell to the addresses that JupyterLab opens and prints.
    module = "course_lib.commands.lab_server" if cell else "jupyterlab"
    arguments = [
        sys.executable,
        "-m",
        module,
        f"--ServerApp.root_dir={root}",
        # With this, unlike a file argument, the address that --no-browser prints opens the lesson.
        f"--LabApp.default_url=/lab/tree/notebooks/{notebook}",
        f"--LabApp.app_settings_dir={_JUPYTERLAB_SETTINGS}",
        f"--ServerApp.port={port}",
    ]
    if cell:
        arguments.append(f"--LessonServer.cell={cell}")
    if not browser:
        arguments.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # as in a container; JupyterLab refuses root otherwise
    os.chdir(root)
    print(f"Starting JupyterLab on notebooks/{notebook}{section}; stop it with Ctrl+C.", flush=True)
    if sys.platform == "win32":
        raise typer.Exit(subprocess.call(arguments))
    os.execv(sys.executable, arguments)


def _find_resume_point(root: Path, lesson: str | None) -> tuple[str, str, str]:
    """The notebook to open, the id of the first unfinished cell, and a phrase for the message that
    names its section; the last two are empty if the lesson has not been started, or is finished.

    An unreadable notebook or record never keeps JupyterLab from starting.
    """
    folder = root / "notebooks"
    notebook = _find_notebook(root, lesson) if lesson is not None else ""
    try:
        progress = summary.read(folder, notebook.removesuffix(".ipynb"))
    except (OSError, ValueError):  # a lesson without a question bank
        return notebook or _find_notebook(root, "1"), "", ""
    current = progress.lessons[0] if notebook else progress.current
    if current is None or not current.file:
        return notebook or _find_notebook(root, "1"), "", ""
    item, cell = current.next_item, summary.next_cell(current)
    section = f", section “{item.section}”" if item and cell and item.section else ""
    return current.file, cell, section


def _find_notebook(root: Path, lesson: str) -> str:
    """The file name of the one notebook with this number or with this text in its name."""
    notebooks = sorted(
        path.name
        for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb")
        if path.name.count(".") == 1  # not a copy such as NAME.mine-1.ipynb
    )
    wanted = Path(lesson).name.removesuffix(".ipynb").lower()
    if wanted.isdecimal():
        matches = [name for name in notebooks if name.startswith(f"{int(wanted):02d}_")]
    else:
        matches = [name for name in notebooks if wanted and wanted in name.removesuffix(".ipynb")]
    if len(matches) != 1:
        problem = "several lessons match" if matches else "there is no lesson"
        fail(f"{problem} {lesson!r}. Lessons: {', '.join(notebooks) or 'none; run course build'}")
    return matches[0]
