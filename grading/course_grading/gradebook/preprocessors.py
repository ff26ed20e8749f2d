"""Preprocessors and an exporter for nbgrader's converters, configured in :mod:`.nbgrader_api`."""

import re
from pathlib import Path

from nbconvert import HTMLExporter
from nbconvert.exporters import Exporter
from nbformat.notebooknode import from_dict
from nbgrader.preprocessors import (
    ClearSolutions,
    GetGrades,
    NbGraderPreprocessor,
    OverwriteCells,
    SaveAutoGrades,
)
from nbgrader.utils import is_grade, is_solution
from traitlets import Unicode

from course_grading.autograde import answer_keys
from course_grading.collect.cell_sources import read_sources
from course_grading.gradebook import feedback_page, record, recorded, state
from course_grading.gradebook.conversion import WithoutCopies
from course_grading.gradebook.shared import SharedGradebook

_ANSWER = re.compile(r'\Aanswer = "[^"\\\n]*"')


_RECORDED = re.compile(r"^quiz\.recorded\(", re.MULTILINE)


class ClearAnswers(ClearSolutions):
    """Clear solutions as nbgrader does, but in answer cells of questions only the literal.

    nbgrader would replace the whole cell by its stub, including the form that the learner fills in.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code" and _ANSWER.match(cell.source):
            cell.source = _ANSWER.sub('answer = ""', cell.source)
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class RestoreCells(OverwriteCells):
    """Restore locked cells from the class's release, as nbgrader does, but not the questions of a
    student's own variant, whose texts and answers differ.
    """

    workspace = Unicode("", help="nbgrader's course directory, which holds the variants").tag(
        config=True
    )

    def preprocess_cell(self, cell, resources, cell_index):
        header = resources["nbgrader"]
        is_question = cell.cell_type == "markdown" or _RECORDED.search(cell.source) is not None
        if is_question and answer_keys.has_own(
            Path(self.workspace), header["assignment"], header["student"]
        ):
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class ReadGrades(GetGrades):
    """Read a submission's grades and comments as nbgrader does, but with one query each. In
    nbgrader's own commands, which open its own gradebook, it makes no difference.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        if isinstance(self.gradebook, SharedGradebook) and self.gradebook.loaded is None:
            notebook = self.gradebook.find_submission_notebook(
                self.notebook_id, self.assignment_id, self.student_id
            )
            self.gradebook.load_submission(
                notebook, self.assignment_id, self.student_id, max_scores=True
            )
        return super().preprocess_cell(cell, resources, cell_index)


class FeedbackPage(WithoutCopies, HTMLExporter):
    """The course's feedback page, instead of nbgrader's, which shows the whole lesson."""

    def from_notebook_node(self, nb, resources=None, **keywords):
        # only the preprocessors, one of which removes the hidden tests; no HTML template
        nb, resources = Exporter.from_notebook_node(self, nb, resources, **keywords)
        header = resources["nbgrader"]
        id = header["student"], header["assignment"]
        workspace = Path(self.config.CourseDirectory.root)
        with SharedGradebook(header["db_url"]) as book:
            entry = state.read(book, workspace, *id)[id]
        return feedback_page.render_page(nb, entry), resources


class WriteResults(NbGraderPreprocessor):
    """Instead of running a notebook, write the stored result into the outputs of its check cells: a
    message and the score.
    """

    workspace = Unicode("", help="nbgrader's course directory, which holds the stored results").tag(
        config=True
    )

    def preprocess(self, nb, resources):
        student, lesson = resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        result = record.load_result(Path(self.workspace), student, lesson)
        sources = {
            cell.metadata.nbgrader.grade_id: cell.source for cell in nb.cells if is_solution(cell)
        }
        if result is None or sources != dict(result.sources):
            raise ValueError(
                f"this version of {lesson} of {student} has not been graded: run course grade"
            )
        items = {item.name: item for item in result.items}
        for cell in nb.cells:
            if is_grade(cell):
                item = items[cell.metadata.nbgrader.grade_id]
                score = {"text/plain": repr(float(item.score))}
                cell.outputs = [
                    _output("stream", name="stdout", text=item.message + "\n"),
                    _output("execute_result", data=score, execution_count=1, metadata={}),
                ]
        self._restore_questions(nb, student, lesson)
        nb.metadata["course"] = {"lesson": lesson, record.DIGEST: result.digest}
        resources["result"] = result
        return nb, resources

    def _restore_questions(self, nb, student: str, lesson: str) -> None:
        """Restore the questions of this student's notebook, which nbgrader has overwritten."""
        path = Path(self.workspace) / "submitted" / student / lesson / f"{lesson}.ipynb"
        asked = {
            name: source
            for name, source in read_sources(path).items()
            if name.endswith("-question")
        }
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                name = cell.metadata.get("nbgrader", {}).get("grade_id")
                cell.source = asked.get(name, cell.source)


def _output(kind: str, **fields):
    """An output of a code cell. nbformat's own function also validates it, which nbconvert does
    later for the whole notebook.
    """
    return from_dict({"output_type": kind, **fields})


class SaveResults(SaveAutoGrades):
    """Save the scores as nbgrader does, but in one transaction, with the digest of the result; flag
    the answers that need manual grading.

    nbgrader flags every manual score again. Here it is flagged only if the answer or its automatic
    score has changed.
    """

    def preprocess(self, nb, resources):
        header = resources["nbgrader"]
        result = resources["result"]
        self.notebook_id = header["notebook"]
        self.assignment_id = header["assignment"]
        self.student_id = header["student"]
        self.manual = {item.name for item in result.items if item.manual}
        self.items = record.item_digests(result)
        with SharedGradebook(header["db_url"]) as self.gradebook:
            session = self.gradebook.db
            # nbgrader commits once or twice per cell
            commit = session.commit
            session.commit = lambda: None
            try:
                nb, resources = self._save(nb, resources)
            finally:
                session.commit = commit
            commit()
        return nb, resources

    def _save(self, nb, resources):
        session = self.gradebook.db
        result = resources["result"]
        notebook = self.gradebook.find_submission_notebook(
            self.notebook_id, self.assignment_id, self.student_id
        )
        self.gradebook.load_submission(notebook, self.assignment_id, self.student_id)
        self.previous = recorded.read_items(session, notebook.id)
        nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
        recorded.write(session, notebook.id, result.digest, self.items)
        return nb, resources

    def _add_score(self, cell, resources):
        name = cell.metadata.nbgrader.grade_id
        grade = self.gradebook.find_grade(
            name, self.notebook_id, self.assignment_id, self.student_id
        )
        decided = grade.manual_score is not None or grade.extra_credit is not None
        waits = grade.needs_manual_grade
        super()._add_score(cell, resources)
        if name in self.manual:
            grade.needs_manual_grade = True
        if decided and self.previous.get(name) == self.items[name]:
            grade.needs_manual_grade = waits
        self.gradebook.db.commit()
