"""The program inside the sandbox; the rest of the grader is not visible there."""
