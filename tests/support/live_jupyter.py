"""A real JupyterLab on a temporary folder, with its own configuration and none of the user's."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

REPOSITORY = Path(__file__).resolve().parents[2]
EXTENSION = REPOSITORY / "course_lib" / "quiz" / "labextension"


@dataclass
class Jupyter:
    """A running server: its address, the folder it serves, and the page configuration it reads on
    every load.
    """

    url: str
    folder: Path
    page_config: Path

    def notebook(self, name: str, *cells: str) -> Path:
        """Write a notebook of code cells into the served folder."""
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells]
        )
        book.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        path = self.folder / name
        nbformat.write(book, path)
        return path

    def configure(self, **disabled: bool) -> None:
        """Switch plugins off by name; asking for JupyterLab's news is always off."""
        news = {"@jupyterlab/apputils-extension:announcements": True}
        self.page_config.write_text(
            json.dumps({"disabledExtensions": news | disabled}), encoding="utf-8"
        )

    def end_sessions(self) -> None:
        """Shut every kernel down."""
        with urllib.request.urlopen(f"{self.url}/api/sessions", timeout=20) as reply:
            sessions = json.load(reply)
        for session in sessions:
            request = urllib.request.Request(
                f"{self.url}/api/sessions/{session['id']}", method="DELETE"
            )
            urllib.request.urlopen(request, timeout=20).close()


@contextmanager
def serve(root: Path, folder: Path | None = None, **variables: str) -> Iterator[Jupyter]:
    """Start JupyterLab with all its folders below ``root`` and some environment variables for its
    kernels.

    It is started in, and serves, ``folder``: an empty one if not given.
    """
    folder = folder or root / "course"
    config, extensions = root / "config" / "labconfig", root / "data" / "labextensions"
    for made in (folder, config, extensions):
        made.mkdir(parents=True, exist_ok=True)
    shutil.copytree(EXTENSION, extensions / "pixels-to-diffusion-quiz")
    environment = os.environ | variables | {"PYTHONPATH": str(REPOSITORY), "COURSE_MODE": "quick"}
    environment |= {
        "JUPYTER_CONFIG_DIR": str(config.parent),
        "JUPYTER_DATA_DIR": str(extensions.parent),
    }
    environment |= {"JUPYTER_RUNTIME_DIR": str(root / "run")}
    options = ["--no-browser", "--port=0", "--allow-root", "--ServerApp.disable_check_xsrf=True"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with (root / "log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            jupyter = Jupyter(
                _address(root / "run", server, root / "log"), folder, config / "page_config.json"
            )
            jupyter.configure()
            yield jupyter
            jupyter.end_sessions()
        finally:
            # a polite end shuts all extensions down first, which at times takes minutes
            server.kill()
            server.wait()


def _address(runtime: Path, server: subprocess.Popen, log: Path) -> str:
    """The address that the server writes into its runtime folder, once it answers there.

    jupyter_server writes the file before it listens: between the two every connection is refused.
    """
    for _ in range(600):
        if server.poll() is not None:
            break
        for path in runtime.glob("jpserver-*.json"):
            try:
                url = f"http://127.0.0.1:{json.loads(path.read_text())['port']}"
                urllib.request.urlopen(f"{url}/api", timeout=60).close()
                return url
            except (
                json.JSONDecodeError,
                urllib.error.URLError,
            ):  # half written, or not listening yet
                pass
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")
