"""From a lesson's one source to a gradebook: read, build, audit, take in, grade, report.

``source`` reads what authors write, ``build`` turns it into nbgrader's notebooks, ``audit`` proves
of a release what must hold; ``intake`` finds what students hand in (``archives`` opens zips,
``notebooks`` reads files, ``rebuild`` puts their work into the release), ``run`` puts it through
nbgrader, and ``report`` writes the tables and pages that instructors want.
"""
