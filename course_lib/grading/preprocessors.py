"""What the course changes in nbgrader's converters: one preprocessor, named in :mod:`.desk`."""

import re

from nbgrader.preprocessors import ClearSolutions

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
