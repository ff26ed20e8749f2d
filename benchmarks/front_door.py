"""How long the front door takes: the README's two commands on a clean clone, and a cold start of
lesson 1.

The package cache is warm, as after any earlier install; the clone, its environment and the
browser's profile are new. ``course lab`` runs alternately with its peer, plain ``jupyter lab`` on
the same file.
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
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


def run() -> dict:
    """Measure both and return the rows."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "course"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        start, test = readme_commands(clone)
        first = lab_start(f"{start} --no-browser", clone)
        began = time.perf_counter()
        # The browser tests open this very Lab: what is timed is the command as a newcomer runs it.
        subprocess.run(["bash", "-c", test], cwd=clone, check=True, stdout=subprocess.DEVNULL)
        tests = time.perf_counter() - began
        bin_ = clone / ".venv" / "bin"
        ours = f"{bin_}/course lab --no-browser"
        peer = f"{bin_}/jupyter lab --no-browser --allow-root --LabApp.default_url=/lab/tree/{lesson_one(clone)}"
        times = {"course lab": [], "jupyter lab": []}
        for _ in range(REPEATS):
            times["course lab"].append(lab_start(ours, clone))
            times["jupyter lab"].append(lab_start(peer, clone))
    rows = [
        {"what": "README, first command, clean clone", **first},
        {
            "what": "README, second command (tests)",
            "address printed": "",
            "page loaded": "",
            "lesson rendered": tests,
        },
    ]
    medians = {
        name: {k: statistics.median(t[k] for t in taken) for k in taken[0]}
        for name, taken in times.items()
    }
    rows += [
        {"what": f"{name}, cold, median of {REPEATS}", **median} for name, median in medians.items()
    ]
    rows.append(
        {
            "what": "course lab / jupyter lab",
            **{k: medians["course lab"][k] / medians["jupyter lab"][k] for k in first},
        }
    )
    start_up = import_seconds()
    rows.append(
        {
            "what": "import course_lib, beyond Python's own start",
            **dict.fromkeys(first, ""),
            "lesson rendered": start_up,
        }
    )
    return {"rows": rows, "all": times, "unit": "seconds since the command was given"}


def import_seconds(repeats: int = 21) -> float:
    """How much longer Python takes to start with ``import course_lib`` than with nothing, as
    medians of turns.
    """

    def starts(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    found = medians({"nothing": starts("pass"), "course_lib": starts("import course_lib")}, repeats)
    return found["course_lib"] - found["nothing"]


def readme_commands(clone: Path) -> list[str]:
    """The two commands that README.md opens with."""
    return [
        c.strip()
        for c in re.findall(
            r"```(?:sh|bash)\n(.*?)```", (clone / "README.md").read_text(), re.DOTALL
        )
    ][:2]


def lesson_one(clone: Path) -> str:
    return sorted(f"notebooks/{path.name}" for path in (clone / "notebooks").glob("01_*.ipynb"))[0]


def lab_start(command: str, clone: Path) -> dict[str, float]:
    """Seconds from the command to the printed address, to the loaded page, and to lesson 1 on the
    screen.
    """
    from playwright.sync_api import sync_playwright

    began = time.perf_counter()
    with server(command, clone) as address, sync_playwright() as playwright:
        printed = time.perf_counter() - began
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(address)
        loaded = time.perf_counter() - began
        page.wait_for_selector(".jp-Notebook h1:has-text('Lesson 1')", timeout=120_000)
        rendered = time.perf_counter() - began
        browser.close()
    return {"address printed": printed, "page loaded": loaded, "lesson rendered": rendered}


@contextlib.contextmanager
def server(command: str, folder: Path) -> Iterator[str]:
    """Run a command that starts JupyterLab, until its address is printed; stop it at the end."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")
    }
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told = []
        for line in process.stdout:
            told.append(line)
            if found := re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/\S*token=\S+", line):
                yield found[0]
                return
        raise RuntimeError(f"no address was printed by {command}:\n{''.join(told)}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
