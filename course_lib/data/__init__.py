"""Data sets as documented tensors, one module per data set, imported by name.

Nothing is imported here, so that ``import course_lib.data`` stays light.
"""
