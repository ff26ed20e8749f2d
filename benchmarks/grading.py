"""``course grade`` compared with ``nbgrader autograde`` and ``otter run`` on the same submissions.

A submission is a release in which some cells have the reference solution and the others are blank.
All graders must give the same scores, otherwise the benchmark fails. In each of three rounds
``course grade`` grades all submissions; nbgrader and otter grade a third of the first 24, since
they need up to half a minute for each. nbgrader has its default configuration and grades one
submission at a time; ``otter run`` grades one submission, and one process runs per core. ``course
grade`` also writes the feedback pages and runs the audit. "x ours" is a grader's time per
submission divided by the time of ``course grade`` (the goals for nbgrader on two cores: 30 for
lesson 2, 20 for the sample lesson, whose exercises need no torch).

Then ``course grade`` alone grades 10, 100 and 1,000 copies of one submission: neither the time per
submission nor the coordinator's memory should grow. otter is not a dependency of the course:
``uv run --with otter-grader python -m benchmarks grading``. The defaults take an hour; these
environment variables make it shorter: ``COURSE_SUBMISSIONS`` (100), ``COURSE_PEERS`` (24, the
number that nbgrader and otter grade), ``COURSE_COPIES`` (10,100,1000), ``COURSE_LESSONS``
(02,sample).
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
PEER_SUBMISSIONS = int(os.environ.get("COURSE_PEERS", "24"))
COPIES = [int(count) for count in os.environ.get("COURSE_COPIES", "10,100,1000").split(",")]
LESSONS = os.environ.get("COURSE_LESSONS", "02,sample").split(",")
# needs only numpy; all lessons need torch
SAMPLE = ROOT / "tests" / "sample" / "01_sample.md"
ROUNDS = 3
CORES = len(os.sched_getaffinity(0))
OTTER_TEST = '''"""The hidden test of one question or exercise: full points or 0."""
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
    """A row for each grader and lesson, then a row for each number of copies."""
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        checkout = _Checkout(Path(folder))
        rows = [row for lesson in checkout.lessons for row in _compare(checkout, lesson)]
        rows += [_grade_copies(checkout, checkout.lessons[-1], count) for count in COPIES if count]
    return {"rows": rows, "submissions": SUBMISSIONS, "rounds": ROUNDS, "cores": CORES}


class _Checkout:
    """A minimal built checkout, with copies of its workspace and generated submissions."""

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
        """A notebook for each student: about 80 % of the cells are solved, the others blank."""
        rng = random.Random(0)
        cells = self.notebook("source", lesson).cells
        solutions = {cell["id"]: _without_markers(cell.source) for cell in cells}
        submissions = {}
        for index in range(count):
            notebook = self.notebook("release", lesson)
            for cell in notebook.cells:
                if cell.metadata.get("nbgrader", {}).get("solution") and rng.random() < 0.8:
                    cell.source = solutions[cell["id"]]
            submissions[f"student-{index:04}"] = nbformat.writes(notebook).encode()
        return submissions


def _without_markers(source: str) -> str:
    return "\n".join(
        line
        for line in source.split("\n")
        if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
    )


def _compare(checkout: _Checkout, lesson: str) -> list[dict]:
    """Run all graders alternately on the same submissions."""
    submissions = checkout.submissions(lesson, SUBMISSIONS)
    graders: dict[str, Callable] = {"course grade": _ours, "nbgrader autograde": _nbgrader}
    if importlib.util.find_spec("otter"):
        graders["otter run"] = _otter
    seconds_each: dict[str, list[float]] = {name: [] for name in graders}
    scores: dict[str, dict[str, float]] = {name: {} for name in graders}
    students = list(submissions)
    for round_index in range(ROUNDS):
        for name, grader in graders.items():
            subset = students
            if grader is not _ours:
                subset = students[:PEER_SUBMISSIONS][round_index::ROUNDS]
            seconds, new_scores = grader(checkout, lesson, {s: submissions[s] for s in subset})
            seconds_each[name].append(seconds / len(subset))
            scores[name] |= new_scores
    ours = scores["course grade"]
    for name in graders:
        graded = students if name == "course grade" else students[:PEER_SUBMISSIONS]
        expected = {student: ours[student] for student in graded}
        if scores[name] != expected:
            raise ValueError(
                f"{name} and course grade do not give the same scores: {scores[name]}, {expected}"
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


def _grade_copies(checkout: _Checkout, lesson: str, count: int) -> dict:
    """Run ``course grade`` on copies of one submission."""
    (submission,) = checkout.submissions(lesson, 1).values()
    copies = {f"student-{index:04}": submission for index in range(count)}
    report = _course_grade(checkout, lesson, copies)
    return {
        "what": f"course grade, {lesson}, copies",
        "submissions": count,
        "seconds each": report["seconds"] / count,
        "x ours": "",
        "coordinator, MB": report["memory"] / 1e6,
    }


def _ours(
    checkout: _Checkout, lesson: str, submissions: dict[str, bytes]
) -> tuple[float, dict[str, float]]:
    report = _course_grade(checkout, lesson, submissions)
    return report["seconds"], report["scores"]


def _course_grade(checkout: _Checkout, lesson: str, submissions: dict[str, bytes]) -> dict:
    workspace = checkout.workspace()
    for student, notebook in submissions.items():
        folder = workspace.parent / "class" / student
        folder.mkdir(parents=True)
        (folder / f"{lesson}.ipynb").write_bytes(notebook)
    seconds, output = _run_python(
        ["-m", "benchmarks.grading", workspace.parent / "class", workspace], ROOT
    )
    report = json.loads(output.splitlines()[-1])
    if report["problems"] or len(report["scores"]) != len(submissions):
        raise ValueError(f"course grade: {report['problems'] or 'a submission was not graded'}")
    shutil.rmtree(workspace.parent)
    return {**report, "seconds": seconds}


def _nbgrader(
    checkout: _Checkout, lesson: str, submissions: dict[str, bytes]
) -> tuple[float, dict[str, float]]:
    from nbgrader.api import Gradebook

    workspace = checkout.workspace()
    course_id = "pixels-to-diffusion"
    (workspace / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        f'c.CourseDirectory.root = "{workspace}"\n'
        f'c.CourseDirectory.course_id = "{course_id}"\n'
    )
    for student, notebook in submissions.items():
        folder = workspace / "submitted" / student / lesson
        folder.mkdir(parents=True)
        (folder / f"{lesson}.ipynb").write_bytes(notebook)
    seconds, _ = _run_python(["-m", "nbgrader", "autograde", lesson], workspace)
    with Gradebook(f"sqlite:///{workspace}/gradebook.db", course_id) as gradebook:
        scores = {s.student_id: s.score for s in gradebook.assignment_submissions(lesson)}
    shutil.rmtree(workspace.parent)
    return seconds, scores


def _otter(
    checkout: _Checkout, lesson: str, submissions: dict[str, bytes]
) -> tuple[float, dict[str, float]]:
    folder = Path(tempfile.mkdtemp(dir=checkout.folder))
    autograder = folder / "autograder.zip"
    with zipfile.ZipFile(autograder, "w") as archive:
        archive.writestr("otter_config.json", "{}")
        for cell in checkout.notebook("source", lesson).cells:
            metadata = cell.metadata.get("nbgrader", {})
            if metadata.get("grade"):
                _, _, hidden = cell.source.partition("### BEGIN HIDDEN TESTS\n")
                source = hidden.partition("### END HIDDEN TESTS")[0]
                name = metadata["grade_id"]
                test = OTTER_TEST.format(name=name, points=metadata["points"], source=source)
                archive.writestr(f"tests/{name}.py", test)

    def grade(student: str) -> float:
        student_folder = folder / student
        student_folder.mkdir()
        (student_folder / f"{lesson}.ipynb").write_bytes(submissions[student])
        command = ["-m", "otter", "run", f"{lesson}.ipynb", "-a", autograder, "--no-logo"]
        _run_python(command, student_folder)
        tests = json.loads((student_folder / "results.json").read_text())["tests"]
        return sum(test.get("score", 0) for test in tests)

    start = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        scores = dict(zip(submissions, pool.map(grade, submissions), strict=True))
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds, scores


def _run_python(arguments: list, folder: Path) -> tuple[float, str]:
    """Run Python in a folder; the elapsed seconds, and the standard output."""
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
    """Grade a folder as ``course grade`` does, and print a report as JSON."""
    from course_grading.autograde import processes

    processes.prepare()  # as `course grade` does
    from course_grading.batch import grade_batch
    from course_grading.reports import tables

    batch = grade_batch(folder, workspace, workers=CORES)
    tables.write(batch, workspace / "grades")
    report = {
        "scores": {grade.student: grade.score for grade in batch.grades},
        "problems": [problem.reason for problem in batch.problems] + batch.audit_findings,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    _grade_in_this_process(Path(sys.argv[1]), Path(sys.argv[2]))
