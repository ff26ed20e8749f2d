"""Fingerprints of Python code that survive new names, comments and layout, chosen by winnowing.

Source: Schleimer, Wilkerson and Aiken (2003), "Winnowing: local algorithms for document
fingerprinting", SIGMOD, the method of Moss. A fingerprint stands for ``NOISE`` tokens in a row; of
every ``WINDOW`` neighbours at least one is kept, so that two codes with ``NOISE + WINDOW - 1``
equal tokens in a row always share one.
"""

import ast
import io
import keyword
import tokenize
import warnings
from dataclasses import dataclass
from hashlib import blake2b

# tokens: a shorter run of equal ones is noise; and how many neighbours one is chosen from
NOISE, WINDOW = (
    8,
    4,
)
# characters: an exercise has a few hundred, and ast is not safe on hostile megabytes
LONGEST = 20_000
_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
# since Python 3.12 an f-string is several tokens
_STRINGS = {
    tokenize.STRING,
    getattr(tokenize, "FSTRING_START", -1),
}
_SKIPPED |= {getattr(tokenize, "FSTRING_MIDDLE", -2), getattr(tokenize, "FSTRING_END", -3)}
_MARKS = {tokenize.INDENT: "indent", tokenize.DEDENT: "dedent"}


@dataclass(frozen=True)
class Token:
    """A token as it is compared, and the line that it stands on, from 1."""

    text: str
    line: int


def tokens(source: str) -> list[Token]:
    """The tokens of some code, without comments, docstrings and blank lines.

    Names that the code itself gives, of functions, arguments and variables, all become ``v``; names
    of the library stay. All strings are alike. Of what is no Python, tokens are read as far as they
    go.

    Raises:
        ValueError: if the code has more than ``LONGEST`` characters.
    """
    if len(source) > LONGEST:
        raise ValueError(f"it has {len(source)} characters, more than {LONGEST}")
    own, docstrings = _read(source)
    found: list[Token] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in _SKIPPED or (
                token.type == tokenize.STRING and token.start in docstrings
            ):
                continue
            text = _MARKS.get(token.type, "s" if token.type in _STRINGS else token.string)
            # not an attribute
            named = token.type == tokenize.NAME and not (found and found[-1].text == ".")
            if named and (not keyword.iskeyword(text) if own is None else text in own):
                text = "v"
            # an indentation is no line
            beside = found[-1].line if found and token.type in _MARKS else token.start[0]
            found.append(Token(text, beside))
    except (tokenize.TokenError, SyntaxError):  # an open bracket, a wrong indentation
        pass
    return found


def _read(source: str) -> tuple[set[str] | None, set[tuple[int, int]]]:
    """The names that some code gives, None if it is no Python; and where its docstrings begin
    (line, column).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of a student's escape sequences
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None, set()
    own, docstrings = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                own.add(node.id)
            case ast.arg():
                own.add(node.arg)
            case ast.alias(asname=str()):
                own.add(node.asname)
            case (
                ast.FunctionDef()
                | ast.AsyncFunctionDef()
                | ast.ClassDef()
                | ast.ExceptHandler(name=str())
            ):
                own.add(node.name)
            case ast.Expr(value=ast.Constant(value=str())):
                docstrings.add((node.lineno, node.col_offset))
    return own, docstrings


def grams(found: list[Token]) -> list[int]:
    """A number for each ``NOISE`` tokens in a row, the same in every run."""
    texts = [token.text for token in found]
    rows = ("\n".join(texts[start : start + NOISE]) for start in range(len(texts) - NOISE + 1))
    return [
        int.from_bytes(blake2b(row.encode("utf-8", "replace"), digest_size=8).digest())
        for row in rows
    ]


def winnow(numbers: list[int]) -> dict[int, list[int]]:
    """The fingerprints among the numbers of `grams`, each with the places at which it was chosen.

    Of every ``WINDOW`` neighbours the smallest is chosen, the last one where several are; fewer
    neighbours count as one window.
    """
    chosen: dict[int, list[int]] = {}
    last = -1
    for start in range(max(1, len(numbers) - WINDOW + 1) if numbers else 0):
        window = range(start, min(start + WINDOW, len(numbers)))
        place = min(window, key=lambda p: (numbers[p], -p))
        if place != last:
            chosen.setdefault(numbers[place], []).append(place)
            last = place
    return chosen
