"""After SIGKILL of the grader, its sandboxes and worker processes end."""

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
    """The direct and indirect child processes of all threads of a process."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in file.read_text().split()]
        except OSError:  # the thread has just ended
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def program_name(pid: int) -> str:
    """The program name of a process; empty if it has ended."""
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


def test_no_process_outlives_a_killed_grader(workspace, submission, tmp_path):
    """All descendants end; on an idle machine this takes less than a second."""
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
                sum(program_name(pid) == "bwrap" for pid in descendants(process.pid)) >= 2
                or process.poll() is not None
            )
        )
        assert process.poll() is None
        started = descendants(process.pid)
    finally:
        process.kill()
        process.wait()
    killed = time.monotonic()
    assert wait_until(lambda: not any(map(program_name, started))), [*map(program_name, started)]
    print(f"{time.monotonic() - killed:.2f} s")
