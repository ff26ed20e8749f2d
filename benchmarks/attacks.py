"""The hostile and broken submissions of ``tests/grading/attacks`` against vanilla
``nbgrader autograde``.

One batch an attack: an honest student, the attack, another honest student, graded by nbgrader with
its own configuration. All of it runs in a bubblewrap of its own (no network, the system read-only,
a scratch folder) under limits and a clock, so that what nbgrader lets through hits canaries.
``COURSE_ATTACKS=reading,ending-loop`` chooses groups or single attacks; a run that was cut off goes
on where it was. nbgrader is given zip files as they came, and notebooks under the name they have.

========  ==============================================================================================
gained    points beyond what the visible work earned
lost      points that honest work in a damaged notebook earned and did not get
harm      something outside changed, read, reached or left running, or another student's points
changed stopped   the student after it was not graded, or the batch did not end
========  ==============================================================================================
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
DONE = Path(__file__).parent / "results" / "attacks"  # one file each: delete them to measure anew
SECONDS = 240  # for one batch of three; an honest one takes 15
MEMORY, FILE, PROCESSES = 8 * 2**30, 80 * 2**30, 2000  # of one process; a file may be sparse
FIRST, LAST = "a-honest", "z-honest"


def run() -> dict:
    """Measure every attack; the rows are sums by group, ``attacks`` holds one entry each."""
    wanted = os.environ.get("COURSE_ATTACKS", "").split(",")
    chosen = [
        a for a in attacks.attacks() if wanted == [""] or a.name in wanted or a.group in wanted
    ]
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        template = Path(folder) / "template"
        _build(template)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(
                pool.map(
                    lambda attack: _measured(attack, template, Path(folder) / attack.name), chosen
                )
            )
    groups = {
        attack.group: [f for f in found if f["attack"].startswith(f"{attack.group}-")]
        for attack in chosen
    }
    rows = [_sum(group, part) for group, part in groups.items()]
    return {"rows": [*rows, _sum("all", found)], "attacks": found, "seconds allowed": SECONDS}


def _sum(group: str, found: list[dict]) -> dict:
    return {
        "group": group,
        "submissions": len(found),
        "gained points": sum(f["gained"] != 0 for f in found),
        "lost honest work": sum(f["lost"] > 0 for f in found),
        "did harm": sum(bool(f["harm"]) for f in found),
        "stopped the batch": sum(bool(f["stopped"]) for f in found),
        "none of these": sum(
            not (f["gained"] or f["lost"] or f["harm"] or f["stopped"]) for f in found
        ),
    }


def _build(folder: Path) -> None:
    """A checkout in miniature with the sample lesson, built."""
    from course_grading.assign.build import build

    for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    shutil.copy(ROOT / "tests" / "sample" / f"{LESSON}.md", folder / "solutions")
    build(folder)


def _measured(attack: Attack, template: Path, scratch: Path) -> dict:
    """What was found in an earlier run that was cut off, else what is found now."""
    source = (attacks.FOLDER / f"{attack.name}.md").read_bytes()
    kept = DONE / f"{attack.name}-{hashlib.sha256(source).hexdigest()[:12]}.json"
    if not kept.is_file():
        found = _isolated(attack, template, scratch)
        DONE.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return json.loads(kept.read_text())


def _isolated(attack: Attack, template: Path, scratch: Path) -> dict:
    """Measure one attack in a bubblewrap where only ``scratch`` can be written."""
    scratch.mkdir()
    shutil.copytree(template, scratch / "course")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "course_lib", scratch / "lib" / "course_lib", ignore=ignore)
    kept = {str(path) for path in (sys.prefix, sys.base_prefix, ROOT)}
    command = ["prlimit", f"--as={MEMORY}", f"--fsize={FILE}", f"--nproc={PROCESSES}", "--core=0"]
    command += [
        "bwrap",
        "--unshare-all",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
    ]
    command += [part for path in sorted(kept) for part in ("--ro-bind", path, path)]
    # root could otherwise make the read-only system writable again
    command += [
        "--cap-drop",
        "ALL",
    ]
    command += [
        "--bind",
        str(scratch),
        str(scratch),
        "--chdir",
        str(scratch),
        "--die-with-parent",
        "--new-session",
    ]
    environment = {
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "HOME": str(scratch / "world" / "home"),
    }
    environment |= {
        "PYTHONPATH": f"{scratch / 'lib'}:{ROOT}",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
    }
    told = scratch / "told.json"
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "benchmarks.attacks", attack.name, str(scratch)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            process.wait(SECONDS + 60)
        except subprocess.TimeoutExpired:
            process.kill()  # --die-with-parent takes everything inside along
            process.wait()
    if told.is_file() and told.stat().st_size < 2**20:
        found = json.loads(told.read_text())
    else:
        found = {
            "gained": 0,
            "lost": 0,
            "harm": ["nobody was left to tell"],
            "stopped": "everything was killed",
        }
    subprocess.run(["chmod", "-R", "u+rwX", scratch], check=False, capture_output=True)
    # shutil.rmtree can't: some paths are 2,000 folders deep
    subprocess.run(["rm", "-rf", scratch], check=False)
    return {"attack": attack.name, "tries": attack.tries, **found}


def _inside(name: str, scratch: Path) -> None:
    """What runs in the bubblewrap: plant, hand in, let nbgrader grade, and look around."""
    (attack,) = [attack for attack in attacks.attacks() if attack.name == name]
    world = attacks.world(
        scratch / "world", scratch / "course/grading/workspace", scratch / "lib/course_lib"
    )
    for student in (FIRST, LAST):
        attacks.honest(world, student)
    attacks.hand_in(attack, world)
    for student in (FIRST, attack.name, LAST):
        target = world.workspace / "submitted" / student
        target.mkdir(parents=True)
        subprocess.run(["cp", "-a", world.handed_in / student, target / LESSON], check=True)
    (world.workspace / "nbgrader_config.py").write_text(
        f'c = get_config()\nc.CourseDirectory.root = "{world.workspace}"\n'
        f'c.CourseDirectory.course_id = "pixels-to-diffusion"\n'
    )
    before = attacks.watched(world)
    begun = time.monotonic()
    ended = _autograde(world)
    seconds = round(time.monotonic() - begun, 1)
    left = attacks.left_running(world)
    if left:
        time.sleep(4)  # what was left behind gets time to do what it came for
    scores = {student: _score(world, student) for student in (FIRST, attack.name, LAST)}
    found = _judge(attack, world, before, left, scores, ended)
    (scratch / "told.json").write_text(json.dumps({**found, "scores": scores, "seconds": seconds}))


def _autograde(world: World) -> str:
    """Run nbgrader as an instructor does; empty if it came to an end, whatever it said of single
    submissions.
    """
    environment = {**os.environ, "COURSE_MODE": "grading", "COURSE_CANARY": world.secret}
    command = [sys.executable, "-m", "nbgrader", "autograde", LESSON]
    process = subprocess.Popen(
        command, cwd=world.workspace, env=environment, start_new_session=True
    )
    try:
        code = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"it had not ended after {SECONDS} s"
    return f"it was killed by signal {-code}" if code < 0 else ""


def _score(world: World, student: str) -> float | None:
    """What the gradebook says, None where it says nothing or can't be asked."""
    from nbgrader.api import Gradebook

    try:
        with Gradebook(f"sqlite:///{world.workspace}/gradebook.db", "pixels-to-diffusion") as book:
            submission = book.find_submission(LESSON, student)
            graded = [g for notebook in submission.notebooks for g in notebook.grades]
            told = any(g.auto_score is not None or g.manual_score is not None for g in graded)
            return submission.score if told else None
    except Exception:  # the attack may have left anything there
        return None


def _judge(
    attack: Attack, world: World, before: dict, left: list, scores: dict, ended: str
) -> dict:
    score, last = scores[attack.name], scores[LAST]
    gained = (
        0.0
        if score is None
        else "nan"
        if math.isnan(score)
        else max(0.0, round(score - attack.earns, 6))
    )
    lost = attack.earns - (score or 0) if attack.ends == "graded" and gained != "nan" else 0
    after = attacks.watched(world)
    changed = sorted(path for path in before | after if before.get(path) != after.get(path))
    harm = [f"changed {path.replace(str(world.workspace.parents[2]), '')}" for path in changed[:3]]
    harm += ["connected to a port"] if attacks.reached(world) else []
    harm += ["learned what it must not know"] if attacks.learned(world) else []
    harm += [f"left {len(left)} processes running"] if left else []
    harm += [f"the first student has {scores[FIRST]} of 6 points"] if scores[FIRST] != 6 else []
    harm += [f"the last student has {last} of 6 points"] if last not in (6, None) else []
    stopped = ended or ("the last student was not graded" if last is None else "")
    return {"gained": gained, "lost": max(0.0, lost), "harm": harm, "stopped": stopped}


if __name__ == "__main__":
    _inside(sys.argv[1], Path(sys.argv[2]))
