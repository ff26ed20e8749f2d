"""Warnings and errors of commands: one sentence that says what to do, without a traceback."""

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from course_lib.assets import paths

if TYPE_CHECKING:
    from rich.console import Console


def stderr() -> "Console":
    """The console for warnings, errors and progress; results go to stdout."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def warn(message: str) -> None:
    """Print a warning; the command continues."""
    stderr().print(message, style="yellow", markup=False, highlight=False)


def fail(message: str) -> NoReturn:
    """Print an error and end the command with exit code 1."""
    stderr().print(f"course: {message}", style="bold red", markup=False, highlight=False)
    raise typer.Exit(1)


def escape_unencodable() -> None:
    """Escape characters that the console or log file cannot encode.

    By default Python raises an error, for example on Windows, where the encoding is often cp1252.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def to_shell(*words: object) -> str:
    """Words as a command line for a shell of this system, quoted where necessary."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def require_modules(*modules: str, extra: str = "lab") -> None:
    """Fail if a module is missing; the message names the extra that installs it."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        fail(
            f"{', '.join(missing)} not installed. In the clone: uv sync --extra {extra}. "
            f"Elsewhere: pip install 'pixels-to-diffusion[{extra}]'"
        )


def require_checkout() -> Path:
    """The root of the clone; fails outside a clone."""
    root = paths.checkout()
    if root is None:
        fail(
            "this needs the course's repository: clone it, "
            "and run uv run course ... inside the clone"
        )
    return root
