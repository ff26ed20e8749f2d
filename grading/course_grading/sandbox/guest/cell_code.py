"""Parse notebook cells, with IPython's extensions of Python.

IPython's input transformer handles magics, shell commands, help and prompts. They have no effect
here: a cell is graded by the functions that it defines.
"""

import ast
import functools
import re
import warnings
from typing import Any

# The exceptions of Python's parser for invalid or hostile code.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)
# Commands that IPython accepts without a leading % (automagic).
_COMMAND = re.compile(r"^([ \t]*)(?=(?:pip3?|conda|mamba|uv|apt|apt-get) +[a-z]+\b)", re.MULTILINE)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.:?|In \[\d*\]:) ?", re.MULTILINE)
_OUTPUT = re.compile(r"^Out\[\d*\]:.*$", re.MULTILINE)
# magics that run the code in their line or cell
_CODE_MAGICS = frozenset({"time", "prun", "capture", "memit", "mprun", "lprun"})


def parse_cell(source: str) -> ast.Module:
    """A cell's syntax tree; magics and shell commands become calls of ``get_ipython()``, and magics
    such as ``%time`` are replaced by the code that they run.

    Raises:
        one of ``PARSE_ERRORS``: if IPython does not accept the cell either. The line number of a
            ``SyntaxError`` refers to ``source``.
    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        with_percent = _COMMAND.sub(r"\1%", source)
        for candidate in (with_percent, _PROMPT.sub("", _OUTPUT.sub("", with_percent))):
            try:
                return _inline_magics(ast.parse(_transform(candidate)))
            except SyntaxError:
                continue
        raise error


def parse_valid_statements(source: str) -> ast.Module:
    """As :func:`parse_cell`, but without the top-level statements that IPython does not accept."""
    try:
        return parse_cell(source)
    except SyntaxError:
        body: list[ast.stmt] = []
        for block in _blocks(source):
            try:
                body += parse_cell(block).body
            except PARSE_ERRORS:
                continue
        return ast.Module(body, [])


def _blocks(source: str) -> list[str]:
    """Split a cell at lines without indentation; decorators stay with the function or class that
    they decorate.
    """
    blocks: list[list[str]] = []
    for line in source.splitlines():
        continues = not line or line[0] in " \t#)]}" or re.match(r"(el|except|finally)", line)
        if blocks and (continues or blocks[-1][-1].startswith("@")):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return ["\n".join(lines) for lines in blocks]


def _transform(source: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TransformerManager().transform_cell(source)


def _inline_magics(tree: ast.Module) -> ast.Module:
    return ast.fix_missing_locations(_InlinedMagics().visit(tree))


class _InlinedMagics(ast.NodeTransformer):
    """Replaces ``%time``, ``%%capture`` and the like by the code that they run."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        code = _code_of_magic(node.value)
        if code is None:
            return self.generic_visit(node)
        try:
            body = parse_cell(code).body
        except PARSE_ERRORS:
            return node
        for statement in body:
            ast.increment_lineno(statement, node.lineno - 1)
        return body or ast.Pass()

    def visit_Call(self, node: ast.Call) -> Any:
        code = _code_of_magic(node)
        if code is None:
            return self.generic_visit(node)
        try:
            return ast.parse(code.strip(), mode="eval").body
        except PARSE_ERRORS:
            return node


def _code_of_magic(node: ast.expr) -> str | None:
    """The code that a call of ``get_ipython()`` for a magic would run; None if it runs none."""
    match node:
        case ast.Call(
            ast.Attribute(ast.Call(ast.Name("get_ipython")), kind),
            [ast.Constant(str(name)), ast.Constant(str(line)), *rest],
        ) if name in _CODE_MAGICS:
            if kind == "run_line_magic":
                return line
            if kind == "run_cell_magic" and rest and isinstance(rest[0], ast.Constant):
                return str(rest[0].value)
    return None


class Nothing:
    """A stub for objects that only a kernel has, such as earlier outputs: most operations are
    allowed, and have no effect.
    """

    def __getattr__(self, name: str) -> "Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments, **keywords) -> "Nothing":
        return self

    def __getitem__(self, key) -> "Nothing":
        return self

    def __iter__(self):
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, item) -> bool:
        return False

    def __float__(self) -> float:
        return 0.0

    def __int__(self) -> int:
        return 0

    def __format__(self, specification: str) -> str:
        return ""

    __setitem__ = __call__


class Shell(Nothing):
    """A stub for IPython's shell, which ``get_ipython()`` returns."""

    def getoutput(self, *arguments, **keywords) -> list[str]:
        """The output of a shell command: none."""
        return []


@functools.cache
def kernel_names() -> dict[str, Any]:
    """The names that a kernel defines for every cell, as stubs."""
    nothing, shell = Nothing(), Shell()
    names: dict[str, Any] = dict.fromkeys(
        ("_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "In", "Out"), nothing
    )
    return {**names, "display": _do_nothing, "get_ipython": lambda: shell}


def _do_nothing(*arguments, **keywords) -> None:
    pass
