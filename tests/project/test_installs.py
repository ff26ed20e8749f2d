"""The course in other people's environments: Colab's, the oldest that the bounds allow, a wheel
alone.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.checkout import ROOT

# What Colab's image of August 2026 has (the newest torch stands for its torch). Its Python is 3.13.
COLAB = """
ipython==7.34.0 ipywidgets==7.7.1 widgetsnbextension==3.6.10 ipykernel==6.17.1 jupyter_client==7.4.9 traitlets==5.7.1
numpy==2.1.3 scipy==1.16.3 matplotlib==3.10.0 pillow==11.3.0 scikit-image==0.25.2 scikit-learn==1.6.1
safetensors==0.8.0 tqdm==4.67.3 typer==0.27.1 rich==13.9.4 regex==2025.11.3 pip setuptools torch torchvision
"""
# jaxtyping needs wadler-lindig, both small
NEW_IN_COLAB = {
    "pixels-to-diffusion",
    "jaxtyping",
    "wadler-lindig",
}
DAY = "2026-11-15"

pytestmark = pytest.mark.slow


def uv(*arguments, cwd=ROOT, **environment) -> str:
    program = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    outside = {
        k: v
        for k, v in os.environ.items()
        if k not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH")
    }
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        env={**outside, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> Path:
    """An environment with Colab's versions, as a Jupyter kernel; returns its folder."""
    folder = tmp_path_factory.mktemp("colab")
    uv("venv", "--quiet", folder / "env")
    uv(
        "pip",
        "install",
        "--quiet",
        "--exclude-newer",
        DAY,
        "--python",
        folder / "env",
        *COLAB.split(),
    )
    kernel = folder / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    python = str(folder / "env" / "bin" / "python")
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Colab", "language": "python"})
    )
    return folder


def versions(folder: Path) -> set[str]:
    listed = uv("pip", "list", "--format", "json", "--python", folder / "env")
    return {f"{item['name'].lower()}=={item['version']}" for item in json.loads(listed)}


def run_alone(notebook, colab, folder, monkeypatch, **environment):
    """Run a notebook as Colab does: alone in an empty folder, with no checkout in reach."""
    monkeypatch.setenv("JUPYTER_PATH", str(colab / "jupyter"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    # versions that this machine holds pip to are not Colab's
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


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.md"))
)
def test_one_notebook_alone_in_colab(name, colab, wheel, tmp_path, monkeypatch):
    from course_grading.assign.source import read

    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    lesson = read(ROOT / "solutions" / f"{name}.md")
    for cell in notebook.cells:  # answered as in Colab: typed into the form
        for question in lesson.questions:
            if cell["id"] == f"{question.name}-answer":
                cell.source = cell.source.replace('answer = ""', f'answer = "{question.right}"')
    before = versions(colab)
    stopped = run_alone(notebook, colab, tmp_path, monkeypatch, COURSE_SOURCE=wheel)
    assert set(stopped) <= {exercise.name for exercise in lesson.exercises}, stopped
    after = versions(colab)
    assert before <= after, before - after
    assert {item.split("==")[0] for item in after - before} <= NEW_IN_COLAB
    told = {cell["id"]: str(cell.get("outputs")) for cell in notebook.cells}
    for question in lesson.questions:
        assert f"Recorded: {question.right}." in told[question.name], question.name


def test_without_a_source_the_first_cell_says_what_to_set(tmp_path, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("bare")
    uv("venv", "--quiet", folder / "env")
    uv("pip", "install", "--quiet", "--exclude-newer", DAY, "--python", folder / "env", "ipykernel")
    kernel = folder / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    argv = [
        str(folder / "env" / "bin" / "python"),
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    ]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Bare", "language": "python"})
    )
    notebook = nbformat.read(sorted((ROOT / "notebooks").glob("01_*.ipynb"))[0], as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell["id"] == "setup"]
    monkeypatch.delenv("COURSE_SOURCE", raising=False)
    stopped = run_alone(notebook, folder, tmp_path, monkeypatch)
    assert "COURSE_SOURCE" in stopped["setup"]


def test_the_lowest_versions_that_the_bounds_allow(tmp_path):
    """Resolve every direct dependency at its lower bound, and pass the fast tests of the library
    with it.
    """
    copy = shutil.copytree(
        ROOT,
        tmp_path / "course",
        ignore=shutil.ignore_patterns(
            ".git", ".venv", ".uv", "uv.lock", "workspace", "__pycache__"
        ),
    )
    uv(
        "sync",
        "--quiet",
        "--resolution",
        "lowest-direct",
        "--extra",
        "lab",
        cwd=copy,
        UV_PROJECT_ENVIRONMENT=str(tmp_path / "env"),
    )
    rooms = ["assets", "convolution", "profiling", "quiz", "grading/assign", "grading/autograde"]
    files = [
        "data/test_digits.py",
        "data/test_photos.py",
        "training/test_loop.py",
        "grading/test_class.py",
    ]
    files += ["figures/test_fully_connected.py", "figures/test_convolution.py"]
    done = subprocess.run(
        [
            tmp_path / "env" / "bin" / "python",
            "-m",
            "pytest",
            "-q",
            "-W",
            "default",
            *[f"tests/{name}" for name in [*rooms, *files]],
        ],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
