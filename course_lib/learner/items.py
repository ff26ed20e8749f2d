"""A lesson's questions and exercises, and the learner's state in each."""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from course_lib.learner import answers, files
from course_lib.learner.files import Cell, Notebook
from course_lib.learner.record import CheckedExercise, SiteAnswer
from course_lib.quiz import question_bank, scoring
from course_lib.quiz.question_bank import PackedQuestion

State = Literal["open", "written", "passing", "wrong", "partly", "right"]
_HEADING = re.compile(r"^(#{1,4}) +(.+)$", re.M)
_FENCE = re.compile(r"^(`{3,}).*?^\1", re.M | re.DOTALL)
_MAX_TITLE = 90  # characters


@dataclass(frozen=True)
class Item:
    """A question or an exercise of a lesson.

    ``earned`` are points that are certain, ``pending`` points of an exercise that is written but
    whose hidden checks have not been run. ``state`` is ``open`` (nothing is written), ``written``
    (not checked yet), ``passing`` (the visible checks passed), ``wrong``, ``partly`` or ``right``.
    ``message`` says what is wrong, ``place`` where the answer comes from: ``notebook``, ``site`` or
    empty. ``cell`` is the id of the cell to work in.
    """

    kind: Literal["question", "exercise"]
    name: str
    title: str
    section: str
    points: float
    earned: float = 0.0
    pending: float = 0.0
    state: State = "open"
    message: str = ""
    answer: str = ""
    place: str = ""
    cell: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the item is right."""
        return self.state == "right"


@dataclass(frozen=True)
class LessonProgress:
    """The progress in a lesson: its name, its title, and its items in the notebook's order.

    ``file`` is the notebook to work in, ``modified`` the time of the last change; empty and 0 if
    there is none. ``started`` says whether anything was answered, written or run.
    """

    name: str
    title: str
    items: list[Item] = field(default_factory=list)
    file: str = ""
    modified: float = 0.0
    started: bool = False
    notes: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Item]:
        """The items of a kind, ``question`` or ``exercise``."""
        return [item for item in self.items if item.kind == kind]

    @property
    def points(self) -> float:
        """The maximum points of the lesson."""
        return sum(item.points for item in self.items)

    @property
    def earned(self) -> float:
        """The points that are certain, without pending points."""
        return sum(item.earned for item in self.items)

    @property
    def pending(self) -> float:
        """The points of exercises whose hidden checks have not been run."""
        return sum(item.pending for item in self.items)

    @property
    def is_done(self) -> bool:
        """Whether every question and exercise is right."""
        return bool(self.items) and all(item.is_done for item in self.items)

    @property
    def next_item(self) -> Item | None:
        """The first item that is open or not checked; else the first that is not right."""
        unfinished = [item for item in self.items if item.state in ("open", "written")]
        return next(iter([*unfinished, *(i for i in self.items if not i.is_done)]), None)


def read_lesson(
    lesson: str,
    notebooks: list[Notebook],
    site: dict[str, SiteAnswer] | None = None,
    checked: dict[str, CheckedExercise] | None = None,
    source_digest: str = "",
) -> LessonProgress:
    """The learner's progress in a lesson.

    Args:
        lesson: its name.
        notebooks: the learner's notebooks of the lesson, in order of priority.
        site: answers from the website; they count where the notebook has none.
        checked: the results of the hidden checks.
        source_digest: of the lesson's source, if known; results for another source do not count.
    """
    bank = question_bank.load(lesson, question_bank.FOLDER)
    if not notebooks:
        return LessonProgress(
            lesson,
            lesson,
            [_question(q, name, site or {}) for name, q in bank.items()],
        )
    notebook = files.combine(notebooks)
    progress = LessonProgress(
        lesson,
        next((title for cell in notebook.cells[:1] for title in _headings(cell.source)), lesson),
        file=notebook.path.name,
        modified=max(one.modified for one in notebooks if one.has_work or one is notebooks[0]),
        started=any(one.has_work for one in notebooks),
    )
    section, asked = "", {}
    for cell in notebook.cells:
        if not cell.is_code:
            section = (_headings(cell.source) or [section])[-1] if not cell.asks else section
            asked.update({cell.asks: cell} if cell.asks else {})
        elif (name := cell.answers) in bank and name not in [i.name for i in progress.items]:
            title = _question_title(asked.get(name), name)
            item = _question(bank[name], name, site or {}, cell, title, section)
            progress.items.append(item)
        elif cell.solves and cell.solves not in [i.name for i in progress.items]:
            result = (checked or {}).get(cell.solves)
            if result and source_digest and result.lesson != source_digest:
                result = None
            progress.items.append(_exercise(cell, notebook, section, result))
    for name in [name for name in bank if name not in {item.name for item in progress.items}]:
        progress.items.append(_question(bank[name], name, site or {}))
        progress.notes.append(f"{notebook.path.name} has no cell for the question {name}.")
    progress.notes.extend(_differences(progress, bank, site or {}))
    return progress


def _question(
    question: PackedQuestion,
    name: str,
    site: dict[str, SiteAnswer],
    cell: Cell | None = None,
    title: str = "",
    section: str = "",
) -> Item:
    problem, answer = "", ""
    if cell is not None:
        try:
            answer = scoring.extract_answer(cell.source).strip()
        except ValueError as error:
            problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
    place = "notebook" if answer or problem else "site" if name in site else ""
    answer = site[name].answer if place == "site" else answer
    item = Item(
        "question",
        name,
        title or name,
        section,
        question.points,
        answer=answer,
        place=place,
        cell=cell.id if cell else "",
        message=problem,
        state="wrong" if problem else "open",
    )
    if not answer:
        return item
    mark = answers.mark(question, answer)
    state = _state(mark.earned, question.points)
    return replace(item, earned=mark.earned, state=state, message=mark.problem)


def _exercise(
    cell: Cell, notebook: Notebook, section: str, checked: CheckedExercise | None
) -> Item:
    name = cell.solves
    checks = [other for other in notebook.cells if other.checks == name]
    check = checks[-1] if checks else None
    stated = [one.points for one in (check, cell) if one and one.points is not None]
    points = stated[0] if stated else 0.0
    title = name.replace("-", " ")
    item = Item("exercise", name, title, section, points, cell=cell.id)
    if not cell.has_work:
        return item
    item = replace(item, place="notebook", pending=points, state="written")
    if checked and checked.digest == files.digest(notebook, name):
        state = _state(checked.points, checked.of)
        message = "" if state == "right" else checked.message
        return replace(item, earned=checked.points, pending=0.0, state=state, message=message)
    if check is None or (ran := check.execution_count) is None or (cell.execution_count or 0) > ran:
        return replace(item, message="Its check cell has not been run since the code was written.")
    if check.error or f"✓ {name}:" not in check.output:
        message = f"Its check cell failed: {_shorten(check.error)}"
        return replace(item, state="wrong", pending=0.0, message=message)
    return replace(item, state="passing", message="Its hidden checks have not been run.")


def _state(earned: float, points: float) -> State:
    if earned <= 0:
        return "wrong"
    return "right" if earned >= points - 1e-9 else "partly"


def _differences(
    progress: LessonProgress, bank: dict[str, PackedQuestion], site: dict[str, SiteAnswer]
) -> list[str]:
    """Notes on questions with different answers in the notebook and on the website."""
    notes = []
    for item in progress.of("question"):
        if item.place != "notebook" or not item.answer or item.name not in site:
            continue
        theirs = site[item.name].answer
        ours, other = (answers.mark(bank[item.name], one) for one in (item.answer, theirs))
        if ours.recorded != other.recorded:
            notes.append(
                f"{item.name}: the notebook's answer {item.answer} counts, not the website's "
                f"{theirs}."
            )
    return notes


def _headings(source: str) -> list[str]:
    return [_plain(match[2]) for match in _HEADING.finditer(_FENCE.sub("", source))]


def _question_title(cell: Cell | None, name: str) -> str:
    """The first paragraph of a question's text below its heading, shortened, without markup."""
    paragraphs = [part for part in cell.source.split("\n\n") if part.strip()] if cell else []
    return _shorten(_plain(paragraphs[1])) if len(paragraphs) > 1 else name


def _plain(markdown: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`]|\(multiple answers\)", "", text).split())


def _shorten(text: str) -> str:
    text = " ".join(text.split()) or "no result."
    return text if len(text) <= _MAX_TITLE else text[: _MAX_TITLE - 1].rsplit(" ", 1)[0] + " …"
