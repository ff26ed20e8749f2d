"""The mode of a lesson is read from the environment."""

import pytest

from course_lib import mode


def test_mode_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("COURSE_MODE", raising=False)
    assert mode() == "quick"
    for name in ("grading", "quick", "full"):
        monkeypatch.setenv("COURSE_MODE", name)
        assert mode() == name
    monkeypatch.setenv("COURSE_MODE", "fast")
    with pytest.raises(ValueError, match="COURSE_MODE is 'fast': set it to 'grading'"):
        mode()
