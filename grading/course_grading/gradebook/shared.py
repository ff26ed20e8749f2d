"""Keep nbgrader's gradebook open while a batch is recorded.

nbgrader opens its gradebook nine times for each submission. Each time it connects to the database
and checks all its tables; then it queries every cell's source, grade and comment one by one, and
commits after each of them. Within :func:`share` one connection is kept, the cells of the release
are read once, and a submission's grades and comments with one query each. Within
:func:`transaction` nothing is committed before the end. What nbgrader writes is the same.

:func:`.nbgrader_api.open_api` makes nbgrader use :class:`SharedGradebook`. Outside of
:func:`share` it is nbgrader's own gradebook.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbgrader.api import (
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    SourceCell,
    SubmittedNotebook,
    TaskCell,
)
from sqlalchemy.orm import scoped_session, undefer

if TYPE_CHECKING:
    from nbgrader.apps.api import NbGraderAPI


class _Session(scoped_session):
    """A session whose ``commit`` can be deferred: it then writes its changes within the transaction
    and reads every object again when it is used next, as after a commit.
    """

    is_deferred = False

    def commit(self) -> None:
        if self.is_deferred:
            self.flush()
            self.expire_all()
        else:
            super().commit()


class _Share:
    """An open database. ``courses`` are the ids that it holds for certain; ``cells`` are the
    release's cells by class, lesson and notebook, then by name.
    """

    def __init__(self, book: Gradebook):
        self.engine = book.engine
        self.db = _Session(book.db.session_factory)
        self.courses = {book.course_id}
        self.cells: dict[tuple[type, str, str], dict[str, BaseCell]] = {}


_shares: dict[str, _Share] = {}  # by the database's URL


class SharedGradebook(Gradebook):
    """nbgrader's gradebook, which uses the shared connection within :func:`share`."""

    def __init__(self, db_url: str, course_id: str = "default_course", authenticator=None):
        self.share = _shares.get(db_url)
        self.loaded: tuple[str, str, str] | None = None
        if self.share is None:
            super().__init__(db_url, course_id, authenticator)
            return
        self.engine, self.db = self.share.engine, self.share.db
        self.course_id, self.authenticator = course_id, authenticator
        if course_id not in self.share.courses:
            self.check_course(course_id=course_id)
            self.share.courses.add(course_id)

    def close(self) -> None:
        """Close the connection, or within :func:`share` only end the use of its objects."""
        if self.share is None:
            super().close()
        elif self.db.is_deferred:
            self.db.expunge_all()
        else:
            self.db.remove()

    def find_source_cell(self, name: str, notebook: str, assignment: str) -> SourceCell:
        return self._find_cell([SourceCell], name, notebook, assignment) or (
            super().find_source_cell(name, notebook, assignment)
        )

    def find_graded_cell(self, name: str, notebook: str, assignment: str) -> BaseCell:
        return self._find_cell([GradeCell, TaskCell], name, notebook, assignment) or (
            super().find_graded_cell(name, notebook, assignment)
        )

    def _find_cell(
        self, kinds: list[type], name: str, notebook: str, assignment: str
    ) -> BaseCell | None:
        """A cell of the release; None outside of a transaction, and if there is none."""
        if self.share is None or not self.db.is_deferred:
            return None
        for kind in kinds:
            key = (kind, notebook, assignment)
            if key not in self.share.cells:
                self.share.cells[key] = self._read_cells(kind, notebook, assignment)
            if name in self.share.cells[key]:
                return self.share.cells[key][name]
        return None

    def _read_cells(self, kind: Any, notebook: str, assignment: str) -> dict[str, BaseCell]:
        id = self.find_notebook(notebook, assignment).id
        cells = self.db.query(kind).filter(kind.notebook_id == id).all()
        for cell in cells:
            self.db.expunge(cell)  # it outlives this gradebook
        return {cell.name: cell for cell in cells}

    def load_submission(
        self,
        notebook: SubmittedNotebook,
        assignment: str,
        student: str,
        max_scores: bool = False,
    ) -> None:
        """Read a submission's grades and comments with one query each, so that
        :meth:`find_grade` and :meth:`find_comment` need none. Maximum scores, which come from
        other tables, are read only if asked for.
        """
        options = [undefer(Grade.max_score)] if max_scores else []
        self.grades = self._read_by_name(Grade, notebook, *options)
        self.comments = self._read_by_name(Comment, notebook)
        self.loaded = notebook.name, assignment, student

    def _read_by_name(self, kind: Any, notebook: SubmittedNotebook, *options) -> dict:
        query = (
            self.db.query(BaseCell.name, kind)
            .join(kind, kind.cell_id == BaseCell.id)
            .filter(kind.notebook_id == notebook.id)
            .options(*options)
        )
        return dict(query.all())

    def find_grade(self, grade_cell: str, notebook: str, assignment: str, student: str) -> Grade:
        if self.loaded == (notebook, assignment, student) and grade_cell in self.grades:
            return self.grades[grade_cell]
        return super().find_grade(grade_cell, notebook, assignment, student)

    def find_comment(
        self, solution_cell: str, notebook: str, assignment: str, student: str
    ) -> Comment:
        if self.loaded == (notebook, assignment, student) and solution_cell in self.comments:
            return self.comments[solution_cell]
        return super().find_comment(solution_cell, notebook, assignment, student)


@contextlib.contextmanager
def share(api: "NbGraderAPI") -> Iterator[None]:
    """Keep the gradebook of ``api`` open. Its release must not change meanwhile. Within another
    :func:`share` this has no effect.
    """
    url = api.coursedir.db_url
    if url in _shares:
        yield
        return
    with api.gradebook as book:
        _shares[url] = _Share(book)
        try:
            yield
        finally:
            _shares.pop(url).db.remove()


def is_shared(api: "NbGraderAPI") -> bool:
    """Whether the gradebook of ``api`` is kept open."""
    return api.coursedir.db_url in _shares


@contextlib.contextmanager
def suspended(api: "NbGraderAPI") -> Iterator[None]:
    """Let nbgrader open and close its gradebook itself."""
    url = api.coursedir.db_url
    shared = _shares.pop(url, None)
    try:
        yield
    finally:
        if shared is not None:
            _shares[url] = shared


@contextlib.contextmanager
def transaction(api: "NbGraderAPI") -> Iterator[None]:
    """Commit what nbgrader writes to the shared gradebook at the end, or nothing after an
    exception. Meanwhile nbgrader logs nothing.
    """
    shared = _shares[api.coursedir.db_url]
    shared.db.is_deferred = True
    was_disabled, api.log.disabled = api.log.disabled, True
    try:
        yield
        shared.db.is_deferred = False
        shared.db.commit()
    except BaseException:
        shared.courses = set()  # they may have been written in this transaction
        raise
    finally:
        api.log.disabled = was_disabled
        shared.db.is_deferred = False
        shared.db.remove()  # after an exception this is a rollback
