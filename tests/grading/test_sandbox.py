"""Where systemd is, each sandbox gets a control group of its own; where it isn't, grading goes on without."""

import os
import stat

import pytest

from course_lib.grading import sandbox
from course_lib.grading.sandbox import Limits

HERE = sandbox.Path  # the class, before a test puts another in its place


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A machine that seems to run systemd, and whose ``systemd-run`` is the shell script that a test gives."""

    def install(script: str):
        program = tmp_path / "systemd-run"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setitem(sandbox._ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(sandbox, "Path", lambda path: tmp_path if path == "/run/systemd/system" else HERE(path))
        sandbox._control_group.cache_clear()

    yield install
    sandbox._control_group.cache_clear()


def test_the_group_holds_memory_and_processes_somewhat_above_the_limits(systemd, tmp_path):
    systemd(f'echo "$@" >> {tmp_path}/told')
    limits = Limits(memory=1 << 30, processes=8)
    command = sandbox._control_group(limits)
    assert command[:2] == ("systemd-run", "--scope")
    assert f"--property=MemoryMax={3 << 30}" in command and "--property=TasksMax=72" in command
    assert "--property=MemorySwapMax=0" in command
    assert (tmp_path / "told").read_text().split() == [*command[1:], "true"]
    assert ("--user" in command) == (os.geteuid() != 0)
    assert any("control group of systemd's" in phrase for phrase in sandbox.enforced())


def test_a_systemd_that_refuses_is_done_without(systemd):
    systemd("echo 'Failed to connect to bus' >&2; exit 1")
    assert sandbox._control_group(Limits()) == ()
    assert any("no control group" in phrase for phrase in sandbox.enforced())


def test_a_machine_without_systemd_has_no_group(tmp_path, monkeypatch):
    sandbox._control_group.cache_clear()
    monkeypatch.setattr(sandbox, "Path", lambda path: tmp_path / "none" if "systemd" in str(path) else HERE(path))
    assert sandbox._control_group(Limits()) == ()
    sandbox._control_group.cache_clear()
