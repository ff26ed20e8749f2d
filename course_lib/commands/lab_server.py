"""JupyterLab that opens and prints addresses with a cell as their fragment, ``#cell-id=...``.

JupyterLab scrolls to that cell; when it starts, only with the extension in ``labextension/``. The
setting ``default_url`` can't hold the fragment: the server would append its token after it.
"""

from typing import Any
from urllib.parse import ParseResult

from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp
from traitlets import Unicode


class LessonServer(ServerApp):
    """A server whose addresses end with a cell fragment."""

    cell = Unicode("", config=True, help="The id of the cell to scroll to.")

    def _get_urlparts(
        self, path: str | None = None, include_token: bool = False, ip: str | None = None
    ) -> ParseResult:
        """The parts of an address; only an address with the token, for a browser, has the cell."""
        parts = super()._get_urlparts(path=path, include_token=include_token, ip=ip)
        return parts._replace(fragment=f"cell-id={self.cell}") if include_token else parts

    def _write_browser_open_file(self, url: str, fh: Any) -> None:
        """Write the page that redirects the browser to the first address."""
        super()._write_browser_open_file(f"{url}#cell-id={self.cell}", fh)


class LessonLab(LabApp):
    """JupyterLab on a :class:`LessonServer`."""

    serverapp_class = LessonServer


if __name__ == "__main__":
    LessonLab.launch_instance()
