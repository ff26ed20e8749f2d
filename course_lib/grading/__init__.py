"""From a lesson's one source to a gradebook: read, build, audit, take in, grade, report.

``source`` reads what authors write, ``build`` turns it into nbgrader's notebooks, ``audit`` proves
of a release what must hold; ``intake`` rebuilds what students hand in, ``run`` puts it through
nbgrader, and ``report`` writes the tables and pages that instructors want. From the gradebook, ``exports`` makes
what learning platforms import, ``analysis`` a page on the questions, ``likeness`` one on codes that are
nearly the same.
"""
