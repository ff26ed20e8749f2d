"""``course lab``: JupyterLab on a lesson."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from course_lib.console import fail, require_checkout, require_modules

# No news, and no instructor's menus: page_config.json
_SETTINGS = Path(__file__).parent / "jupyterlab"


def lab(
    lesson: Annotated[str, typer.Argument(help="Its number or its name; by default 1.")] = "1",
    browser: Annotated[
        bool, typer.Option(help="Open it in the browser, or only print the address.")
    ] = True,
    port: Annotated[
        int,
        typer.Option(
            min=1, max=65535, help="The port to listen on; if it is in use, the next free one."
        ),
    ] = 8888,
) -> None:
    """Start the course in JupyterLab on a lesson."""
    require_modules("jupyterlab", "ipykernel", "notebook")
    root = require_checkout()
    notebook = _find_notebook(root, lesson)
    arguments = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={root}",
        # Not a file argument: so the address printed by --no-browser opens the lesson too.
        f"--LabApp.default_url=/lab/tree/notebooks/{notebook}",
        f"--LabApp.app_settings_dir={_SETTINGS}",
        f"--ServerApp.port={port}",
    ]
    if not browser:
        arguments.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # as in a container; JupyterLab refuses root otherwise
    os.chdir(root)
    print(f"Starting JupyterLab on notebooks/{notebook}; stop it with Ctrl+C.", flush=True)
    if sys.platform == "win32":
        raise typer.Exit(subprocess.call(arguments))
    os.execv(sys.executable, arguments)


def _find_notebook(root: Path, lesson: str) -> str:
    """The file name of the one notebook with this number or with this text in its name."""
    notebooks = sorted(
        path.name
        for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb")
        if path.name.count(".") == 1  # not a copy, as NAME.mine-1.ipynb
    )
    wanted = Path(lesson).name.removesuffix(".ipynb").lower()
    if wanted.isdecimal():
        matches = [name for name in notebooks if name.startswith(f"{int(wanted):02d}_")]
    else:
        matches = [name for name in notebooks if wanted and wanted in name.removesuffix(".ipynb")]
    if len(matches) != 1:
        problem = "several lessons match" if matches else "there is no lesson"
        fail(f"{problem} {lesson!r}. There are: {', '.join(notebooks) or 'none: run course build'}")
    return matches[0]
