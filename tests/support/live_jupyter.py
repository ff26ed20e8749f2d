"""A real JupyterLab on a temporary folder, isolated from the user's configuration."""

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

from tests.support.checkout import ROOT

EXTENSIONS = {
    "pixels-to-diffusion-quiz": ROOT / "course_lib" / "quiz" / "labextension",
    "pixels-to-diffusion-resume": ROOT / "course_lib" / "commands" / "labextension",
}


@dataclass
class Jupyter:
    """A running server: its URL, root folder, and page configuration (read on every load)."""

    url: str
    folder: Path
    page_config: Path

    def notebook(self, name: str, *cells: str) -> Path:
        """Write a notebook of code cells into the served folder."""
        code_cells = [nbformat.v4.new_code_cell(source) for source in cells]
        notebook = nbformat.v4.new_notebook(cells=code_cells)
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def configure(self, **disabled: bool) -> None:
        """Disable plugins by name; JupyterLab's announcements are always disabled."""
        disabled_extensions = {"@jupyterlab/apputils-extension:announcements": True} | disabled
        self.page_config.write_text(
            json.dumps({"disabledExtensions": disabled_extensions}), encoding="utf-8"
        )

    def end_sessions(self) -> None:
        """Shut down every kernel."""
        with urllib.request.urlopen(f"{self.url}/api/sessions", timeout=20) as reply:
            sessions = json.load(reply)
        for session in sessions:
            request = urllib.request.Request(
                f"{self.url}/api/sessions/{session['id']}", method="DELETE"
            )
            urllib.request.urlopen(request, timeout=20).close()


@contextmanager
def serve(root: Path, folder: Path | None = None, **variables: str) -> Iterator[Jupyter]:
    """Run JupyterLab with its configuration, data and log under ``root``.

    Args:
        root: an empty folder.
        folder: the server's root and working folder; by default a new folder in ``root``.
        variables: additional environment variables for the kernels.
    """
    folder = folder or root / "course"
    runtime, log = root / "run", root / "log"
    config, extensions = root / "config" / "labconfig", root / "data" / "labextensions"
    for directory in (folder, config, extensions):
        directory.mkdir(parents=True, exist_ok=True)
    for name, extension in EXTENSIONS.items():
        shutil.copytree(extension, extensions / name)
    environment = os.environ | variables
    environment |= {
        "PYTHONPATH": str(ROOT),
        "COURSE_MODE": "quick",
        "JUPYTER_CONFIG_DIR": str(config.parent),
        "JUPYTER_DATA_DIR": str(extensions.parent),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_PREFER_ENV_PATH": "0",  # this checkout's extension, not an installed one
    }
    options = [
        "--no-browser",
        "--port=0",
        "--allow-root",
        "--ServerApp.disable_check_xsrf=True",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        # window.jupyterapp reports when the kernel is connected
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=output
        )
        try:
            url = _wait_for_url(runtime, server, log)
            jupyter = Jupyter(url, folder, config / "page_config.json")
            jupyter.configure()
            yield jupyter
            jupyter.end_sessions()
        finally:
            # killed, because a regular shutdown of all extensions can take minutes
            server.kill()
            server.wait()


def _wait_for_url(runtime: Path, server: subprocess.Popen, log: Path) -> str:
    """The server's URL, once it responds.

    jupyter_server writes its URL into the runtime folder before it listens: connections are refused
    for a moment.
    """
    for _ in range(1800):
        if server.poll() is not None:
            break
        for path in runtime.glob("jpserver-*.json"):
            try:
                url = f"http://127.0.0.1:{json.loads(path.read_text())['port']}"
                urllib.request.urlopen(f"{url}/api", timeout=60).close()
                return url
            except (json.JSONDecodeError, urllib.error.URLError):
                pass  # the file is incomplete, or the server is not listening yet
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")
