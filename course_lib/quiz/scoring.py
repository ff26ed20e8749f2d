"""Parsing and scoring of answers, shared by notebooks and grader so that they cannot disagree.

An answer has three forms: the *source* of its cell, the string *literal* in it (``"c, a"``), and
the *letters* it stands for (``"AC"``: sorted, without duplicates, empty for no answer).
"""

import ast
import unicodedata

LETTERS = "ABCDEFGH"
_SEPARATORS = ",; \t\n\r"
# Answer cells have about 100 characters; ast is not safe on megabytes of hostile code.
_MAX_SOURCE = 10_000


def parse(answer: object, letters: str = LETTERS, multiple: bool = True) -> str:
    """The letters of an answer: ``"AC"`` for ``"c, A"``, and ``""`` for a blank one.

    Lower case, any order, duplicates, spaces, commas and semicolons are accepted, and so are the
    wide letters of Chinese and Japanese keyboards (Unicode's NFKC).

    Args:
        answer: the learner's answer; anything but a string is invalid.
        letters: the letters of the question's options.
        multiple: whether several letters are allowed.

    Raises:
        ValueError: for an invalid answer; the message tells the learner what to type instead.
    """
    if not isinstance(answer, str):
        raise ValueError(
            f"the answer is {answer!r}, not text. Write letters between quotes: "
            f'answer = "{letters[0]}"'
        )
    typed = [
        character
        for character in unicodedata.normalize("NFKC", answer)
        if character not in _SEPARATORS
    ]
    for character in typed:
        # A Cyrillic А looks exactly like the Latin A, so the message names the character.
        if not character.isascii():
            name = unicodedata.name(character, "a character without a name")
            raise ValueError(
                f"{character!r} is {name}, not one of the letters {_join(letters)}. Type it again."
            )
        if character.upper() not in letters:
            raise ValueError(f"{character!r} is not one of the letters {_join(letters)}.")
    chosen = "".join(sorted({character.upper() for character in typed}))
    if not multiple and len(chosen) > 1:
        raise ValueError(
            f"{_join(chosen)} are {len(chosen)} letters, but only one option is right: type one."
        )
    return chosen


def is_readable(answer: str, letters: str = LETTERS) -> bool:
    """Whether an answer has only letters of the question's options, even if there are too many."""
    try:
        parse(answer, letters)
    except ValueError:
        return False
    return True


def score(selected: str, right: str, wrong: str, points: float) -> float:
    """points x max(0, selected right / all right - selected wrong / all wrong).

    A blank answer and one that selects everything both get 0; the order of letters is irrelevant.

    Raises:
        ValueError: if there is no right or no wrong option, an option is both, a selected letter is
            neither, or the points are negative.
    """
    if not right or not wrong or set(right) & set(wrong):
        raise ValueError(
            "A question needs right and wrong options, each letter once: "
            f"got {right=} and {wrong=}."
        )
    if not set(selected) <= set(right + wrong):
        raise ValueError(
            f"{selected!r} contains a letter that is not an option of this question "
            f"({_join(right + wrong)})."
        )
    if points < 0:
        raise ValueError(f"points must not be negative: got {points}.")
    right_share = len(set(selected) & set(right)) / len(set(right))
    wrong_share = len(set(selected) & set(wrong)) / len(set(wrong))
    return points * max(0.0, right_share - wrong_share)


def grade(answer: object, right: str, wrong: str, points: float) -> float:
    """Points for a learner's answer; 0 for a blank or invalid one.

    A question with one right option is single-choice: two letters are invalid.
    """
    try:
        selected = parse(answer, "".join(sorted(right + wrong)), multiple=len(right) > 1)
    except ValueError:
        return 0.0
    return score(selected, right, wrong, points)


def extract_answer(source: str) -> str:
    """The string literal assigned to ``answer`` in a cell's source; the source is not executed.

    If the top level of the cell assigns it more than once, the last assignment counts.

    Raises:
        ValueError: if the source is not Python, assigns no string literal to ``answer``, or may
            change it afterwards, as ``if True: answer = "A"`` does.
    """
    if len(source) > _MAX_SOURCE:
        raise ValueError(
            f"the answer cell has {len(source)} characters; at most {_MAX_SOURCE} are allowed"
        )
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"the answer cell is not Python: {error}") from None
    values: list[ast.expr | None] = []
    is_changed = False  # since the last of these assignments
    for statement in body:
        assigned = [value for name, value in _assignments(statement) if name == "answer"]
        is_changed = not assigned and (is_changed or _may_bind_answer(statement))
        values += assigned
    if is_changed:
        raise ValueError(
            "the answer cell changes answer in more than one place: it needs a single line such "
            'as answer = "A"'
        )
    if not values:
        raise ValueError(
            'the answer cell does not assign answer: it needs a line such as answer = "A"'
        )
    if not isinstance(values[-1], ast.Constant) or not isinstance(values[-1].value, str):
        raise ValueError('answer is not a string literal: it needs a line such as answer = "A"')
    return values[-1].value


def _may_bind_answer(statement: ast.stmt) -> bool:
    """Whether a statement binds or deletes ``answer`` anywhere inside."""
    for node in ast.walk(statement):
        match node:
            case ast.Name("answer", ast.Store() | ast.Del()):
                return True
            case ast.FunctionDef(name="answer") | ast.ClassDef(name="answer"):
                return True
            case ast.alias(name, asname) if "answer" in (name, asname):
                return True
            case ast.Global(names) if "answer" in names:
                return True
    return False


def _assignments(statement: ast.stmt) -> list[tuple[str, ast.expr | None]]:
    """The names that a statement assigns, with their values."""
    if isinstance(statement, ast.Assign):
        return [
            (target.id, statement.value)
            for target in statement.targets
            if isinstance(target, ast.Name)
        ]
    if isinstance(statement, ast.AnnAssign | ast.AugAssign) and isinstance(
        statement.target, ast.Name
    ):
        # The value of answer += "C" is known only by executing it, so it is not a literal.
        value = statement.value if isinstance(statement, ast.AnnAssign) else None
        return [(statement.target.id, value)]
    return []


def _join(letters: str) -> str:
    return ", ".join(sorted(letters))
