"""What stops the build of the site; each message says what happened and names the fix."""


class SiteError(Exception):
    """The site can't be built."""


class LessonFailedError(SiteError):
    """A cell of a lesson raised an error, so its page would show something false."""

    def __init__(self, lesson: str, cell: str, error: str) -> None:
        super().__init__(f"{lesson}, cell {cell}: {error}")


class MissingFileError(SiteError):
    """A file that the site consists of is not there."""
