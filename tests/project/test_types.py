"""mypy accepts the packages."""

import subprocess
import sys


def test_mypy_finds_no_error(root):
    # with its cache in the checkout, so that only the first run is slow
    command = [sys.executable, "-m", "mypy"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
