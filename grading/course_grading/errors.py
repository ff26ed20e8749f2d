"""The exceptions of the grader whose messages are for users; each message says what to do.

They are not visible in the sandbox: the guest program's exceptions are in ``sandbox/guest``.
"""

from pathlib import Path


class GradingError(Exception):
    """Base class of the grader's errors."""


class AnswerKeyError(GradingError):
    """The instructor's notebook of a lesson is missing or damaged."""


class ReferenceSolutionError(GradingError):
    """A lesson's reference solution fails on one of its hidden cases."""


class SandboxError(GradingError):
    """The sandbox does not work; the submission is not the cause."""


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
    """No submission can be collected from the given folder or file."""


class RosterError(GradingError):
    """A roster can't be read, or is not an export of the platform."""


class ExportError(SystemExit, GradingError):
    """An export is incomplete. As a ``SystemExit`` it also ends nbgrader's own command."""


class AnalysisError(GradingError):
    """A lesson has no results to analyse yet."""


class DueDateError(GradingError):
    """The file of due dates is invalid; the message says what to write."""


class OverrideError(GradingError):
    """The file that voids items or gives their points is invalid."""
