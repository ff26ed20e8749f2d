"""What the course changes in nbgrader's converters: preprocessors and a page exporter, named in
:mod:`.nbgrader_api`.
"""

import re
from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from nbconvert import HTMLExporter
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import (
    ClearSolutions,
    NbGraderPreprocessor,
    OverwriteCells,
    SaveAutoGrades,
)
from nbgrader.utils import is_grade, is_solution
from traitlets import Unicode

from course_grading.autograde import answer_keys
from course_grading.gradebook import record

_ANSWER = re.compile(r'\Aanswer = "[A-H]*"')


class ClearAnswers(ClearSolutions):
    """Clear solutions as nbgrader does, but of a question's answer cell only the literal.

    nbgrader would replace the whole cell by its stub, and with it the form that the learner fills
    in.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code" and _ANSWER.match(cell.source):
            cell.source = _ANSWER.sub('answer = ""', cell.source)
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class RestoreCells(OverwriteCells):
    """Restore the cells that students can't edit as nbgrader does, from the class's release; but
    not the questions of a student who got an own variant, which has other texts and answers.
    """

    workspace = Unicode("", help="nbgrader's course directory, which holds the variants").tag(
        config=True
    )

    def preprocess_cell(self, cell, resources, cell_index):
        header = resources["nbgrader"]
        is_question = cell.cell_type == "markdown" or cell.source.startswith("quiz.recorded(")
        if is_question and answer_keys.has_own(
            Path(self.workspace), header["assignment"], header["student"]
        ):
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class FeedbackPage(HTMLExporter):
    """nbgrader's page, with templates that are compiled once per machine and not for each
    student.
    """

    def _create_environment(self):
        environment = super()._create_environment()
        environment.bytecode_cache = FileSystemBytecodeCache()
        return environment


class WriteResults(NbGraderPreprocessor):
    """In place of running a notebook, write the stored result into its check cells: a message and
    the points.
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
                    new_output("stream", name="stdout", text=item.message + "\n"),
                    new_output("execute_result", data=score, execution_count=1),
                ]
        nb.metadata["course"] = {"lesson": lesson, record.DIGEST: result.digest}
        resources["manual"] = {item.name for item in result.items if item.manual}
        return nb, resources


class SaveResults(SaveAutoGrades):
    """Save the points as nbgrader does, all or none of them, and flag the answers that need manual
    grading.
    """

    def preprocess(self, nb, resources):
        header = resources["nbgrader"]
        self.notebook_id = header["notebook"]
        self.assignment_id = header["assignment"]
        self.student_id = header["student"]
        with Gradebook(header["db_url"]) as self.gradebook:
            session = self.gradebook.db
            # one commit in place of one or two per cell
            commit = session.commit
            session.commit = session.flush
            nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
            commit()
        return nb, resources

    def _add_score(self, cell, resources):
        super()._add_score(cell, resources)
        header = resources["nbgrader"]
        name = cell.metadata.nbgrader.grade_id
        if name in resources["manual"]:
            grade = self.gradebook.find_grade(
                name, header["notebook"], header["assignment"], header["student"]
            )
            grade.needs_manual_grade = True
            self.gradebook.db.commit()
