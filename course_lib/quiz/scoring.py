"""Answers and points as pure functions: the notebook and the grader share them, so they cannot
disagree.

An answer travels through three forms: the *source* of a cell, the *literal* that the learner typed
in it (``"c, a"``), and the *letters* that it means (``"AC"``, sorted, each once, empty for a
blank).
"""

import ast
import unicodedata

LETTERS = "ABCDEFGH"
_SEPARATORS = ",; \t\n\r"
# characters; an answer cell has about 100, and ast is not safe on hostile megabytes
_LONGEST_SOURCE = 10_000


def parse(answer: object, letters: str = LETTERS, multiple: bool = True) -> str:
    """The letters that a typed answer means, for example ``"AC"`` for ``"c, A"``, and ``""`` for a
    blank one.

    Lower case, any order, doubles, spaces, commas and semicolons are accepted.

    Args:
        answer: what was typed; anything but a string is refused.
        letters: the letters of the question's options.
        multiple: whether more than one letter may be chosen.

    Raises:
        ValueError: for anything else; the message tells the learner what to type instead.
    """
    if not isinstance(answer, str):
        raise ValueError(
            f'the answer is {answer!r}, not text. Write letters between quotes: answer = "{letters[0]}"'
        )
    typed = [character for character in answer if character not in _SEPARATORS]
    for character in typed:
        # A Cyrillic А looks like the Latin A on every screen: the message has to name it.
        if not character.isascii():
            name = unicodedata.name(character, "a character without a name")
            raise ValueError(
                f"{character!r} is {name}, not one of the letters {_listed(letters)}. Type it again."
            )
        if character.upper() not in letters:
            raise ValueError(f"{character!r} is not one of the letters {_listed(letters)}.")
    chosen = "".join(sorted({character.upper() for character in typed}))
    if not multiple and len(chosen) > 1:
        raise ValueError(
            f"{_listed(chosen)} are {len(chosen)} letters, but this question has one right option."
        )
    return chosen


def score(ticked: str, right: str, wrong: str, points: float) -> float:
    """Points for the letters ``ticked``: points x max(0, right ticked / all right - wrong ticked /
    all wrong).

    A blank answer and one that ticks everything both earn 0; the order of letters does not matter.

    Raises:
        ValueError: if there is no right or no wrong option, if an option is both, if a letter that
            is neither is ticked, or if points are negative.
    """
    if not right or not wrong or set(right) & set(wrong):
        raise ValueError(
            f"A question needs right and wrong options, each letter once: got {right=} and {wrong=}."
        )
    if not set(ticked) <= set(right + wrong):
        raise ValueError(
            f"{ticked!r} holds a letter that is no option of this question ({_listed(right + wrong)})."
        )
    if points < 0:
        raise ValueError(f"points must not be negative: got {points}.")
    hit = len(set(ticked) & set(right)) / len(set(right))
    miss = len(set(ticked) & set(wrong)) / len(set(wrong))
    return points * max(0.0, hit - miss)


def grade(answer: object, right: str, wrong: str, points: float) -> float:
    """Points for an answer as typed; a blank or invalid one earns 0.

    Exactly one right option makes a question single-choice, where two letters are invalid.
    """
    try:
        ticked = parse(answer, "".join(sorted(right + wrong)), multiple=len(right) > 1)
    except ValueError:
        return 0.0
    return score(ticked, right, wrong, points)


def literal(source: str) -> str:
    """The text assigned to ``answer`` in a cell's source, found by ``ast`` without running
    anything.

    Where a cell assigns it more than once at its top level, the last one counts, as it would in
    Python.

    Raises:
        ValueError: if the source is no Python, or assigns no string literal to ``answer``.
    """
    if len(source) > _LONGEST_SOURCE:
        raise ValueError(
            f"an answer cell of {len(source)} characters is not read; it may have {_LONGEST_SOURCE}"
        )
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"the answer cell is not Python: {error}") from None
    values = [
        value for statement in body for name, value in _assigned(statement) if name == "answer"
    ]
    if not values:
        raise ValueError(
            'the answer cell assigns nothing to answer: it needs a line such as answer = "A"'
        )
    if not isinstance(values[-1], ast.Constant) or not isinstance(values[-1].value, str):
        raise ValueError(
            'answer is not letters between quotes: it needs a line such as answer = "A"'
        )
    return values[-1].value


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr | None]]:
    """The plain names that a statement assigns, with their values."""
    if isinstance(statement, ast.Assign):
        return [
            (target.id, statement.value)
            for target in statement.targets
            if isinstance(target, ast.Name)
        ]
    if isinstance(statement, ast.AnnAssign | ast.AugAssign) and isinstance(
        statement.target, ast.Name
    ):
        # answer += "C" is known only by running it, so it counts as no literal.
        return [
            (statement.target.id, statement.value if isinstance(statement, ast.AnnAssign) else None)
        ]
    return []


def _listed(letters: str) -> str:
    return ", ".join(sorted(letters))
