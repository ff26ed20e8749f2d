"""Start-up time: the README's first two commands in a clean clone, and a cold start of JupyterLab
on lesson 1.

The package cache is warm, as after any earlier install; the clone, its environment and the
browser's profile are new. ``course lab`` is timed alternately with ``jupyter lab`` on the same
file.
"""

import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from course_lib.profiling.timing import medians

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


def run() -> dict:
    """Time the README's commands, both ways to start JupyterLab, and ``import course_lib``."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "course"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        start_command, test_command = readme_commands(clone)
        first_start = lab_start(f"{start_command} --no-browser", clone)
        # All tests, including the browser tests, as a new user runs them.
        start = time.perf_counter()
        subprocess.run(
            ["bash", "-c", test_command], cwd=clone, check=True, stdout=subprocess.DEVNULL
        )
        test_seconds = time.perf_counter() - start
        bin_folder = clone / ".venv" / "bin"
        commands = {
            "course lab": f"{bin_folder}/course lab --no-browser",
            "jupyter lab": f"{bin_folder}/jupyter lab --no-browser --allow-root "
            f"--LabApp.default_url=/lab/tree/{lesson_one(clone)}",
        }
        starts: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
        for _ in range(REPEATS):
            for name, command in commands.items():
                starts[name].append(lab_start(command, clone))
    stages = list(first_start)
    medians_by_name = {
        name: {stage: statistics.median(times[stage] for times in repeats) for stage in stages}
        for name, repeats in starts.items()
    }
    ours, peer = medians_by_name.values()
    empty = dict.fromkeys(stages, "")
    rows = [
        {"what": "README, first command, clean clone", **first_start},
        {"what": "README, second command (tests)", **empty, "lesson rendered": test_seconds},
        *(
            {"what": f"{name}, cold, median of {REPEATS}", **times}
            for name, times in medians_by_name.items()
        ),
        {
            "what": "course lab / jupyter lab",
            **{stage: ours[stage] / peer[stage] for stage in stages},
        },
        {
            "what": "import course_lib, without Python's start-up",
            **empty,
            "lesson rendered": import_seconds(),
        },
    ]
    return {"rows": rows, "all": starts, "unit": "seconds since the start of the command"}


def import_seconds(repeats: int = 21) -> float:
    """The time of ``import course_lib``: the difference of the medians with and without it."""

    def run_python(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    seconds = medians(
        {"nothing": run_python("pass"), "course_lib": run_python("import course_lib")}, repeats
    )
    return seconds["course_lib"] - seconds["nothing"]


def readme_commands(clone: Path) -> list[str]:
    """The first two commands of README.md."""
    readme = (clone / "README.md").read_text()
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", readme, re.DOTALL)
    return [block.strip() for block in blocks][:2]


def lesson_one(clone: Path) -> str:
    """The path of lesson 1 in the clone."""
    return min(f"notebooks/{path.name}" for path in (clone / "notebooks").glob("01_*.ipynb"))


def lab_start(command: str, clone: Path) -> dict[str, float]:
    """Seconds from the start of the command until the address is printed, until the page is loaded,
    and until lesson 1 is rendered.
    """
    from playwright.sync_api import sync_playwright

    start = time.perf_counter()
    with run_server(command, clone) as address, sync_playwright() as playwright:
        printed = time.perf_counter() - start
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        page = browser.new_page()
        page.goto(address)
        loaded = time.perf_counter() - start
        page.wait_for_selector(".jp-Notebook h1:has-text('Lesson 1')", timeout=120_000)
        rendered = time.perf_counter() - start
        browser.close()
    return {"address printed": printed, "page loaded": loaded, "lesson rendered": rendered}


@contextlib.contextmanager
def run_server(command: str, folder: Path) -> Iterator[str]:
    """Run a command that starts JupyterLab, and kill it at the end of the block; yields its URL."""
    removed = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in removed},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output = ""
        for line in process.stdout:
            output += line
            if match := re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/\S*token=\S+", line):
                yield match[0]
                return
        raise RuntimeError(f"{command} printed no address:\n{output}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
