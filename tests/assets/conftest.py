"""Fixtures for the tests of bundled files."""

from pathlib import Path

import pytest

from course_lib.assets import paths


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch) -> Path:
    """The ``data/`` of an empty checkout."""
    (tmp_path / "data" / "checkpoints").mkdir(parents=True)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "course_lib")
    return tmp_path / "data"
