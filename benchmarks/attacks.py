"""The malicious and broken submissions of ``tests/grading/attacks``, graded by
``nbgrader autograde`` itself.

One batch per attack: an honest student, the attack, another honest student, graded by nbgrader with
its default configuration. Each batch runs in bubblewrap (no network, read-only system, a scratch
folder) with limits on resources and time, so that an attack that nbgrader does not stop reaches
only canaries. ``COURSE_ATTACKS=reading,ending-loop`` selects groups or single attacks; an
interrupted run can be resumed. Zip files are not unpacked, and notebooks are not renamed.

=================  ================================================================================
gained points      a higher score than the visible work earned
lost honest work   a lower score than the honest work in a damaged notebook earned
did harm           something outside the submission was changed, read or contacted, a process was
                   left running, or another student's score changed
stopped the batch  the student after the attack was not graded, or nbgrader did not exit
=================  ================================================================================
"""

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import attacks
from tests.support.attacks import LESSON, Attack, World

ROOT = Path(__file__).resolve().parents[1]
# one cached result per attack: delete them to measure again
RESULTS = Path(__file__).parent / "results" / "attacks"
TIMEOUT = 240  # seconds for a batch of three submissions; an honest batch takes 15
# limits of one process, in bytes except the last; a file may be sparse
MAX_MEMORY, MAX_FILE_SIZE, MAX_PROCESSES = 8 * 2**30, 80 * 2**30, 2000
FIRST, LAST = "a-honest", "z-honest"


def run() -> dict:
    """Measure the selected attacks; ``rows`` counts effects by group, ``attacks`` lists each."""
    names = os.environ.get("COURSE_ATTACKS", "").split(",")
    selected = [
        attack
        for attack in attacks.load_attacks()
        if names == [""] or attack.name in names or attack.group in names
    ]
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        template = Path(folder) / "template"
        _build_checkout(template)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(
                pool.map(
                    lambda attack: _measure(attack, template, Path(folder) / attack.name), selected
                )
            )
    groups = {
        attack.group: [r for r in results if r["attack"].startswith(f"{attack.group}-")]
        for attack in selected
    }
    rows = [_count_effects(group, members) for group, members in groups.items()]
    rows.append(_count_effects("all", results))
    return {"rows": rows, "attacks": results, "seconds allowed": TIMEOUT}


def _count_effects(group: str, results: list[dict]) -> dict:
    return {
        "group": group,
        "submissions": len(results),
        "gained points": sum(result["gained"] != 0 for result in results),
        "lost honest work": sum(result["lost"] > 0 for result in results),
        "did harm": sum(bool(result["harm"]) for result in results),
        "stopped the batch": sum(bool(result["stopped"]) for result in results),
        "none of these": sum(
            not any(result[effect] for effect in ("gained", "lost", "harm", "stopped"))
            for result in results
        ),
    }


def _build_checkout(folder: Path) -> None:
    """Build a minimal checkout with the sample lesson."""
    from course_grading.assign.build import build

    for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    shutil.copy(ROOT / "tests" / "sample" / f"{LESSON}.md", folder / "solutions")
    build(folder)


def _measure(attack: Attack, template: Path, scratch: Path) -> dict:
    """The cached result of an earlier run, or a new result, which is cached."""
    source = (attacks.ATTACKS_FOLDER / f"{attack.name}.md").read_bytes()
    path = RESULTS / f"{attack.name}-{hashlib.sha256(source).hexdigest()[:12]}.json"
    if not path.is_file():
        result = _measure_isolated(attack, template, scratch)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result))
    return json.loads(path.read_text())


def _measure_isolated(attack: Attack, template: Path, scratch: Path) -> dict:
    """Measure one attack in bubblewrap, where only ``scratch`` is writable."""
    scratch.mkdir()
    shutil.copytree(template, scratch / "course")
    ignore = shutil.ignore_patterns("__pycache__")
    for package in (ROOT / "course_lib", ROOT / "grading" / "course_grading"):
        shutil.copytree(package, scratch / "lib" / package.name, ignore=ignore)
    environment = {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "HOME": str(scratch / "world" / "home"),
        "PYTHONPATH": f"{scratch / 'lib'}:{ROOT}",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
    }
    result_path = scratch / "result.json"
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *_isolate(scratch),
                *(sys.executable, "-m", "benchmarks.attacks", attack.name, str(scratch)),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            process.wait(TIMEOUT + 60)
        except subprocess.TimeoutExpired:
            process.kill()  # --die-with-parent ends everything inside
            process.wait()
    if result_path.is_file() and result_path.stat().st_size < 2**20:
        result = json.loads(result_path.read_text())
    else:
        result = {
            "gained": 0,
            "lost": 0,
            "harm": ["the measuring process wrote no result"],
            "stopped": "the measuring process was killed",
        }
    subprocess.run(["chmod", "-R", "u+rwX", scratch], check=False, capture_output=True)
    # shutil.rmtree fails: some paths are 2,000 folders deep
    subprocess.run(["rm", "-rf", scratch], check=False)
    return {"attack": attack.name, "tries": attack.description, **result}


def _isolate(scratch: Path) -> list[str]:
    """The command prefix that isolates a program."""
    command = ["prlimit", f"--as={MAX_MEMORY}", f"--fsize={MAX_FILE_SIZE}"]
    command += [f"--nproc={MAX_PROCESSES}", "--core=0"]
    command += ["bwrap", "--unshare-all", "--ro-bind", "/", "/"]
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for path in sorted({str(path) for path in (sys.prefix, sys.base_prefix, ROOT)}):
        command += ["--ro-bind", path, path]
    # with capabilities, root could remount the read-only system writable
    command += ["--cap-drop", "ALL"]
    command += ["--bind", str(scratch), str(scratch), "--chdir", str(scratch)]
    return [*command, "--die-with-parent", "--new-session"]


def _run_inside(name: str, scratch: Path) -> None:
    """Run in bubblewrap: plant canaries, submit, run nbgrader, and write the effects."""
    (attack,) = [attack for attack in attacks.load_attacks() if attack.name == name]
    world = attacks.make_world(
        scratch / "world", scratch / "course/grading/workspace", scratch / "lib/course_lib"
    )
    for student in (FIRST, LAST):
        attacks.submit_honest(world, student)
    attacks.submit(attack, world)
    for student in (FIRST, attack.name, LAST):
        folder = world.workspace / "submitted" / student
        folder.mkdir(parents=True)
        subprocess.run(["cp", "-a", world.class_folder / student, folder / LESSON], check=True)
    (world.workspace / "nbgrader_config.py").write_text(
        f'c = get_config()\nc.CourseDirectory.root = "{world.workspace}"\n'
        f'c.CourseDirectory.course_id = "pixels-to-diffusion"\n'
    )
    before = attacks.snapshot(world)
    start = time.monotonic()
    stopped = _autograde(world)
    seconds = round(time.monotonic() - start, 1)
    survivors = attacks.surviving_processes(world)
    if survivors:
        time.sleep(4)  # time for their effects to appear
    scores = {student: _score(world, student) for student in (FIRST, attack.name, LAST)}
    result = _effects(attack, world, before, survivors, scores, stopped)
    content = json.dumps({**result, "scores": scores, "seconds": seconds})
    (scratch / "result.json").write_text(content)


def _autograde(world: World) -> str:
    """Run ``nbgrader autograde``; why it did not exit by itself, or an empty string."""
    environment = {**os.environ, "COURSE_MODE": "grading", "COURSE_CANARY": world.secret}
    command = [sys.executable, "-m", "nbgrader", "autograde", LESSON]
    process = subprocess.Popen(
        command, cwd=world.workspace, env=environment, start_new_session=True
    )
    try:
        code = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"nbgrader was still running after {TIMEOUT} s"
    return f"nbgrader was killed by signal {-code}" if code < 0 else ""


def _score(world: World, student: str) -> float | None:
    """The score in the gradebook; None if there is none, or the gradebook can't be read."""
    from nbgrader.api import Gradebook

    database = f"sqlite:///{world.workspace}/gradebook.db"
    try:
        with Gradebook(database, "pixels-to-diffusion") as gradebook:
            submission = gradebook.find_submission(LESSON, student)
            grades = [g for notebook in submission.notebooks for g in notebook.grades]
            scored = any(g.auto_score is not None or g.manual_score is not None for g in grades)
            return submission.score if scored else None
    except Exception:  # the attack may have corrupted the database in any way
        return None


def _effects(
    attack: Attack, world: World, before: dict, survivors: list, scores: dict, stopped: str
) -> dict:
    score = scores[attack.name]
    last_score = scores[LAST]
    if score is None:
        gained = 0.0
    elif math.isnan(score):
        gained = "nan"
    else:
        gained = max(0.0, round(score - attack.earns, 6))
    lost = attack.earns - (score or 0) if attack.outcome == "graded" and gained != "nan" else 0
    after = attacks.snapshot(world)
    changed = sorted(path for path in before | after if before.get(path) != after.get(path))
    harm = [f"changed {path.replace(str(world.workspace.parents[2]), '')}" for path in changed[:3]]
    if attacks.was_contacted(world):
        harm.append("connected to a port")
    if attacks.leaks(world):
        harm.append("read the secret or an answer key")
    if survivors:
        harm.append(f"left {len(survivors)} processes running")
    if scores[FIRST] != 6:
        harm.append(f"the first student has {scores[FIRST]} of 6 points")
    if last_score not in (6, None):
        harm.append(f"the last student has {last_score} of 6 points")
    if not stopped and last_score is None:
        stopped = "the last student was not graded"
    return {"gained": gained, "lost": max(0.0, lost), "harm": harm, "stopped": stopped}


if __name__ == "__main__":
    _run_inside(sys.argv[1], Path(sys.argv[2]))
