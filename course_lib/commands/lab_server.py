"""JupyterLab with a cell in the addresses that it opens and prints.

JupyterLab scrolls to the cell that an address names after ``#cell-id=``, at the start with the help
of ``labextension/``. Its own setting ``default_url`` can't hold that part: it would stand before
the server's token.
"""

from typing import Any
from urllib.parse import ParseResult

from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp
from traitlets import Unicode


class LessonServer(ServerApp):
    """A server whose addresses end with a cell."""

    cell = Unicode("", config=True, help="The id of the cell to scroll to.")

    def _get_urlparts(
        self, path: str | None = None, include_token: bool = False, ip: str | None = None
    ) -> ParseResult:
        """The parts of an address. With the token it is one that a person opens."""
        parts = super()._get_urlparts(path=path, include_token=include_token, ip=ip)
        return parts._replace(fragment=f"cell-id={self.cell}") if include_token else parts

    def _write_browser_open_file(self, url: str, fh: Any) -> None:
        """Write the page that the browser opens at the start."""
        super()._write_browser_open_file(f"{url}#cell-id={self.cell}", fh)


class LessonLab(LabApp):
    """JupyterLab on such a server."""

    serverapp_class = LessonServer


if __name__ == "__main__":
    LessonLab.launch_instance()
