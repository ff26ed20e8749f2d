"""Data sets that return documented tensors: one module a data set, imported by name.

Nothing is imported here, so that ``import course_lib.data`` stays light.
"""
