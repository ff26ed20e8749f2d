"""How commands stop when they can't continue: one sentence that names the fix, and no traceback."""

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
    """Where commands say what is not their result."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def warn(message: str) -> None:
    """Say what the user should know; the command continues."""
    stderr().print(message, style="yellow", markup=False, highlight=False)


def fail(message: str) -> NoReturn:
    """End the command with this message."""
    stderr().print(f"course: {message}", style="bold red", markup=False, highlight=False)
    raise typer.Exit(1)


def write_what_fits() -> None:
    """Let output escape the characters that the console or the log file cannot show.

    Those of Windows often have 256 characters (cp1252); by default Python would stop at another.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def to_shell(*words: object) -> str:
    """Words as they are typed into a shell of this system, quoted where they need it."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def require_modules(*modules: str, extra: str = "lab") -> None:
    """Fail if one of these modules, which the extra installs, is missing."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        fail(
            f"{', '.join(missing)} not installed. In the clone: uv sync --extra {extra}. "
            f"Elsewhere: pip install 'pixels-to-diffusion[{extra}]'"
        )


def require_checkout() -> Path:
    """The root of the clone; fail outside of one."""
    root = paths.checkout()
    if root is None:
        fail(
            "this needs the course's repository: clone it, "
            "and run uv run course ... inside the clone"
        )
    return root
