"""Fingerprints of Python code, invariant to names, comments and layout, selected by winnowing.

Source: Schleimer, Wilkerson and Aiken (2003), "Winnowing: local algorithms for document
fingerprinting", SIGMOD, the algorithm of Moss. A fingerprint is the hash of a k-gram of
``NOISE_THRESHOLD`` tokens; of every ``WINDOW_SIZE`` consecutive k-grams at least one is selected.
So two programs that share a run of ``GUARANTEE_THRESHOLD`` tokens share a fingerprint.
"""

import ast
import io
import keyword
import tokenize
import warnings
from dataclasses import dataclass
from hashlib import blake2b

NOISE_THRESHOLD = 8  # tokens: shorter matches are noise (the paper's k)
WINDOW_SIZE = 4  # k-grams (the paper's w)
GUARANTEE_THRESHOLD = NOISE_THRESHOLD + WINDOW_SIZE - 1  # tokens (the paper's t)
# characters: an exercise has a few hundred, and hostile megabytes can hang or crash ast
MAX_LENGTH = 20_000
# since Python 3.12 an f-string consists of several tokens
_STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_START", -1)}
_SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.ENDMARKER,
    getattr(tokenize, "FSTRING_MIDDLE", -2),
    getattr(tokenize, "FSTRING_END", -3),
}
_INDENTATION = {tokenize.INDENT: "indent", tokenize.DEDENT: "dedent"}


@dataclass(frozen=True)
class Token:
    """A normalised token, and its line number, from 1."""

    text: str
    line: int


def tokenise(source: str) -> list[Token]:
    """Normalised tokens of code, without comments, docstrings and blank lines.

    Names that the code itself defines (functions, arguments, variables) become ``v``; other names
    are kept. All strings become ``s``. Invalid Python is tokenised as far as possible.

    Raises:
        ValueError: if the code has more than ``MAX_LENGTH`` characters.
    """
    if len(source) > MAX_LENGTH:
        raise ValueError(f"it has {len(source)} characters, more than {MAX_LENGTH}")
    own_names, docstrings = _names_and_docstrings(source)
    tokens: list[Token] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            is_docstring = token.type == tokenize.STRING and token.start in docstrings
            if token.type in _SKIPPED or is_docstring:
                continue
            text = _INDENTATION.get(token.type, "s" if token.type in _STRINGS else token.string)
            is_attribute = bool(tokens) and tokens[-1].text == "."
            if token.type == tokenize.NAME and not is_attribute:
                is_own = not keyword.iskeyword(text) if own_names is None else text in own_names
                text = "v" if is_own else text
            # give INDENT and DEDENT the line of the previous token
            previous_line = bool(tokens) and token.type in _INDENTATION
            tokens.append(Token(text, tokens[-1].line if previous_line else token.start[0]))
    except (tokenize.TokenError, SyntaxError):  # an unclosed bracket, or inconsistent indentation
        pass
    return tokens


def _names_and_docstrings(source: str) -> tuple[set[str] | None, set[tuple[int, int]]]:
    """The names that code defines, None if it is invalid Python; and the positions (line, column)
    of its docstrings.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escape sequences
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None, set()
    names = set()
    docstrings = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.arg():
                names.add(node.arg)
            case ast.alias(asname=str(name)):
                names.add(name)
            case (
                ast.FunctionDef(name=str(name))
                | ast.AsyncFunctionDef(name=str(name))
                | ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
            ):
                names.add(name)
            case ast.Expr(value=ast.Constant(value=str())):
                docstrings.add((node.lineno, node.col_offset))
    return names, docstrings


def hash_kgrams(tokens: list[Token]) -> list[int]:
    """The hash of each k-gram of ``NOISE_THRESHOLD`` tokens, the same in every Python process."""
    texts = [token.text for token in tokens]
    kgrams = (
        "\n".join(texts[start : start + NOISE_THRESHOLD])
        for start in range(len(texts) - NOISE_THRESHOLD + 1)
    )
    return [
        int.from_bytes(blake2b(kgram.encode("utf-8", "replace"), digest_size=8).digest())
        for kgram in kgrams
    ]


def winnow(hashes: list[int]) -> dict[int, list[int]]:
    """The fingerprints among the hashes of :func:`hash_kgrams`, each with its positions.

    In every window of ``WINDOW_SIZE`` hashes the minimum is selected, the rightmost if there are
    several; fewer hashes form one window.
    """
    fingerprints: dict[int, list[int]] = {}
    last_position = -1
    for start in range(max(1, len(hashes) - WINDOW_SIZE + 1) if hashes else 0):
        window = range(start, min(start + WINDOW_SIZE, len(hashes)))
        position = min(window, key=lambda index: (hashes[index], -index))
        if position != last_position:
            fingerprints.setdefault(hashes[position], []).append(position)
            last_position = position
    return fingerprints
