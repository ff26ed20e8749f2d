"""How commands stop when they can't continue: one sentence that names the fix, and no traceback."""

import importlib.util
from pathlib import Path
from typing import NoReturn

import typer

from course_lib.assets import paths


def fail(message: str) -> NoReturn:
    """End the command with this message."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(
        f"course: {message}", style="bold red", markup=False, highlight=False
    )
    raise typer.Exit(1)


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
