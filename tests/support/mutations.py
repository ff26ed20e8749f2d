"""Deliberate mistakes for mutation tests.

A change is a function that takes pytest's ``monkeypatch``. The functions here return changes that
replace an attribute, wrap a method, alter an object after ``__init__``, or rewrite an expression.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

Change = Callable[[pytest.MonkeyPatch], None]


def replace(owner: object, name: str, value: object) -> Change:
    """A change that sets an attribute to another value."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def wrap(owner: object, name: str, wrong: Callable) -> Change:
    """A change that calls ``wrong(original, *arguments)`` instead of a function or method."""
    original = inspect.getattr_static(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return wrong(original, *args, **kwargs)

    return replace(owner, name, wrapper)


def after_init(owner: type, alter: Callable[[Any], None]) -> Change:
    """A change that calls ``alter(self)`` at the end of ``__init__``."""

    def init(original: Callable, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        alter(self)

    return wrap(owner, "__init__", init)


def rewrite(owner: object, name: str, pattern: str, replacement: str) -> Change:
    """A change that replaces an expression in a function or method.

    In both expressions a single capital letter is a wildcard for an expression; a repeated letter
    must match equal expressions. So ``"A / 2"`` does not depend on the names of local variables.
    The pattern must match exactly once.
    """

    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        function = inspect.unwrap(inspect.getattr_static(owner, name))
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        rewriter = _Rewriter(pattern, replacement)
        tree = ast.fix_missing_locations(rewriter.visit(tree))
        if rewriter.matches != 1:
            raise AssertionError(
                f"{pattern!r} matches {rewriter.matches} expressions of {function.__qualname__}: "
                "adapt the pattern of this mutation test."
            )
        namespace: dict[str, Any] = {}
        code = compile(tree, f"mutant of {function.__qualname__}", "exec")
        exec(code, function.__globals__, namespace)
        monkeypatch.setattr(owner, name, namespace[name])

    return change


class _Rewriter(ast.NodeTransformer):
    def __init__(self, pattern: str, replacement: str) -> None:
        self.pattern = ast.parse(pattern, mode="eval").body
        self.replacement = replacement
        self.matches = 0

    def visit(self, node: ast.AST) -> ast.AST:
        bindings: dict[str, ast.AST] = {}
        if not _match(self.pattern, node, bindings):
            return self.generic_visit(node)
        self.matches += 1
        return _Substitution(bindings).visit(ast.parse(self.replacement, mode="eval").body)


class _Substitution(ast.NodeTransformer):
    def __init__(self, bindings: dict[str, ast.AST]) -> None:
        self.bindings = bindings

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.bindings.get(node.id, node)


def _match(pattern: Any, node: Any, bindings: dict[str, ast.AST]) -> bool:
    """Whether a node has the structure of the pattern; binds its wildcards in ``bindings``."""
    if isinstance(pattern, ast.Name) and len(pattern.id) == 1 and pattern.id.isupper():
        bound = bindings.setdefault(pattern.id, node)
        return isinstance(node, ast.expr) and ast.dump(bound) == ast.dump(node)
    if isinstance(pattern, list):
        return (
            isinstance(node, list)
            and len(pattern) == len(node)
            and all(_match(*pair, bindings) for pair in zip(pattern, node, strict=True))
        )
    if isinstance(pattern, ast.AST):
        return type(pattern) is type(node) and all(
            _match(getattr(pattern, field), getattr(node, field), bindings)
            for field in pattern._fields
            if field != "ctx"
        )
    return pattern == node
