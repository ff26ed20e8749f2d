"""What the course changes in nbgrader's converters: one preprocessor, named in :mod:`.desk`."""

import re

from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor
from nbgrader.utils import is_grade

ANSWER = re.compile(r'\Aanswer = "[A-H]*"')


class ClearAnswers(ClearSolutions):
    """Clear solutions as nbgrader does, but of a question's answer cell only the literal.

    nbgrader would replace the whole cell by its stub, and with it the form that the learner fills in.
    """

    def preprocess_cell(self, cell, resources, cell_index):
        if cell.cell_type == "code" and ANSWER.match(cell.source):
            cell.source = ANSWER.sub('answer = ""', cell.source)
            return cell, resources
        return super().preprocess_cell(cell, resources, cell_index)


class ShortErrors(NbGraderPreprocessor):
    """Of an error in a check cell, keep what it says: its traceback quotes the hidden tests, reference and all."""

    def preprocess_cell(self, cell, resources, cell_index):
        for output in cell.get("outputs", []) if is_grade(cell) else []:
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]
        return cell, resources


class CalmErrors(NbGraderPreprocessor):
    """Make stderr of a check cell plain output: a print or a warning there would cost all its points."""

    def preprocess_cell(self, cell, resources, cell_index):
        for output in cell.get("outputs", []) if is_grade(cell) else []:
            if output.output_type == "stream":
                output.name = "stdout"
        return cell, resources
