"""Records the outputs of a model's modules."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def record_outputs(modules: Iterable[tuple[str, nn.Module]]) -> Iterator[list[tuple[str, Any]]]:
    """Record the outputs of named modules, in the order in which they run.

    The hooks are removed at the end of the ``with`` block.

    Args:
        modules: pairs of a name (not necessarily unique) and a module.

    Yields:
        A list that fills with pairs (name, output) while the model runs.
    """
    outputs: list[tuple[str, Any]] = []
    hooks = [
        module.register_forward_hook(
            lambda _module, _args, output, name=name: outputs.append((name, output))
        )
        for name, module in modules
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
