"""Data sets and the code that composes them, one module each.

Nothing is imported here, so that ``import course_lib.data`` stays light.
"""
