"""Questions as written in a lesson's source; the build parses them into these classes."""

import re
from dataclasses import dataclass, field

from course_lib.quiz.scoring import LETTERS

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Option:
    """One option; ``text`` and ``explanation`` are inline Markdown."""

    text: str
    right: bool
    explanation: str


@dataclass(frozen=True)
class Question:
    """A question with options lettered A, B, C... in the given order; ``text`` is Markdown.

    Raises:
        ValueError: if the name is not a slug, the points are not positive, there are fewer than 2
            or more than 8 options, none is right, none is wrong, or a text or explanation is
            missing.
    """

    name: str
    points: float
    text: str
    options: list[Option] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.name):
            raise ValueError(
                f"The name {self.name!r} must consist of lower-case letters, digits and single "
                "hyphens, like why-not-fc."
            )
        if not self.points > 0:
            raise ValueError(f"Question {self.name}: points must be positive, not {self.points}.")
        if not self.text.strip():
            raise ValueError(f"Question {self.name} has no text: write it above the options.")
        if not 2 <= len(self.options) <= len(LETTERS):
            raise ValueError(
                f"Question {self.name} has {len(self.options)} options: "
                f"give it 2 to {len(LETTERS)}."
            )
        if not self.right:
            raise ValueError(
                f"Question {self.name} has no right option: mark at least one with [x]."
            )
        if not self.wrong:
            raise ValueError(
                f"Question {self.name} has no wrong option: selecting all would always be right."
            )
        for letter, option in zip(self.letters, self.options, strict=True):
            if not option.text.strip() or not option.explanation.strip():
                raise ValueError(
                    f"Question {self.name}, option {letter}: "
                    "write it as '- [ ] text | explanation'."
                )

    @property
    def letters(self) -> str:
        """The letters of all options, ``"ABCD"`` for four."""
        return LETTERS[: len(self.options)]

    @property
    def right(self) -> str:
        """The letters of the right options, sorted."""
        return "".join(
            letter
            for letter, option in zip(self.letters, self.options, strict=True)
            if option.right
        )

    @property
    def wrong(self) -> str:
        """The letters of the wrong options, sorted."""
        return "".join(letter for letter in self.letters if letter not in self.right)

    @property
    def multiple(self) -> bool:
        """Whether several options are right: check boxes instead of radio buttons."""
        return len(self.right) > 1
