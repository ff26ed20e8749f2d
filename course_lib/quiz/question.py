"""A question as its author wrote it: the build makes these from a lesson's source."""

import re
from dataclasses import dataclass, field

from course_lib.quiz.scoring import LETTERS

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Option:
    """One option: its text and explanation (inline Markdown), and whether ticking it is right."""

    text: str
    right: bool
    explanation: str


@dataclass(frozen=True)
class Question:
    """A question whose options are lettered A, B, C... in the order given; ``text`` is Markdown.

    Raises:
        ValueError: if the name is no slug, points are not positive, there are fewer than 2 or more
            than 8 options, none is right, none is wrong, or a text or explanation is missing.
    """

    name: str
    points: float
    text: str
    options: list[Option] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.name):
            raise ValueError(
                f"The name {self.name!r} must be small letters, digits and single hyphens: why-not-fc."
            )
        if not self.points > 0:
            raise ValueError(f"Question {self.name}: points must be positive, not {self.points}.")
        if not self.text.strip():
            raise ValueError(
                f"Question {self.name} asks nothing: write its text above the options."
            )
        if not 2 <= len(self.options) <= len(LETTERS):
            raise ValueError(
                f"Question {self.name} has {len(self.options)} options: give it 2 to {len(LETTERS)}."
            )
        if not self.right:
            raise ValueError(
                f"Question {self.name} has no right option: mark at least one with [x]."
            )
        if not self.wrong:
            raise ValueError(
                f"Question {self.name} has no wrong option: ticking everything would always be right."
            )
        for letter, option in zip(self.letters, self.options, strict=True):
            if not option.text.strip() or not option.explanation.strip():
                raise ValueError(
                    f"Question {self.name}, option {letter}: write it as '- [ ] text | explanation'."
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
        """Whether several options are right, so that boxes are ticked instead of one being
        chosen.
        """
        return len(self.right) > 1
