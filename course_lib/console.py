"""How commands stop when they can't go on: in one sentence that names the fix, and without a
traceback.
"""

import importlib.util
from pathlib import Path
from typing import NoReturn

import typer

from course_lib.assets import paths


def fail(message: str) -> NoReturn:
    """End the command with this sentence."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(
        f"course: {message}", style="bold red", markup=False, highlight=False
    )
    raise typer.Exit(1)


def needs(*modules: str, extra: str = "lab") -> None:
    """Stop with the fix if the extra that holds these modules is not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        fail(f"{', '.join(missing)} not installed. In the clone: uv sync --extra {extra}. Elsewhere: "
             f"pip install 'pixels-to-diffusion[{extra}]'")  # fmt: skip


def checkout() -> Path:
    """The folder of the clone; stop outside of one."""
    root = paths.checkout()
    if root is None:
        fail(
            "this needs the course's repository: clone it, and run uv run course ... inside the clone"
        )
    return root
