"""The training state on disk is replaced atomically, validated, and read without running code."""

import pytest
import torch

from course_lib.training import resume

STATE = {"a": torch.arange(2000.0), "b": 3}


def test_write_replaces_the_state_in_one_file(tmp_path):
    path = tmp_path / "deep" / "run.pt"
    for number in range(3):
        resume.write(path, STATE | {"b": number})
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]
    state = resume.read(path)
    assert torch.equal(state["a"], STATE["a"]) and state["b"] == 2
    resume.discard(path)
    assert not list(path.parent.iterdir())


def test_killed_while_writing_leaves_the_previous_state(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    resume.write(path, STATE)

    def save_half(state, file):
        file.write_bytes(b"half of it")
        raise SystemExit

    monkeypatch.setattr(torch, "save", save_half)
    with pytest.raises(SystemExit):
        resume.write(path, STATE | {"b": 4})
    assert resume.read(path)["b"] == 3
    resume.discard(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"text", b'{"parts": ["run.pt.a.0"], "bytes": 1}', None])
def test_incomplete_state_is_refused(tmp_path, content):
    path = tmp_path / "run.pt"
    if content is None:
        resume.write(path, STATE)
        content = path.read_bytes()[:-100]
    path.write_bytes(content)
    with pytest.raises(ValueError, match="run.pt is not a complete training state: delete it"):
        resume.read(path)


def test_reading_runs_no_code(tmp_path):
    class Attack:
        def __reduce__(self):
            return print, ("this must not run",)

    torch.save({"a": Attack()}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="not a complete training state"):
        resume.read(tmp_path / "run.pt")
