"""Every error that the grader raises for a person to read; each message names the fix.

The sandbox shows students' code none of this: what the guest program raises is in
``sandbox/guest``.
"""

from pathlib import Path


class GradingError(Exception):
    """Base class of the grader's errors."""


class AnswerKeyError(GradingError):
    """The instructor's notebook of a lesson is missing or damaged."""


class ReferenceSolutionError(GradingError):
    """A lesson's own reference solution fails on one of its hidden cases."""


class SandboxError(GradingError):
    """The sandbox itself does not work; this says nothing about the submission in it."""


class SandboxUnavailableError(SandboxError):
    """This machine can't isolate students' code."""


class GradebookError(GradingError):
    """nbgrader could not write a result or a feedback page."""


class SourceError(GradingError):
    """A mistake in a lesson's source; the message begins with ``file:line``."""

    def __init__(self, path: Path, line: int, message: str):
        super().__init__(f"{path}:{line}: {message}")


class BuildError(GradingError):
    """The lessons can't be built or released."""


class IntakeError(GradingError):
    """No submission can be collected from what was given."""


class RosterError(GradingError):
    """A roster can't be read or is not the platform's export."""


class ExportError(SystemExit, GradingError):
    """An export is incomplete. As a ``SystemExit`` it also ends nbgrader's own command."""


class AnalysisError(GradingError):
    """Nothing of a lesson can be analysed yet."""


class DueDateError(GradingError):
    """The file of due dates can't be used; the message says what to write."""


class OverrideError(GradingError):
    """The file that voids items or gives their points can't be used."""
