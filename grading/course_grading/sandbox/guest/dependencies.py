"""Which statements of a notebook a cell needs, found without running any of it.

To call one function of a lesson, its figures and models need not be made again: what counts are the
statements that give the names which the function uses their values, and what these need in turn.
"""

import ast
import symtable
from collections.abc import Iterator, Sequence

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_IMPORTS = ast.Import | ast.ImportFrom
Place = tuple[int, ast.stmt]


def needed(cells: Sequence[ast.Module], target: ast.Module) -> list[Place]:
    """The statements of ``cells`` that must run before ``target`` can, in order, each with its
    cell's number.

    It goes backwards from the names that ``target`` uses: the last statement that binds a name
    counts, and every later one that changes what the name stands for (``model.eval()``,
    ``settings["a"] = 1``).
    """
    before = [(number, statement) for number, cell in enumerate(cells) for statement in cell.body]
    modules = {
        name
        for _, statement in before
        if isinstance(statement, _IMPORTS)
        for name in _bound(statement)
    }
    wanted = {name for statement in target.body for name in uses(statement)}
    chosen: list[Place] = []
    for number, statement in reversed(before):
        bound = set(_bound(statement))
        if "*" in bound or wanted & (bound | (set(_touched(statement)) - modules)):
            chosen.append((number, statement))
            if isinstance(statement, _DEFINITIONS | _IMPORTS | ast.Assign | ast.AnnAssign):
                wanted -= bound
            wanted.update(uses(statement))
    return chosen[::-1]


def uses(statement: ast.stmt) -> set[str]:
    """The global names that a statement reads, those inside its functions included."""
    tables = [symtable.symtable(ast.unparse(statement), "<cell>", "exec")]
    found = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        found |= {
            s.get_name()
            for s in table.get_symbols()
            if s.is_referenced() and (top or s.is_global())
        }
    return found


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The global names that a statement gives a value; ``*`` for those of
    ``from module import *``.
    """
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
        return
    if isinstance(statement, _IMPORTS):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0]
        return
    for node in _outside_functions(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, _DEFINITIONS | _IMPORTS):
            yield from _bound(node)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _touched(statement: ast.stmt) -> Iterator[str]:
    """The names whose values a statement may change: stores into them, and methods called for their
    effect.
    """
    for node in _outside_functions(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from _root(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func) if isinstance(node.value.func, ast.Attribute) else ()


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, _DEFINITIONS | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _outside_functions(child)
