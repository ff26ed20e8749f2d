"""A static backward slice of a notebook: the statements that a cell depends on.

It makes it possible to call a function of a lesson without drawing the lesson's figures or training
its models. The slice consists of the statements that bind the names which the function uses, and,
recursively, of the statements that these need.
"""

import ast
import symtable
from collections.abc import Iterator, Sequence

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_IMPORTS = ast.Import | ast.ImportFrom
NumberedStatement = tuple[int, ast.stmt]  # the index of its cell, and the statement


def required_statements(cells: Sequence[ast.Module], target: ast.Module) -> list[NumberedStatement]:
    """The statements of ``cells`` that must run before ``target``, in order.

    Works backwards from the names that ``target`` reads: a name needs the last statement that binds
    it, and every later one that may change its value (``model.eval()``, ``settings["a"] = 1``).
    Names that ``target`` binds before it reads them are not needed.
    """
    statements = [(number, node) for number, cell in enumerate(cells) for node in cell.body]
    modules = {
        name
        for _, statement in statements
        if isinstance(statement, _IMPORTS)
        for name in bound_names(statement)
    }
    wanted: set[str] = set()
    for statement in reversed(target.body):
        _update_wanted(statement, wanted)
    required: list[NumberedStatement] = []
    for number, statement in reversed(statements):
        bound = set(bound_names(statement))
        changed = set(_changed_names(statement)) - modules
        if "*" in bound or not wanted.isdisjoint(bound | changed):
            required.append((number, statement))
            _update_wanted(statement, wanted)
    return required[::-1]


def touched_names(statement: ast.stmt) -> set[str]:
    """The global names that a statement binds, and those whose values it may change."""
    return {*bound_names(statement), *_changed_names(statement)}


def _update_wanted(statement: ast.stmt, wanted: set[str]) -> None:
    """Update ``wanted`` from the names that are needed after a statement to those needed before it.

    In place: a copy for each statement would take hours for hostile notebooks.
    """
    reads = global_reads(statement)
    for node in _walk_outside_functions(statement):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            reads.add(node.target.id)
    if isinstance(statement, ast.For):
        own = {node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name)}
        reads -= own - global_reads(ast.Expr(statement.iter))
    if isinstance(statement, _DEFINITIONS | _IMPORTS | ast.Assign | ast.AnnAssign):
        wanted.difference_update(bound_names(statement))
    wanted |= reads


def global_reads(statement: ast.stmt) -> set[str]:
    """The global names that a statement reads, including inside functions."""
    return global_names(ast.unparse(statement))[1]


def global_names(source: str) -> tuple[set[str], set[str]]:
    """The names that code binds at its top level, and the global names that it reads, including
    inside functions.

    Raises:
        one of ``cell_code.PARSE_ERRORS``: if it is invalid Python.
    """
    module = symtable.symtable(source, "<cell>", "exec")
    bound = {
        symbol.get_name()
        for symbol in module.get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
    }
    read: set[str] = set()
    tables = [module]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        read |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (table is module or symbol.is_global())
        }
    return bound, read


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """The global names that a statement binds; ``*`` for ``from module import *``."""
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
        return
    if isinstance(statement, _IMPORTS):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0]
        return
    for node in _walk_outside_functions(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, _DEFINITIONS | _IMPORTS):
            yield from bound_names(node)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _changed_names(statement: ast.stmt) -> Iterator[str]:
    """The names whose values a statement may change: it stores into them, or calls a method and
    ignores the result.
    """
    for node in _walk_outside_functions(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from _root_name(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            yield from _root_name(function) if isinstance(function, ast.Attribute) else ()


def _root_name(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _walk_outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    waiting = [node]  # no recursion: an expression may be nested thousands of times
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _DEFINITIONS | ast.Lambda):
            waiting += reversed(_children(node))


def _children(node: ast.AST) -> list[ast.AST]:
    """As :func:`ast.iter_child_nodes`, but faster, and without the contexts Load, Store and Del."""
    children: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            children += [child for child in value if isinstance(child, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            children.append(value)
    return children
