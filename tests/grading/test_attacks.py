"""No point that the visible work did not earn, nothing outside touched, everybody else graded,
nothing left running.
"""

import ast
import shutil
import warnings
from pathlib import Path

import nbformat
import pytest
from course_grading.collect import submissions

from course_lib.quiz import scoring
from tests.support import attacks

ATTACKS = attacks.attacks()
# No code of an attacker is in these: they may be read and rebuilt anywhere.
HARMLESS = [
    attack for attack in ATTACKS if not attack.blocks and attack.group in ("altering", "broken")
]
ANSWERS = {"which-letters-answer": "AC", "how-many-answer": "B"}


def test_the_set_is_large_and_every_attack_says_what_it_tries():
    groups = {attack.group for attack in ATTACKS}
    assert len(ATTACKS) >= 60 and len({attack.tries for attack in ATTACKS}) == len(ATTACKS)
    assert groups >= {
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
    for attack in ATTACKS:
        assert (
            (attack.blocks or attack.recipes)
            and 0 <= attack.earns <= 6
            and attack.ends in ("", "graded", "listed")
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            for _, code in attack.blocks:
                if attack.name != "reaching-shell":  # the one that speaks IPython
                    ast.parse(code)


@pytest.fixture
def planted(built, tmp_path):
    world = attacks.world(tmp_path / "world", built / "grading" / "workspace", tmp_path / "package")
    yield world
    attacks.tidy(world)


@pytest.mark.parametrize("attack", HARMLESS, ids=lambda attack: attack.name)
def test_intake_copes(attack, planted):
    """What is damaged is rebuilt whole; what can't be read is listed with its reason, and stays
    where it was.
    """
    attacks.honest(planted, "honest")
    attacks.hand_in(attack, planted)
    before = attacks.watched(planted)
    graded, listed = {}, []
    release = nbformat.from_dict(attacks.released(planted))
    with submissions.opened(planted.handed_in) as (files, problems):
        found, more = submissions.find(files, submissions.released(planted.workspace))
        listed += [problem.reason for problem in problems + more]
        for submission in found:
            try:
                graded[submission.student], _ = submissions.rebuild(
                    submissions.read(submission.path), release
                )
            except ValueError as error:
                listed.append(str(error))
    assert attacks.watched(planted) == before
    assert worth(graded.pop("honest")) == 6
    if attack.ends == "graded":
        assert worth(graded[attack.name]) == attack.earns
    elif attack.ends == "listed":
        assert graded == {} and any(attack.says in reason for reason in listed), listed
    elif attack.name in graded:
        assert worth(graded[attack.name]) <= attack.earns
    else:
        assert listed


def worth(notebook) -> float:
    """The points of a rebuilt notebook without an attacker's code."""
    sources = {cell["id"]: cell.source for cell in notebook.cells}
    points = 0.0
    for id, right in ANSWERS.items():
        try:
            points += (3 if right == "AC" else 1) * (scoring.literal(sources[id]) == right)
        except ValueError:
            continue
    names = {}
    exec(sources["double-code"], names)
    try:
        return points + 2 * (names["double"](3) == 6)
    except NotImplementedError:
        return points


@pytest.fixture(scope="module")
def batch(_built, tmp_path_factory):
    """All attacks in one class, three honest students among them, graded in one run."""
    sandbox = pytest.importorskip(
        "course_grading.sandbox.host", reason="an attacker's code runs in the sandbox only"
    )
    if why := sandbox.available():
        pytest.skip(f"an attacker's code runs in the sandbox only: {why}")
    from course_grading.batch import grade_batch

    import course_lib

    root = tmp_path_factory.mktemp("attacked")
    course = shutil.copytree(_built, root / "course")
    package = Path(course_lib.__file__).parent
    world = attacks.world(root / "world", course / "grading" / "workspace", package)
    for attack in ATTACKS:
        attacks.hand_in(attack, world)
    for student in ("a-honest", "k-honest", "z-honest"):
        attacks.honest(world, student)
    before = attacks.watched(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(world.home))
        patch.setenv("COURSE_CANARY", world.secret)
        done = grade_batch(world.handed_in, world.workspace)
    yield world, before, done
    attacks.tidy(world)


@pytest.mark.slow
def test_nothing_is_gained_and_nobody_forgotten(batch):
    _, _, done = batch
    scores = {grade.student: grade.score for grade in done.grades}
    assert [scores.get(student) for student in ("a-honest", "k-honest", "z-honest")] == [6, 6, 6]
    wrong = {}
    for attack in ATTACKS:
        reasons = [
            p.reason for p in done.problems if attack.name in (p.student, p.file.split("/")[0])
        ]
        score = scores.get(attack.name)
        if score is None and (not reasons or attack.ends == "graded"):
            wrong[attack.name] = f"not graded: {reasons}"
        elif score is not None and (attack.ends == "listed" or not 0 <= score <= attack.earns):
            wrong[attack.name] = f"{score} points, and it earns {attack.earns}"
        elif attack.ends == "graded" and score != attack.earns:
            wrong[attack.name] = f"only {score} points, and it earns {attack.earns}"
        elif attack.ends == "listed" and not any(attack.says in reason for reason in reasons):
            wrong[attack.name] = f"another reason: {reasons}"
    assert wrong == {}


@pytest.mark.slow
def test_nothing_outside_is_touched_or_learned_and_nothing_left_running(batch):
    world, before, _ = batch
    after = attacks.watched(world)
    assert {
        path: after.get(path) for path in before | after if before.get(path) != after.get(path)
    } == {}
    assert not attacks.reached(world)
    assert attacks.learned(world) == []
    assert attacks.left_running(world) == []
