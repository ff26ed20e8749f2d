"""The errors of the site's build; each message says what happened and what to do."""


class SiteError(Exception):
    """The site can't be built."""


class LessonFailedError(SiteError):
    """A cell of a lesson raised an error."""

    def __init__(self, lesson: str, cell: str, error: str) -> None:
        super().__init__(f"{lesson}, cell {cell}: {error}")


class MissingFileError(SiteError):
    """A source file of the site is missing."""
