"""Keep every release of a lesson, and grade each submission by the release that it was made from.

If the options of a question are reordered after the hand-out, a letter in a submission refers to
the option that the student saw. The question cell in the submission shows which one that was.
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat

from course_grading.autograde import answer_keys
from course_grading.autograde.answer_keys import AnswerKey, QuestionKey
from course_grading.collect import notebooks
from course_grading.errors import AnswerKeyError

_OPTION = re.compile(r"^- \*\*(?P<letter>[A-H])\*\* · (?P<text>.*)$", re.MULTILINE)
# Earlier releases had no number in the heading.
_HEADING = re.compile(r"\A\*\*Question(?: \d+)?\*\*[^\n]*\n")
_MAX_LENGTH = 50_000  # characters of a question cell; lessons have at most about a thousand


def keep(workspace: Path, lesson: str) -> None:
    """Copy a lesson's instructor notebook and release to ``editions/LESSON/DIGEST``; idempotent."""
    names = [f"{kind}/{lesson}/{lesson}.ipynb" for kind in ("source", "release")]
    if not all((workspace / name).is_file() for name in names):
        return
    digest = hashlib.sha256(b"".join((workspace / name).read_bytes() for name in names))
    folder = workspace / "editions" / lesson / digest.hexdigest()[:16]
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    for name in names:
        (unfinished / name).parent.mkdir(parents=True)
        shutil.copyfile(workspace / name, unfinished / name)
    os.replace(unfinished, folder)


@dataclass(frozen=True)
class Match:
    """The answer key for a submission, notes for the instructor, and the names of the questions to
    grade manually.
    """

    key: AnswerKey
    notes: tuple[str, ...] = ()
    manual: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Question:
    """The content of a question cell: its text, with whitespace normalised, and its options as
    ``(letter, text)``.
    """

    text: str
    options: tuple[tuple[str, str], ...]

    @property
    def option_texts(self) -> list[str]:
        return sorted(text for _, text in self.options)

    def has_same_options(self, other: "_Question") -> bool:
        """Whether both show the same text and the same distinct options, in any order."""
        are_distinct = len(set(self.option_texts)) == len(self.options)
        return are_distinct and (self.text, self.option_texts) == (other.text, other.option_texts)


class Editions:
    """The releases of one lesson: the current one and the earlier ones.

    Args:
        workspace: nbgrader's course directory.
        key: the current answer key.
    """

    def __init__(self, workspace: Path, key: AnswerKey):
        self.key = key
        self._current = _questions(key)
        self._former: list[tuple[AnswerKey, dict[str, _Question]]] = []
        for folder in sorted((workspace / "editions" / key.lesson).glob("[0-9a-f]*")):
            try:
                former = answer_keys.read(folder, key.lesson)
            except (AnswerKeyError, ValueError, KeyError, TypeError):
                continue  # damaged: no submission can be matched with it
            self._former.append((former, _questions(former)))

    def match(self, data: bytes) -> Match:
        """Find the answer key for one submission."""
        try:
            cells = notebooks.parse(data).cells
        except (ValueError, RecursionError):  # grading reports the problem
            return Match(self.key)
        shown = self._find_shown(cells)
        questions: dict[str, QuestionKey] = {}
        bodies: dict[str, str] = {}
        notes, manual = [], []
        for question in self.key.questions:
            sources = shown.get(question.name, [])
            if not sources:
                continue
            matched: QuestionKey | None
            if len({_parse(source) for source in sources}) > 1:
                matched, note = None, "occurs more than once, with different texts"
            else:
                matched, note = self._match_question(question, _parse(sources[0]))
            if matched is None:
                manual.append(question.name)
            elif matched != question:
                questions[question.name] = matched
                bodies[question.name] = _HEADING.sub("", sources[0])
            if note:
                notes.append(f"its question {question.name} {note}")
        if not questions and not manual:
            return Match(self.key, tuple(notes))
        key = replace(
            self.key,
            release=_with_questions(self.key.release, bodies, manual),
            questions=tuple(questions.get(q.name, q) for q in self.key.questions),
        )
        return Match(key, tuple(notes), tuple(manual))

    def _match_question(
        self, question: QuestionKey, shown: _Question
    ) -> tuple[QuestionKey | None, str]:
        """The key of a question as a submission shows it, None for manual grading; and a note."""
        current = self._current.get(question.name)
        if current is None or shown == current:
            return question, ""
        if shown.has_same_options(current):
            return (
                _with_letters(question, dict(current.options), shown),
                "has its options in another order than the current release: it was graded by the "
                "order that the student saw",
            )
        for former, questions in self._former:
            if questions.get(question.name) == shown:
                (key,) = (key for key in former.questions if key.name == question.name)
                return (
                    replace(key, points=question.points),
                    "is from an earlier release, with a different text: it was graded with that "
                    "release's key",
                )
        if shown.options and shown.options == current.options:
            return (
                question,
                "has a text that differs from the release's: check that it means the same",
            )
        what = "options" if shown.options else "a text"
        return (
            None,
            f"has {what} that no kept release has: grade it manually (the student's own notebook "
            "shows it)",
        )

    def _find_shown(self, cells: list) -> dict[str, list[str]]:
        """The sources of the question cells in a submission, by question: found by cell id, or
        else by text and options.
        """
        shown: dict[str, list[str]] = {}
        for cell in cells:
            for id in _ids(cell):
                name = id.removesuffix("-question")
                if name != id and name in self._current:
                    shown.setdefault(name, []).append(cell.source)
                    break
        known = {
            (question.text, tuple(question.option_texts)): name
            for questions in [self._current, *(questions for _, questions in self._former)]
            for name, question in questions.items()
            if name in self._current
        }
        for cell in cells:
            if cell.cell_type == "markdown" and len(cell.source) <= _MAX_LENGTH:
                question = _parse(cell.source)
                found = known.get((question.text, tuple(question.option_texts)))
                if found is not None and found not in shown:
                    shown[found] = [cell.source]
        return shown


def _with_letters(question: QuestionKey, current: dict[str, str], shown: _Question) -> QuestionKey:
    """The key of a question whose options, or steps, have different letters in a submission."""
    letters = {text: letter for letter, text in shown.options}
    right, wrong = (
        [letters[current[letter]] for letter in old] for old in (question.right, question.wrong)
    )
    if not question.choose:  # an ordering answer is a sequence, letters of options are a set
        right, wrong = sorted(right), sorted(wrong)
    return replace(question, right="".join(right), wrong="".join(wrong))


def _ids(cell) -> list[str]:
    metadata = cell.metadata.get("nbgrader")
    grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
    # Colab moves the id into the metadata
    ids = [grade_id, cell["id"], cell.metadata.get("id")]
    return [id for id in ids if isinstance(id, str)]


def _questions(key: AnswerKey) -> dict[str, _Question]:
    """The questions of a release by name."""
    names = {question.name for question in key.questions}
    questions = {}
    for cell in nbformat.reads(key.release, as_version=4).cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removesuffix("-question")
        if name in names and cell.cell_type == "markdown":
            questions[name] = _parse(cell.source)
    return questions


def _parse(source: str) -> _Question:
    source = source[:_MAX_LENGTH]
    options = tuple((match["letter"], match["text"].strip()) for match in _OPTION.finditer(source))
    text = _OPTION.sub("", _HEADING.sub("", source))
    return _Question(" ".join(text.split()), options)


def _with_questions(release: str, bodies: dict[str, str], manual: list[str]) -> str:
    """The release with the questions that a student was asked. Those to grade manually are named in
    its metadata, so that the answer key has a different digest.
    """
    notebook: Any = nbformat.reads(release, as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removesuffix("-question")
        if name in bodies and cell.cell_type == "markdown":
            heading = _HEADING.match(cell.source)
            cell.source = (heading[0] if heading else "") + bodies[name]
    if manual:
        notebook.metadata["course"] = {**notebook.metadata.get("course", {}), "manual": manual}
    return nbformat.writes(notebook)
