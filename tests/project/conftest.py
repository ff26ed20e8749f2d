"""What the tests of the repository share: its files, its project table, a way to run tools."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.checkout import ROOT


@pytest.fixture(scope="session")
def project() -> dict:
    """``pyproject.toml``."""
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
    """Runs a program of the environment in the checkout; the test fails if the program does."""

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
