"""nbgrader's formgrader, started in ``grading/``, sees the course's workspace and gradebook."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from live_jupyter import serve

pytestmark = pytest.mark.browser


def test_formgrader_lists_the_lesson(built: Path, root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "grading" / "nbgrader_config.py", built / "grading")
    with serve(tmp_path / "jupyter", folder=built / "grading") as jupyter:
        with urllib.request.urlopen(f"{jupyter.url}/formgrader/api/assignments", timeout=60) as reply:
            (assignment,) = json.load(reply)
        assert assignment["name"] == "01_sample" and assignment["status"] == "draft"
        assert assignment["max_score"] == 6
        with urllib.request.urlopen(f"{jupyter.url}/formgrader/", timeout=60) as reply:
            page = reply.read().decode()
        assert "is not a subdirectory" not in page and "formgrader" in page
