"""Spelling: no typing errors, British spelling in prose, and no ambiguous words."""

import ast
import functools
import io
import re
import tokenize
from pathlib import Path

import codespell_lib
import pytest

from tests.support.checkout import ROOT

DICTIONARY = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
# Also British, at least in computing, or part of a name.
BOTH = {"biased", "dialog", "license", "optimizer", "optimizers", "practice", "program", "writable"}
# Questions and titles that are quoted verbatim.
QUOTED = {
    "solutions/01_why_not_fully_connected.md": {"colors", "neighboring"},
}
UNCLEAR = ["told", "dear", "bears", "reckon", "mend", "mends", "looks", "said", "grounds", "beside"]
# Those that have no literal meaning in code and comments.
UNCLEAR_IN_CODE = ["told", "dear", "bears", "reckon", "mend", "mends", "said", "grounds"]
FRONT = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md"]


def american_words() -> dict[str, str]:
    """American spelling -> British spelling, from codespell's dictionary."""
    pairs = (line.split("->") for line in DICTIONARY.read_text(encoding="utf-8").splitlines())
    return {american.split(",")[0].strip(): british for british, american in pairs}


def blank(match: re.Match) -> str:
    """Empty lines, as many as the match has, so that line numbers stay correct."""
    return "\n" * match[0].count("\n")


def markdown_prose(text: str) -> str:
    """A page without front matter, code, formulas, URLs and quoted titles."""
    text = re.sub(r"\A---\n.*?\n---\n", blank, text, flags=re.DOTALL)
    text = re.sub(r"^(`{3,})(?!\{question).*?^\1\s*$", blank, text, flags=re.DOTALL | re.MULTILINE)
    # a question's parameters, and the expressions in its text
    text = re.sub(r"^:(params|check):.*|\{\{.*?\}\}", blank, text, flags=re.MULTILINE)
    text = re.sub(r"^## Sources$.*", blank, text, flags=re.DOTALL | re.MULTILINE)
    code = r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)|https?://\S+|<[^>]*>"
    return re.sub(rf"{code}|\*[^*\n]+\*|\"[^\"\n]+\"", blank, text)


@functools.cache
def python_prose(text: str) -> str:
    """A module's comments and docstrings, with their line numbers kept."""
    lines = [""] * (text.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] += token.string
    for node in ast.walk(ast.parse(text)):
        first = node.body[0] if isinstance(getattr(node, "body", None), list) and node.body else 0
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            for number, line in enumerate(str(first.value.value).splitlines(), first.lineno - 1):
                lines[number] += line
    prose = re.sub(r"`[^`\n]*`|https?://\S+", " ", "\n".join(lines))
    return re.sub(r"\*[^*\n]+\*|\"[^\"\n]+\"", " ", prose)


def test_codespell_finds_no_typing_error(run_tool):
    run_tool("codespell")


def test_prose_is_british(tracked):
    american, found = american_words(), []
    for path in tracked:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("tests/grading/attacks") or path.suffix not in (".md", ".py"):
            continue
        text = path.read_text(encoding="utf-8")
        prose = markdown_prose(text) if path.suffix == ".md" else python_prose(text)
        allowed = BOTH | QUOTED.get(name, set())
        for number, line in enumerate(prose.splitlines(), 1):
            for word in re.findall(r"(?<![\w-])[A-Z]?[a-z]+(?![\w-])", line):
                if word.lower() in american and word.lower() not in allowed:
                    found.append(f"{name}:{number}: {word}, British {american[word.lower()]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "page", [*FRONT, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_documentation_uses_plain_words(page):
    prose = markdown_prose((ROOT / page).read_text(encoding="utf-8"))
    assert not find_words(UNCLEAR, prose)


def test_comments_and_docstrings_use_plain_words(tracked):
    found = {}
    for path in tracked:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("tests/grading/attacks") or path.suffix not in (".py", ".js", ".css"):
            continue
        text = path.read_text(encoding="utf-8")
        found[name] = find_words(UNCLEAR_IN_CODE, python_prose(text) if ".py" in name else text)
    assert not {name: words for name, words in found.items() if words}


def find_words(words: list[str], text: str) -> list[str]:
    """Every occurrence of these words, as "line number: word"."""
    return [
        f"{number}: {word}"
        for number, line in enumerate(text.splitlines(), 1)
        for word in re.findall(rf"\b(?:{'|'.join(words)})\b", line, re.IGNORECASE)
    ]
