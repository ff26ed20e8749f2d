"""The declared dependencies, and the packages that an import loads."""

import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement

from tests.support.checkout import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def lab_requirements(project) -> list[Requirement]:
    """The core dependencies and those of the extras ``metrics`` and ``lab``."""
    extras = project["project"]["optional-dependencies"]
    lines = [*project["project"]["dependencies"], *extras["metrics"], *extras["lab"]]
    return [r for r in map(Requirement, lines) if r.name != project["project"]["name"]]


def test_conda_environment_lists_the_same_packages(project):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    conda = {Requirement(line).name: Requirement(line).specifier for line in lines}
    python = Requirement("python" + project["project"]["requires-python"])
    assert conda.pop("python") == python.specifier
    conda.pop("pip")
    expected = {CONDA_NAMES.get(r.name, r.name): r.specifier for r in lab_requirements(project)}
    assert conda == expected


def test_dependencies_have_a_lower_bound_and_no_upper_bound(project):
    dev = map(Requirement, project["dependency-groups"]["dev"])
    own = project["project"]["name"]
    for requirement in [*lab_requirements(project), *(r for r in dev if r.name != own)]:
        assert [s.operator for s in requirement.specifier] == [">="], requirement


@pytest.mark.parametrize(
    "module, heavy",
    [
        ("course_lib", {"torch", "matplotlib", "numpy", "IPython", "typer"}),
        ("course_lib.cli", {"torch", "matplotlib", "numpy", "nbgrader"}),
    ],
)
def test_import_loads_no_heavy_package(module, heavy):
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_wheel_contains_the_packages_the_data_and_the_extension(project):
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["course_lib", "grading/course_grading", "website/course_site"]
    assert wheel["force-include"] == {"data": "course_lib/_assets"}
    assert list(wheel["shared-data"]) == [
        "course_lib/quiz/labextension",
        "course_lib/commands/labextension",
    ]
