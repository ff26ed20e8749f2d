"""The type checker accepts both packages."""

import subprocess
import sys


def test_mypy_finds_no_error(root, tmp_path):
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
