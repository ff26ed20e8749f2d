"""Let *Run All* continue past an exercise that is not written yet.

An exercise's stub raises ``NotImplementedError()``. In an interactive notebook, the cell that calls
it shows a note instead of a traceback and counts as done, so that the cells below run. A later cell
that needs a name from such a cell shows a note too. Every other error stays an error.

Where a program runs the notebook (nbgrader's validation and autograding, nbclient), nothing
changes: there an unwritten exercise must fail. Such programs don't allow input from stdin, which is
how they are recognised.
"""

import ast
import html
import linecache
import re
import traceback
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import course_lib

_STUB = "raise NotImplementedError()"


@dataclass
class _Notes:
    """The skipped cells of one kernel: the names that they would have bound, each with the function
    that is not written.
    """

    missing: dict[str, str] = field(default_factory=dict)
    skipped: BaseException | None = None  # the error of the running cell, if the cell is skipped

    def handle(
        self, shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType
    ) -> None:
        """Show a note or, for any other error, its traceback."""
        function = self._find_unwritten(error, trace)
        if not function or not _is_interactive(shell):
            shell.showtraceback((kind, error, trace))
            return
        self.skipped = error
        for name in _made_names(shell, error):
            self.missing.setdefault(name, function)
        _show_note(function, error)

    def finish(self, result: Any) -> None:
        """After a cell: clear the error of a skipped cell, so that *Run All* continues."""
        if self.skipped is not None and result.error_in_exec is self.skipped:
            result.error_in_exec = None
        self.skipped = None

    def _find_unwritten(self, error: BaseException, trace: TracebackType) -> str:
        """The function whose stub raised the error, or that would have made a missing name."""
        if isinstance(error, NameError):
            return self.missing.get(error.name or "", "")
        frame, line = list(traceback.walk_tb(trace))[-1]
        text = linecache.getline(frame.f_code.co_filename, line).strip()
        is_stub = text == _STUB and not error.args and frame.f_code.co_name != "<module>"
        return frame.f_code.co_name if is_stub else ""


def pass_over() -> None:
    """Install the error handler in this kernel; no effect outside IPython or in grading mode."""
    try:
        from IPython.core.getipython import get_ipython
    except ModuleNotFoundError:
        return
    shell = get_ipython()
    if shell is None or course_lib.mode() == "grading" or hasattr(shell, "course_notes"):
        return
    notes = _Notes()
    shell.course_notes = notes

    def handle(shell, kind, error, trace, tb_offset=None) -> None:
        notes.handle(shell, kind, error, trace)

    shell.set_custom_exc((NotImplementedError, NameError), handle)
    shell.events.register("post_run_cell", notes.finish)


def _is_interactive(shell: Any) -> bool:
    """Whether the notebook is interactive: the client allows input from stdin."""
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", False))


def _made_names(shell: Any, error: BaseException) -> set[str]:
    """The names that the running cell assigns and that do not exist yet."""
    try:
        tree = ast.parse(shell.transform_cell(shell.user_ns.get("_ih", [""])[-1]))
    except (SyntaxError, ValueError):
        return set()
    names = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return {name for name in names if name not in shell.user_ns}


def _show_note(function: str, error: BaseException) -> None:
    from IPython.display import display

    cause = f"`{function}` is not written yet"
    if isinstance(error, NameError):
        cause = f"it needs `{error.name}`, for which {cause}"
    text = f"Passed over: {cause}. Replace `{_STUB}` in its exercise, then run both cells again."
    shown = re.sub("`(.*?)`", r"<code>\1</code>", html.escape(text))
    note = (
        '<p style="margin:0;padding:6px 12px;border:1px solid;border-left-width:4px;'
        f'border-radius:4px;max-width:48rem">{shown}</p>'
    )
    display({"text/html": note, "text/plain": text}, raw=True)
