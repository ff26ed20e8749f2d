"""Fixtures for the tests of the repository: its files, pyproject.toml, and a tool runner."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.checkout import ROOT


@pytest.fixture(scope="session")
def project() -> dict:
    """The parsed ``pyproject.toml``."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git tracks or would add."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def run_tool() -> Callable[..., str]:
    """A function that runs a program in the checkout and returns its output; the test fails if the
    program fails.
    """

    def run(*command: object, cwd: Path = ROOT) -> str:
        name, *arguments = map(str, command)
        installed = Path(sys.executable).with_name(name)
        program = str(installed) if installed.exists() else name
        done = subprocess.run(
            [program, *arguments], cwd=cwd, capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
