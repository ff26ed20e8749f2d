"""What the course changes in nbgrader's converters: preprocessors and a page that are named in
:mod:`.desk`.
"""

import re
from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from nbconvert import HTMLExporter
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import is_grade, is_solution
from traitlets import Unicode

from course_grading.gradebook import record

ANSWER = re.compile(r'\Aanswer = "[A-H]*"')


class ClearAnswers(ClearSolutions):
    """Clear solutions as nbgrader does, but of a question's answer cell only the literal.

    nbgrader would replace the whole cell by its stub, and with it the form that the learner fills
    in.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code" and ANSWER.match(cell.source):
            cell.source = ANSWER.sub('answer = ""', cell.source)
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class FeedbackPage(HTMLExporter):
    """nbgrader's page, with templates that are compiled once on a machine, and not for each
    student.
    """

    def _create_environment(self):
        environment = super()._create_environment()
        environment.bytecode_cache = FileSystemBytecodeCache()
        return environment


class WriteResults(NbGraderPreprocessor):
    """In place of running a notebook, write into each check cell what was marked: its message and
    its points.
    """

    workspace = Unicode(
        "", help="nbgrader's course directory, which holds the results of marking"
    ).tag(config=True)

    def preprocess(self, nb, resources):
        student, lesson = resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        marked = record.kept(Path(self.workspace), student, lesson)
        work = {
            cell.metadata.nbgrader.grade_id: cell.source for cell in nb.cells if is_solution(cell)
        }
        if marked is None or work != dict(marked.sources):
            raise ValueError(
                f"{lesson} of {student} has not been marked as it is now: run course grade"
            )
        marks = {mark.name: mark for mark in marked.marks}
        for cell in nb.cells:
            if is_grade(cell):
                mark = marks[cell.metadata.nbgrader.grade_id]
                score = {"text/plain": repr(float(mark.score))}
                cell.outputs = [
                    new_output("stream", name="stdout", text=mark.message + "\n"),
                    new_output("execute_result", data=score, execution_count=1),
                ]
        nb.metadata["course"] = {"lesson": lesson, "marked": marked.digest}
        resources["by hand"] = {mark.name for mark in marked.marks if mark.manual}
        return nb, resources


class SaveResults(SaveAutoGrades):
    """Save the points as nbgrader does, all or none of them, and say which answers a person has to
    look at.
    """

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        self.notebook_id, self.assignment_id, self.student_id = (
            about["notebook"],
            about["assignment"],
            about["student"],
        )
        with Gradebook(about["db_url"]) as self.gradebook:
            session = self.gradebook.db
            # one commit in place of one or two a cell
            commit, session.commit = (
                session.commit,
                session.flush,
            )
            nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
            commit()
        return nb, resources

    def _add_score(self, cell, resources):
        super()._add_score(cell, resources)
        about = resources["nbgrader"]
        name = cell.metadata.nbgrader.grade_id
        if name in resources["by hand"]:
            grade = self.gradebook.find_grade(
                name, about["notebook"], about["assignment"], about["student"]
            )
            grade.needs_manual_grade = True
            self.gradebook.db.commit()
