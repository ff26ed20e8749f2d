"""``progress.json`` and the website's export have the same format, which both can read."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from course_lib.learner import record, summary
from course_lib.learner.record import Record, SiteAnswer
from tests.support import learner as work
from tests.support.checkout import ROOT

PROGRESS_JS = ROOT / "website" / "web" / "quiz" / "progress.js"
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
EARLIER, LATER = "2026-11-01T10:00:00.000Z", "2026-11-02T10:00:00.000Z"


def entry(answer: str = "AC", checked: str = EARLIER, **changes) -> dict:
    return {"answer": answer, "points": 3, "of": 3, "checked": checked, **changes}


def exported(**questions: dict) -> str:
    lessons = {"01_sample": {name.replace("_", "-"): value for name, value in questions.items()}}
    return json.dumps({"format": record.FORMAT, "version": record.VERSION, "lessons": lessons})


def node(script: str, text: str) -> str:
    """The output of a Node script that may use the website's ``progress`` module; ``text`` is its
    stdin.
    """
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed: install the package nodejs")
    code = f'import * as progress from "{PROGRESS_JS.as_uri()}";\n{script}'
    done = subprocess.run(
        [program, "--input-type=module", "-e", code], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READ = 'import { readFileSync } from "node:fs"; const text = readFileSync(0, "utf-8");'


def test_export_of_the_website_is_read():
    text = node(
        "const ours = progress.emptyProgress();\n"
        'ours.lessons["01_sample"] = {"how-many": {answer: "B", points: 1, of: 1,'
        ' checked: new Date("2026-11-01T10:00:00Z").toISOString()}};\n'
        "console.log(JSON.stringify(ours, null, 1));",
        "",
    )
    read = record.parse(text, NOW)
    assert read.answers == {"01_sample": {"how-many": SiteAnswer("B", 1, 1, EARLIER)}}


def test_saved_file_can_be_imported_by_the_website(tmp_path):
    checks = {"double": record.CheckedExercise("a", "b", 2, 2, "")}
    ours = record.parse(exported(how_many=entry("B")), NOW)
    ours.exercises["01_sample"] = checks
    path = record.save(tmp_path, ours)
    script = f"{READ}\nconsole.log(JSON.stringify(progress.parseProgress(text).lessons));"
    assert json.loads(node(script, path.read_text())) == {"01_sample": {"how-many": entry("B")}}
    assert record.load(tmp_path) == ours


@pytest.mark.parametrize(
    "text, reason",
    [
        ("no", "not JSON"),
        ("[]", "no progress of this course"),
        ('{"format": "other"}', "no progress of this course"),
        (exported().replace('"version": 1', '"version": 2'), "version 2"),
        (exported().replace("lessons", "less"), "lessons"),
        (exported().replace("01_sample", "../x"), "no readable lesson"),
        (exported(q=entry("")), "can't be read"),
        (exported(q=entry("A" * 2000)), "can't be read"),
        (exported(q=entry(points=4)), "can't be read"),
        (exported(q=entry(points=float("nan"))), "can't be read"),
        (exported(q=entry(of=0)), "can't be read"),
        (exported(q=entry(checked="yesterday")), "can't be read"),
        (exported(q=entry(checked=5)), "can't be read"),
        (exported(Q=entry()), "can't be read"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_damaged_file_is_refused_completely(text, reason):
    with pytest.raises(ValueError, match=reason):
        record.parse(text, NOW)


def test_later_answer_is_kept_and_future_times_become_now():
    ours = record.parse(exported(a=entry("A", LATER), b=entry("A", EARLIER)), NOW)
    theirs = record.parse(exported(a=entry("B", EARLIER), b=entry("B", LATER), c=entry()), NOW)
    assert record.merge(ours, theirs) == 2
    assert [ours.answers["01_sample"][name].answer for name in "abc"] == ["A", "B", "AC"]
    assert record.merge(ours, theirs) == 0
    future = record.parse(exported(a=entry(checked="2999-01-01T00:00:00Z")), NOW)
    assert future.answers["01_sample"]["a"].time == NOW


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    record.save(tmp_path, record.parse(exported(a=entry()), NOW))
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError):
        record.save(tmp_path, Record())
    assert record.load(tmp_path).answers["01_sample"]


def test_website_answers_count_only_if_the_notebook_has_none(learner, notebook):
    work.answer(notebook, "how-many", "A")
    record.save(learner, record.parse(exported(how_many=entry("B"), which_letters=entry("ca"))))
    progress = summary.read(learner).lessons[0]
    first, second = progress.of("question")
    assert (first.state, first.place, first.earned) == ("right", "site", 3)
    assert (second.state, second.place) == ("wrong", "notebook")
    assert "how-many: the notebook's answer A counts, not the website's B." in progress.notes


def test_points_in_the_file_are_ignored(learner):
    record.save(learner, record.parse(exported(which_letters=entry("BD"))))
    assert summary.read(learner).lessons[0].earned == 0


def test_answers_without_any_notebook(learner, notebook):
    notebook.unlink()
    record.save(learner, record.parse(exported(which_letters=entry("AC"))))
    progress = summary.read(learner).lessons[0]
    assert (progress.earned, progress.points, progress.file) == (3, 4, "")


def test_damaged_record_becomes_a_note(learner):
    (learner / record.NAME).write_text("{")
    assert "move it away" in summary.read(learner).notes[0]
