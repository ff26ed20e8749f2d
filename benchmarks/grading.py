"""``course grade`` beside vanilla ``nbgrader autograde`` and otter's ``otter run``, on the same
submissions.

Every submission is a release in which some answers and exercises are right, as the author wrote
them, and the others blank; the graders must give each the same points before anything is told. In
each of three rounds ours grades all submissions, and nbgrader and otter a part, one after the
other: they need half a minute for one, where ours, which starts for some seconds, is meant for
many. nbgrader grades with its own configuration, one submission at a time, which is all it can;
``otter run`` takes one submission, and as many run at a time as there are cores. Ours also writes
the feedback pages and the audit. "x ours" says how many submissions ours grades while another
grades one (the bars: 8 times nbgrader's throughput on two cores, 20 where no exercise needs torch).

Then ours alone on 10, 100 and 1,000 copies of one submission: neither seconds a submission nor the
coordinator's memory should grow. otter is no dependency of the course:
``uv run --with otter-grader python -m benchmarks grading``. ``COURSE_SUBMISSIONS`` (100),
``COURSE_PEERS`` (24, what nbgrader and otter grade of them), ``COURSE_COPIES`` (10,100,1000) and
``COURSE_LESSONS`` (02,sample) make it shorter; as it is, it takes an hour.
"""

import importlib.util
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SUBMISSIONS = int(os.environ.get("COURSE_SUBMISSIONS", "100"))
PEERS = int(os.environ.get("COURSE_PEERS", "24"))
COPIES = [int(count) for count in os.environ.get("COURSE_COPIES", "10,100,1000").split(",")]
LESSONS = os.environ.get("COURSE_LESSONS", "02,sample").split(",")
# short, and needs numpy at most: no lesson does without torch
SAMPLE = ROOT / "tests" / "sample" / "01_sample.md"
ROUNDS, CORES = 3, len(os.sched_getaffinity(0))
TEST = '''"""One question or exercise: the hidden tests of the lesson, all or nothing."""
import ast
from otter.test_files import test_case

OK_FORMAT, name, points = False, {name!r}, {points!r}

@test_case()
def check(env):
    *body, last = ast.parse({source!r}).body
    exec(compile(ast.Module(body, []), "<test>", "exec"), env)
    assert eval(compile(ast.Expression(last.value), "<test>", "eval"), env) == points
'''


def run() -> dict:
    """Measure; a row for each grader and lesson, then one for each number of copies."""
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        course = _Course(Path(folder))
        rows = [row for lesson in course.lessons for row in _beside(course, lesson)]
        rows += [_alone(course, course.lessons[-1], count) for count in COPIES if count]
    return {"rows": rows, "submissions": SUBMISSIONS, "rounds": ROUNDS, "cores": CORES}


class _Course:
    """A built checkout, and places to grade in."""

    def __init__(self, folder: Path):
        from course_grading.assign.build import build

        self.folder, self.root = folder, folder / "course"
        for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
            (self.root / name).mkdir(parents=True)
        (self.root / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
        for prefix in LESSONS:
            (path,) = [*(ROOT / "solutions").glob(f"{prefix}_*.md")] or [SAMPLE]
            shutil.copy(path, self.root / "solutions")
        build(self.root)
        self.lessons = [path.stem for path in sorted((self.root / "solutions").glob("*.md"))]

    def workspace(self) -> Path:
        """A fresh copy of the instructor's desk."""
        place = Path(tempfile.mkdtemp(dir=self.folder)) / "workspace"
        return shutil.copytree(self.root / "grading" / "workspace", place)

    def notebook(self, kind: str, lesson: str):
        return nbformat.read(
            self.root / "grading" / "workspace" / kind / lesson / f"{lesson}.ipynb", as_version=4
        )

    def submissions(self, lesson: str, count: int) -> dict[str, bytes]:
        """What each student hands in: about four answers in five are right, the others blank."""
        rng = random.Random(0)
        right = {cell["id"]: _solved(cell.source) for cell in self.notebook("source", lesson).cells}
        made = {}
        for number in range(count):
            notebook = self.notebook("release", lesson)
            for cell in notebook.cells:
                if cell.metadata.get("nbgrader", {}).get("solution") and rng.random() < 0.8:
                    cell.source = right[cell["id"]]
            made[f"student-{number:04}"] = nbformat.writes(notebook).encode()
        return made


def _solved(source: str) -> str:
    return "\n".join(
        line
        for line in source.split("\n")
        if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
    )


def _beside(course: _Course, lesson: str) -> list[dict]:
    """All graders on the same submissions, in turns."""
    work = course.submissions(lesson, SUBMISSIONS)
    graders: dict[str, Callable] = {"course grade": _ours, "nbgrader autograde": _nbgrader}
    if importlib.util.find_spec("otter"):
        graders["otter run"] = _otter
    taken: dict[str, list[float]] = {name: [] for name in graders}
    scores: dict[str, dict[str, float]] = {name: {} for name in graders}
    students = list(work)
    for turn in range(ROUNDS):
        for name, grader in graders.items():
            part = students if grader is _ours else students[:PEERS][turn::ROUNDS]
            seconds, found = grader(course, lesson, {student: work[student] for student in part})
            taken[name].append(seconds / len(part))
            scores[name] |= found
    for name, found in scores.items():
        expected = (
            scores["course grade"]
            if name == "course grade"
            else {s: scores["course grade"][s] for s in students[:PEERS]}
        )
        if found != expected:
            raise ValueError(
                f"{name} and course grade do not give the same points: {found}, {expected}"
            )
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    return [
        {
            "what": f"{name}, {lesson}",
            "submissions": len(scores[name]),
            "seconds each": seconds,
            "x ours": seconds / median["course grade"],
            "coordinator, MB": "",
        }
        for name, seconds in median.items()
    ]


def _alone(course: _Course, lesson: str, count: int) -> dict:
    """Ours on copies of one submission."""
    (one,) = course.submissions(lesson, 1).values()
    told = _graded(course, lesson, {f"student-{number:04}": one for number in range(count)})
    return {
        "what": f"course grade, {lesson}, copies",
        "submissions": count,
        "seconds each": told["seconds"] / count,
        "x ours": "",
        "coordinator, MB": told["memory"] / 1e6,
    }


def _ours(course: _Course, lesson: str, work: dict[str, bytes]) -> tuple[float, dict[str, float]]:
    told = _graded(course, lesson, work)
    return told["seconds"], told["scores"]


def _graded(course: _Course, lesson: str, work: dict[str, bytes]) -> dict:
    place = course.workspace()
    for student, notebook in work.items():
        folder = place.parent / "class" / student
        folder.mkdir(parents=True)
        (folder / f"{lesson}.ipynb").write_bytes(notebook)
    seconds, text = _timed(["-m", "benchmarks.grading", place.parent / "class", place], ROOT)
    told = json.loads(text.splitlines()[-1])
    if told["wrong"] or len(told["scores"]) != len(work):
        raise ValueError(f"course grade: {told['wrong'] or 'somebody was not graded'}")
    shutil.rmtree(place.parent)
    return {**told, "seconds": seconds}


def _nbgrader(
    course: _Course, lesson: str, work: dict[str, bytes]
) -> tuple[float, dict[str, float]]:
    from nbgrader.api import Gradebook

    place = course.workspace()
    name = "pixels-to-diffusion"
    (place / "nbgrader_config.py").write_text(
        f'c = get_config()\nc.CourseDirectory.root = "{place}"\nc.CourseDirectory.course_id = "{name}"\n'
    )
    for student, notebook in work.items():
        folder = place / "submitted" / student / lesson
        folder.mkdir(parents=True)
        (folder / f"{lesson}.ipynb").write_bytes(notebook)
    seconds, _ = _timed(["-m", "nbgrader", "autograde", lesson], place)
    with Gradebook(f"sqlite:///{place}/gradebook.db", name) as book:
        scores = {one.student_id: one.score for one in book.assignment_submissions(lesson)}
    shutil.rmtree(place.parent)
    return seconds, scores


def _otter(course: _Course, lesson: str, work: dict[str, bytes]) -> tuple[float, dict[str, float]]:
    place = Path(tempfile.mkdtemp(dir=course.folder))
    with zipfile.ZipFile(place / "autograder.zip", "w") as made:
        made.writestr("otter_config.json", "{}")
        for cell in course.notebook("source", lesson).cells:
            about = cell.metadata.get("nbgrader", {})
            if about.get("grade"):
                source = cell.source.split("### BEGIN HIDDEN TESTS\n")[1].split(
                    "### END HIDDEN TESTS"
                )[0]
                test = TEST.format(name=about["grade_id"], points=about["points"], source=source)
                made.writestr(f"tests/{about['grade_id']}.py", test)

    def one(student: str) -> float:
        folder = place / student
        folder.mkdir()
        (folder / f"{lesson}.ipynb").write_bytes(work[student])
        _timed(
            ["-m", "otter", "run", f"{lesson}.ipynb", "-a", place / "autograder.zip", "--no-logo"],
            folder,
        )
        tests = json.loads((folder / "results.json").read_text())["tests"]
        return sum(test.get("score", 0) for test in tests)

    begun = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        scores = dict(zip(work, pool.map(one, work), strict=True))
    seconds = time.perf_counter() - begun
    shutil.rmtree(place)
    return seconds, scores


def _timed(arguments: list, folder: Path) -> tuple[float, str]:
    """Run Python in a folder; how many seconds it took, and what it wrote."""
    environment = {**os.environ, "COURSE_MODE": "grading"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{arguments} failed: {done.stderr[-2000:]}")
    return seconds, done.stdout


def _inside(folder: Path, workspace: Path) -> None:
    """What is measured of ours, a process of its own."""
    from course_grading.autograde import processes

    processes.prepare()  # as `course grade` does
    from course_grading.batch import grade_batch
    from course_grading.reports import tables

    batch = grade_batch(folder, workspace, workers=CORES)
    tables.write(batch, workspace / "grades")
    wrong = [problem.reason for problem in batch.problems] + batch.unproven
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {"scores": {g.student: g.score for g in batch.grades}, "wrong": wrong, "memory": memory}
        )
    )


if __name__ == "__main__":
    _inside(Path(sys.argv[1]), Path(sys.argv[2]))
