"""Exporters for nbgrader's converters that read, copy and write a notebook less often than
nbconvert's. They apply the same preprocessors, and their output is the same.
"""

import nbformat
from nbconvert.exporters import Exporter, NotebookExporter
from nbformat import NotebookNode
from nbformat.v4.rwbase import strip_transient


class _OwnedNotebook(NotebookNode):
    """A notebook that nothing else refers to: where nbconvert and nbformat copy it, so that its
    owner's is not changed, they get itself. A lesson would be copied nine times.
    """

    def __deepcopy__(self, memo):
        return self


class WithoutCopies(Exporter):
    """An exporter that does not copy the notebooks that it reads from files."""

    def from_file(self, file_stream, resources=None, **keywords):
        notebook = _OwnedNotebook(nbformat.read(file_stream, as_version=4))
        return self.from_notebook_node(notebook, resources=resources, **keywords)


class GradedNotebook(WithoutCopies, NotebookExporter):
    """The exporter for ``nbgrader autograde``, which converts a notebook twice: it restores the
    cells of the release and writes the notebook, then it reads the notebook again and grades it.
    Here the second step takes the notebook from the first, whose file stays empty meanwhile.
    """

    restored: _OwnedNotebook | None = None

    def from_file(self, file_stream, resources=None, **keywords):
        notebook, self.restored = self.restored, None
        if notebook is None:
            return super().from_file(file_stream, resources=resources, **keywords)
        return self.from_notebook_node(notebook, resources=resources, **keywords)

    def from_notebook_node(self, nb, resources=None, **keywords):
        if not self.parent._sanitizing:  # nbgrader's name for the first step
            return super().from_notebook_node(nb, resources, **keywords)
        nb, resources = Exporter.from_notebook_node(self, nb, resources, **keywords)
        self.restored = strip_transient(nb)  # as when it is written and read
        return "", resources
