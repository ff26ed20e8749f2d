"""What a learner has done, read from the learner's own notebooks.

============  ================================================================================
``files``     finds the notebooks of a folder, and merges several copies of a lesson
``items``     a lesson's questions and exercises with their points and state
``answers``   the points of one answer
``record``    ``progress.json`` next to the notebooks: answers from the website, checked exercises
``summary``   all lessons together, what to look at again, and where the learner stopped
``table``     the same as HTML and as text, for a notebook's cell
============  ================================================================================

Nothing here imports torch or the grader, so that reading takes a fraction of a second.
"""
