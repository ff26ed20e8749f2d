"""``course grade`` compared with vanilla ``nbgrader autograde`` and ``otter run``, on the same
submissions.

Every submission is a release in which some answers and exercises are right, as the author wrote
them, and the rest blank; all graders must give each the same points before anything is reported. In
each of three rounds ours grades all submissions, and nbgrader and otter a part of them, one after
another: they need half a minute for one, while ours takes some seconds to start and is meant for
many. nbgrader grades with its own configuration, one submission at a time, which is all it can;
``otter run`` takes one submission, and as many run at a time as there are cores. Ours also writes
the feedback pages and the audit. "x ours" says how many submissions ours grades while another
grader grades one (the targets: 8 times nbgrader's throughput on two cores, 20 where no exercise
needs torch).

Then ours alone on 10, 100 and 1,000 copies of one submission: neither the seconds per submission
nor the coordinator's memory should grow. otter is not a dependency of the course:
``uv run --with otter-grader python -m benchmarks grading``. ``COURSE_SUBMISSIONS`` (100),
``COURSE_PEERS`` (24, what nbgrader and otter grade of them), ``COURSE_COPIES`` (10,100,1000) and
``COURSE_LESSONS`` (02,sample) make it shorter; with the defaults it takes an hour.
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
ROUNDS = 3
CORES = len(os.sched_getaffinity(0))
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
        rows = [row for lesson in course.lessons for row in _compare(course, lesson)]
        rows += [_grade_copies(course, course.lessons[-1], count) for count in COPIES if count]
    return {"rows": rows, "submissions": SUBMISSIONS, "rounds": ROUNDS, "cores": CORES}


class _Course:
    """A built checkout, and workspaces to grade in."""

    def __init__(self, folder: Path):
        from course_grading.assign.build import build

        self.folder = folder
        self.root = folder / "course"
        for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
            (self.root / name).mkdir(parents=True)
        (self.root / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
        for prefix in LESSONS:
            (path,) = [*(ROOT / "solutions").glob(f"{prefix}_*.md")] or [SAMPLE]
            shutil.copy(path, self.root / "solutions")
        build(self.root)
        self.lessons = [path.stem for path in sorted((self.root / "solutions").glob("*.md"))]

    def workspace(self) -> Path:
        """A fresh copy of nbgrader's course directory."""
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "workspace"
        return shutil.copytree(self.root / "grading" / "workspace", path)

    def notebook(self, kind: str, lesson: str):
        return nbformat.read(
            self.root / "grading" / "workspace" / kind / lesson / f"{lesson}.ipynb", as_version=4
        )

    def submissions(self, lesson: str, count: int) -> dict[str, bytes]:
        """What each student hands in: about four answers in five are right, the others blank."""
        rng = random.Random(0)
        cells = self.notebook("source", lesson).cells
        right = {cell["id"]: _without_markers(cell.source) for cell in cells}
        submissions = {}
        for number in range(count):
            notebook = self.notebook("release", lesson)
            for cell in notebook.cells:
                if cell.metadata.get("nbgrader", {}).get("solution") and rng.random() < 0.8:
                    cell.source = right[cell["id"]]
            submissions[f"student-{number:04}"] = nbformat.writes(notebook).encode()
        return submissions


def _without_markers(source: str) -> str:
    return "\n".join(
        line
        for line in source.split("\n")
        if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
    )


def _compare(course: _Course, lesson: str) -> list[dict]:
    """All graders on the same submissions, by turns."""
    work = course.submissions(lesson, SUBMISSIONS)
    graders: dict[str, Callable] = {"course grade": _ours, "nbgrader autograde": _nbgrader}
    if importlib.util.find_spec("otter"):
        graders["otter run"] = _otter
    seconds_each: dict[str, list[float]] = {name: [] for name in graders}
    scores: dict[str, dict[str, float]] = {name: {} for name in graders}
    students = list(work)
    for turn in range(ROUNDS):
        for name, grader in graders.items():
            part = students if grader is _ours else students[:PEERS][turn::ROUNDS]
            seconds, part_scores = grader(course, lesson, {s: work[s] for s in part})
            seconds_each[name].append(seconds / len(part))
            scores[name] |= part_scores
    ours = scores["course grade"]
    for name in graders:
        expected = ours if name == "course grade" else {s: ours[s] for s in students[:PEERS]}
        if scores[name] != expected:
            raise ValueError(
                f"{name} and course grade do not give the same points: {scores[name]}, {expected}"
            )
    medians = {name: statistics.median(seconds) for name, seconds in seconds_each.items()}
    return [
        {
            "what": f"{name}, {lesson}",
            "submissions": len(scores[name]),
            "seconds each": seconds,
            "x ours": seconds / medians["course grade"],
            "coordinator, MB": "",
        }
        for name, seconds in medians.items()
    ]


def _grade_copies(course: _Course, lesson: str, count: int) -> dict:
    """Ours on copies of one submission."""
    (submission,) = course.submissions(lesson, 1).values()
    copies = {f"student-{number:04}": submission for number in range(count)}
    report = _course_grade(course, lesson, copies)
    return {
        "what": f"course grade, {lesson}, copies",
        "submissions": count,
        "seconds each": report["seconds"] / count,
        "x ours": "",
        "coordinator, MB": report["memory"] / 1e6,
    }


def _ours(course: _Course, lesson: str, work: dict[str, bytes]) -> tuple[float, dict[str, float]]:
    report = _course_grade(course, lesson, work)
    return report["seconds"], report["scores"]


def _course_grade(course: _Course, lesson: str, work: dict[str, bytes]) -> dict:
    workspace = course.workspace()
    for student, notebook in work.items():
        folder = workspace.parent / "class" / student
        folder.mkdir(parents=True)
        (folder / f"{lesson}.ipynb").write_bytes(notebook)
    seconds, output = _run_python(
        ["-m", "benchmarks.grading", workspace.parent / "class", workspace], ROOT
    )
    report = json.loads(output.splitlines()[-1])
    if report["wrong"] or len(report["scores"]) != len(work):
        raise ValueError(f"course grade: {report['wrong'] or 'somebody was not graded'}")
    shutil.rmtree(workspace.parent)
    return {**report, "seconds": seconds}


def _nbgrader(
    course: _Course, lesson: str, work: dict[str, bytes]
) -> tuple[float, dict[str, float]]:
    from nbgrader.api import Gradebook

    workspace = course.workspace()
    name = "pixels-to-diffusion"
    (workspace / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        f'c.CourseDirectory.root = "{workspace}"\n'
        f'c.CourseDirectory.course_id = "{name}"\n'
    )
    for student, notebook in work.items():
        folder = workspace / "submitted" / student / lesson
        folder.mkdir(parents=True)
        (folder / f"{lesson}.ipynb").write_bytes(notebook)
    seconds, _ = _run_python(["-m", "nbgrader", "autograde", lesson], workspace)
    with Gradebook(f"sqlite:///{workspace}/gradebook.db", name) as gradebook:
        scores = {s.student_id: s.score for s in gradebook.assignment_submissions(lesson)}
    shutil.rmtree(workspace.parent)
    return seconds, scores


def _otter(course: _Course, lesson: str, work: dict[str, bytes]) -> tuple[float, dict[str, float]]:
    place = Path(tempfile.mkdtemp(dir=course.folder))
    with zipfile.ZipFile(place / "autograder.zip", "w") as archive:
        archive.writestr("otter_config.json", "{}")
        for cell in course.notebook("source", lesson).cells:
            metadata = cell.metadata.get("nbgrader", {})
            if metadata.get("grade"):
                _, _, hidden = cell.source.partition("### BEGIN HIDDEN TESTS\n")
                source = hidden.partition("### END HIDDEN TESTS")[0]
                name = metadata["grade_id"]
                test = TEST.format(name=name, points=metadata["points"], source=source)
                archive.writestr(f"tests/{name}.py", test)

    def grade(student: str) -> float:
        folder = place / student
        folder.mkdir()
        (folder / f"{lesson}.ipynb").write_bytes(work[student])
        autograder = place / "autograder.zip"
        command = ["-m", "otter", "run", f"{lesson}.ipynb", "-a", autograder, "--no-logo"]
        _run_python(command, folder)
        tests = json.loads((folder / "results.json").read_text())["tests"]
        return sum(test.get("score", 0) for test in tests)

    start = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        scores = dict(zip(work, pool.map(grade, work), strict=True))
    seconds = time.perf_counter() - start
    shutil.rmtree(place)
    return seconds, scores


def _run_python(arguments: list, folder: Path) -> tuple[float, str]:
    """Run Python in a folder; its seconds, and what it wrote."""
    environment = {**os.environ, "COURSE_MODE": "grading"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    )
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{arguments} failed: {process.stderr[-2000:]}")
    return seconds, process.stdout


def _grade_in_this_process(folder: Path, workspace: Path) -> None:
    """What is measured of ours, in a process of its own."""
    from course_grading.autograde import processes

    processes.prepare()  # as `course grade` does
    from course_grading.batch import grade_batch
    from course_grading.reports import tables

    batch = grade_batch(folder, workspace, workers=CORES)
    tables.write(batch, workspace / "grades")
    report = {
        "scores": {grade.student: grade.score for grade in batch.grades},
        "wrong": [problem.reason for problem in batch.problems] + batch.audit_findings,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    _grade_in_this_process(Path(sys.argv[1]), Path(sys.argv[2]))
