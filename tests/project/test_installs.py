"""The course works in Colab's environment, with the lowest dependencies, and from a wheel."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from course_grading.assign.source import read_lesson
from nbclient import NotebookClient

from tests.support.checkout import LESSONS, ROOT

# Colab's image of August 2026, with the newest torch instead of Colab's. Its Python is 3.13.
COLAB = """
ipython==7.34.0 ipywidgets==7.7.1 widgetsnbextension==3.6.10 ipykernel==6.17.1
jupyter_client==7.4.9 traitlets==5.7.1 numpy==2.1.3 scipy==1.16.3 matplotlib==3.10.0
pillow==11.3.0 scikit-image==0.25.2 scikit-learn==1.6.1 safetensors==0.8.0 tqdm==4.67.3
typer==0.27.1 rich==13.9.4 regex==2025.11.3 pip setuptools torch torchvision
"""
# The packages that the course adds to Colab; wadler-lindig is a dependency of jaxtyping.
NEW_IN_COLAB = {"pixels-to-diffusion", "jaxtyping", "wadler-lindig"}
EXCLUDE_NEWER = "2026-11-15"
LOWEST_TESTS = [
    "assets",
    "convolution",
    "profiling",
    "quiz",
    "grading/assign",
    "grading/autograde",
    "data/test_digits.py",
    "data/test_photos.py",
    "training/test_loop.py",
    "grading/test_class.py",
    "figures/test_fully_connected.py",
    "figures/test_convolution.py",
]

pytestmark = pytest.mark.slow


def uv(*arguments, cwd=ROOT, **environment) -> str:
    """The output of a uv command, run outside this environment."""
    program = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    ours = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH")
    outside = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        env={**outside, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip_install(environment: Path, *packages: str) -> None:
    options = ["--quiet", "--exclude-newer", EXCLUDE_NEWER, "--python", environment]
    uv("pip", "install", *options, *packages)


def add_kernel(folder: Path, display_name: str) -> Path:
    """Make the environment ``folder/env`` a Jupyter kernel called ``colab``; returns ``folder``."""
    kernel = folder / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    python = str(folder / "env" / "bin" / "python")
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": display_name, "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> Path:
    """The folder of an environment with Colab's versions."""
    folder = tmp_path_factory.mktemp("colab")
    uv("venv", "--quiet", folder / "env")
    pip_install(folder / "env", *COLAB.split())
    return add_kernel(folder, "Colab")


def installed_versions(folder: Path) -> set[str]:
    listing = uv("pip", "list", "--format", "json", "--python", folder / "env")
    return {f"{item['name'].lower()}=={item['version']}" for item in json.loads(listing)}


def run_without_checkout(
    notebook, kernel: Path, folder: Path, monkeypatch, **environment
) -> dict[str, str]:
    """Run a notebook in an empty folder without the checkout; returns cell id -> error."""
    monkeypatch.setenv("JUPYTER_PATH", str(kernel / "jupyter"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    # This machine's pip constraints do not apply in Colab.
    monkeypatch.setenv("PIP_CONSTRAINT", os.devnull)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="colab",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return {
        cell["id"]: output["evalue"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    }


@pytest.mark.parametrize("name", LESSONS)
def test_notebook_runs_without_checkout_in_colab(name, colab, wheel, tmp_path, monkeypatch):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    lesson = read_lesson(ROOT / "solutions" / f"{name}.md")
    for cell in notebook.cells:  # answer as in Colab: type into the form
        for question in lesson.questions:
            if cell["id"] == f"{question.name}-answer":
                cell.source = cell.source.replace('answer = ""', f'answer = "{question.right}"')
    before = installed_versions(colab)
    errors = run_without_checkout(notebook, colab, tmp_path, monkeypatch, COURSE_SOURCE=wheel)
    assert set(errors) <= {exercise.name for exercise in lesson.exercises}, errors
    after = installed_versions(colab)
    assert before <= after, before - after
    assert {item.split("==")[0] for item in after - before} <= NEW_IN_COLAB
    outputs = {cell["id"]: str(cell.get("outputs")) for cell in notebook.cells}
    for question in lesson.questions:
        assert f"Recorded: {question.right}." in outputs[question.name], question.name


def test_first_cell_asks_for_the_source_of_the_course(tmp_path, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("bare")
    uv("venv", "--quiet", folder / "env")
    pip_install(folder / "env", "ipykernel")
    add_kernel(folder, "Bare")
    notebook = nbformat.read(sorted((ROOT / "notebooks").glob("01_*.ipynb"))[0], as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell["id"] == "setup"]
    monkeypatch.delenv("COURSE_SOURCE", raising=False)
    errors = run_without_checkout(notebook, folder, tmp_path, monkeypatch)
    assert "COURSE_SOURCE" in errors["setup"]


def test_lowest_dependencies(tmp_path):
    """The library's fast tests pass with every direct dependency at its lower bound."""
    ignored = (".git", ".venv", ".uv", "uv.lock", "workspace", "__pycache__")
    copy = shutil.copytree(ROOT, tmp_path / "course", ignore=shutil.ignore_patterns(*ignored))
    options = ["--quiet", "--resolution", "lowest-direct", "--extra", "lab"]
    uv("sync", *options, cwd=copy, UV_PROJECT_ENVIRONMENT=str(tmp_path / "env"))
    python = tmp_path / "env" / "bin" / "python"
    command = [python, "-m", "pytest", "-q", "-W", "default"]
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in LOWEST_TESTS)],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
