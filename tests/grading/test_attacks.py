"""No attack earns undeserved points, changes anything outside the sandbox, prevents the grading of
others or leaves a process running.
"""

import ast
import shutil
import warnings
from pathlib import Path

import nbformat
import pytest
from course_grading.collect import archives, notebooks, submissions
from course_grading.collect.rebuild import rebuild

from course_lib.quiz import scoring
from tests.support import attacks

ATTACKS = attacks.load_attacks()
# These contain no attacker's code: they can be read and rebuilt outside the sandbox.
HARMLESS = [
    attack for attack in ATTACKS if not attack.blocks and attack.group in ("altering", "broken")
]
GROUPS = {
    "reading",
    "gradebook",
    "patching",
    "forging",
    "ending",
    "pressure",
    "reaching",
    "altering",
    "broken",
}
ANSWERS = {"which-letters-answer": "AC", "how-many-answer": "B"}
HONEST = ("a-honest", "k-honest", "z-honest")


def test_attack_set_is_large_and_every_attack_is_described():
    assert {attack.group for attack in ATTACKS} >= GROUPS
    assert len(ATTACKS) >= 60
    assert len({attack.description for attack in ATTACKS}) == len(ATTACKS)
    for attack in ATTACKS:
        assert attack.blocks or attack.recipes
        assert 0 <= attack.earns <= 6 and attack.outcome in ("", "graded", "listed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            for _, code in attack.blocks:
                if attack.name != "reaching-shell":  # its code is IPython's
                    ast.parse(code)


@pytest.fixture
def world(built, tmp_path):
    world = attacks.make_world(
        tmp_path / "world", built / "grading" / "workspace", tmp_path / "package"
    )
    yield world
    attacks.clean_up(world)


@pytest.mark.parametrize("attack", HARMLESS, ids=lambda attack: attack.name)
def test_intake_handles_damaged_submissions(attack, world, monkeypatch):
    """A damaged submission is rebuilt completely; an unreadable one is listed with its reason and
    stays where it was.

    The limit on an archive's number of files is lowered here; the run that grades all attacks tests
    the actual limit.
    """
    monkeypatch.setattr(archives, "MAX_FILES", 1_000)
    attacks.submit_honest(world, "honest")
    attacks.submit(attack, world)
    before = attacks.snapshot(world)
    graded = {}
    reasons = []
    release = nbformat.from_dict(attacks.released_notebook(world))
    lessons = submissions.released_lessons(world.workspace)
    with archives.open_submissions(world.class_folder) as (files, problems):
        found, more_problems = submissions.find(files, lessons)
        reasons += [problem.reason for problem in problems + more_problems]
        for submission in found:
            try:
                notebook = notebooks.read(submission.path)
                graded[submission.student], _ = rebuild(notebook, release)
            except ValueError as error:
                reasons.append(str(error))
    assert attacks.snapshot(world) == before
    assert score_of(graded.pop("honest")) == 6
    if attack.outcome == "graded":
        assert score_of(graded[attack.name]) == attack.earns
    elif attack.outcome == "listed":
        assert graded == {} and any(attack.reason in reason for reason in reasons), reasons
    elif attack.name in graded:
        assert score_of(graded[attack.name]) <= attack.earns
    else:
        assert reasons


def score_of(notebook) -> float:
    """The score of a rebuilt notebook, which contains no attacker's code."""
    sources = {cell["id"]: cell.source for cell in notebook.cells}
    points = 0.0
    for id, right in ANSWERS.items():
        try:
            points += (3 if right == "AC" else 1) * (scoring.extract_answer(sources[id]) == right)
        except ValueError:
            continue
    names = {}
    exec(sources["double-code"], names)
    try:
        return points + 2 * (names["double"](3) == 6)
    except NotImplementedError:
        return points


@pytest.fixture(scope="module")
def graded_world(_built, tmp_path_factory):
    """All attacks and three honest submissions, graded in one run."""
    from course_grading.batch import grade_batch
    from course_grading.sandbox import host

    import course_lib

    if reason := host.unavailable_reason():
        pytest.skip(f"an attacker's code runs only in the sandbox: {reason}")
    root = tmp_path_factory.mktemp("attacked")
    course = shutil.copytree(_built, root / "course")
    package = Path(course_lib.__file__).parent
    world = attacks.make_world(root / "world", course / "grading" / "workspace", package)
    for attack in ATTACKS:
        attacks.submit(attack, world)
    for student in HONEST:
        attacks.submit_honest(world, student)
    before = attacks.snapshot(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(world.home))
        patch.setenv("COURSE_CANARY", world.secret)
        batch = grade_batch(world.class_folder, world.workspace)
    yield world, before, batch
    attacks.clean_up(world)


def fault(attack, scores: dict[str, float], problems: list) -> str:
    """How the result of an attack differs from the expected one; empty if it doesn't."""
    reasons = [p.reason for p in problems if attack.name in (p.student, p.file.split("/")[0])]
    score = scores.get(attack.name)
    if attack.outcome == "listed":
        if score is not None:
            return f"{score} points, but it must be listed as a problem"
        if not any(attack.reason in reason for reason in reasons):
            return f"a different reason: {reasons}"
        return ""
    if score is None:
        return f"not graded: {reasons}" if attack.outcome == "graded" or not reasons else ""
    if not 0 <= score <= attack.earns or (attack.outcome == "graded" and score != attack.earns):
        return f"{score} points, but it deserves {attack.earns}"
    return ""


@pytest.mark.slow
def test_no_attack_gains_points_and_everybody_is_graded(graded_world):
    _, _, batch = graded_world
    scores = {grade.student: grade.score for grade in batch.grades}
    assert [scores.get(student) for student in HONEST] == [6, 6, 6]
    faults = {attack.name: fault(attack, scores, batch.problems) for attack in ATTACKS}
    assert {name: text for name, text in faults.items() if text} == {}


@pytest.mark.slow
def test_no_attack_changes_files_leaks_secrets_or_leaves_processes(graded_world):
    world, before, _ = graded_world
    after = attacks.snapshot(world)
    assert {
        path: after.get(path) for path in before | after if before.get(path) != after.get(path)
    } == {}
    assert not attacks.was_contacted(world)
    assert attacks.leaks(world) == []
    assert attacks.surviving_processes(world) == []
