"""After a kill -9 of the grader none of its sandboxes and workers lives on."""

import subprocess
import sys
import time
from pathlib import Path

from tests.support.command import environment

NAME = "01_sample"
GRADER = """
import sys
from pathlib import Path
from course_grading.batch import grade_batch

if __name__ == "__main__":
    grade_batch(Path(sys.argv[1]), Path(sys.argv[2]), workers=2)
"""
SLEEPS = "import time\ndef double(x):\n    time.sleep(600)\n    return 2 * x"


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, directly or not, in any of its threads."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in file.read_text().split()]
        except OSError:  # the thread has just ended
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def name_of(pid: int) -> str:
    """A live process's program; empty if it has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    name, _, rest = status.partition("(")[2].rpartition(")")
    return "" if rest.split()[0] == "Z" else name


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 120  # generous: the machine may be busy
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds


def test_nothing_outlives_a_grader_that_is_killed(workspace, submission, tmp_path):
    """On a machine that is not busy it takes less than a second; here only that it ends counts."""
    folder = tmp_path / "class"
    for student in ("ada", "bob"):
        (folder / student).mkdir(parents=True)
        (folder / student / f"{NAME}.ipynb").write_bytes(submission(double_code=SLEEPS))
    script = tmp_path / "grader.py"
    script.write_text(GRADER)
    process = subprocess.Popen(
        [sys.executable, script, folder, workspace],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # two sandboxes, each with bubblewrap and at least the first process inside
        assert wait_until(
            lambda: (
                sum(name_of(pid) == "bwrap" for pid in descendants(process.pid)) >= 2
                or process.poll() is not None
            )
        )
        assert process.poll() is None
        started = descendants(process.pid)
    finally:
        process.kill()
        process.wait()
    killed = time.monotonic()
    assert wait_until(lambda: not any(map(name_of, started))), [*map(name_of, started)]
    print(f"{time.monotonic() - killed:.2f} s")
