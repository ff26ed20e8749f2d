"""Questions inside a notebook: what a lesson's own cells call, and nothing more.

A learner's answer is a literal in the source of its cell, so it survives saving, a restart, a
download from Colab and the re-execution by nbgrader. Everything here starts from that literal.

==================  ======================================================================
``quiz.begin``      the set-up cell says which lesson this is
``quiz.answer``     an answer cell shows its boxes and, in self-study, what each option means
``quiz.recorded``   a question's check cell confirms what was recorded
``quiz.score``      the instructor's hidden test turns the recorded answer into points
``quiz.passed``     an exercise's check cell confirms that its visible checks hold
==================  ======================================================================
"""

from course_lib.quiz.cells import answer, begin, passed, recorded, score

__all__ = ["answer", "begin", "passed", "recorded", "score"]
