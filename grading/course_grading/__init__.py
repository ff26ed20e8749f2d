"""From a lesson's one source to a gradebook: read, build, audit, take in, grade, report.

``source`` reads what authors write, ``build`` turns it into nbgrader's notebooks, ``audit`` proves
of a release what must hold; ``intake`` finds what students hand in (``archives`` opens zips,
``notebooks`` reads files, ``rebuild`` puts their work into the release). ``marking`` marks one
submission, with ``keys`` that stay on the instructor's side and students' code shut in by
``sandbox``; ``pool`` maps it over processes or a cluster; ``recording`` puts the results into
nbgrader's gradebook, ``prove`` audits that, ``run`` is all of it. From the gradebook, ``report``
writes tables and feedback, ``exports`` what learning platforms import, ``analysis`` a page on the
questions, ``likeness`` one on codes that are nearly the same.
"""
