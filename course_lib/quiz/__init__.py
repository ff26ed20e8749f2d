"""Quiz questions in notebooks: the functions that a lesson's cells call.

A learner's answer is a string literal in the source of its cell, so it survives saving, kernel
restarts, downloads from Colab, and re-execution by nbgrader. README.md describes the data flow.

==================  ===========================================================================
``quiz.begin``      in the set-up cell: sets the notebook's lesson
``quiz.pass_over``  in the set-up cell: *Run All* continues past exercises that are not written yet
``quiz.answer``     in an answer cell: shows the answer boxes and, in self-study, the feedback
``quiz.recorded``   in a question's check cell: prints the recorded answer in grading mode
``quiz.score``      in the instructor's hidden test: returns the points
``quiz.passed``     in an exercise's check cell: confirms that all its checks passed
==================  ===========================================================================
"""

from course_lib.quiz.cells import answer, begin, passed, recorded, score
from course_lib.quiz.unwritten import pass_over

__all__ = ["answer", "begin", "pass_over", "passed", "recorded", "score"]
