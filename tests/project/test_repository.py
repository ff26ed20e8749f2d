"""What holds of the repository as a whole: its front door, its dependencies, its sizes, its
manners.
"""

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

REGISTRIES = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "registry.yarnpkg" + ".com",
]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def tracked(root):
    """Every file that git tracks or would add."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [root / name for name in names if (root / name).is_file()]


def commands(text: str) -> list[str]:
    """The shell commands of the README's fenced blocks, in order."""
    return [block.strip() for block in re.findall(r"```(?:sh|bash)\n(.*?)```", text, re.DOTALL)]


def test_readme_opens_with_two_commands_and_ci_runs_the_second_and_a_third_draws(root):
    readme = (root / "README.md").read_text()
    start, test, draw = commands(readme.split("\n## ")[0])
    assert draw.startswith(".uv/bin/uv run course generate ")
    assert start.endswith("course lab") and test.endswith("pytest")
    for command in (start, test):
        assert command.startswith(
            "python3 -m venv .uv && .uv/bin/pip install -q uv && .uv/bin/uv run "
        )
    assert f"\n{test}\n" in (root / ".ci" / "run").read_text()


def test_readme_map_has_every_lesson(root):
    readme = (root / "README.md").read_text()
    for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        if path.name.count(".") == 1:
            assert f"notebooks/{path.name}" in readme


def test_readme_links_and_pictures_exist(root):
    readme = (root / "README.md").read_text()
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", readme):
        assert alt.strip(), target
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", readme):
        assert (root / target).exists(), target


def everything(project) -> list[Requirement]:
    """The dependencies and those of the extras that ``lab`` brings; the course names itself for the
    latter.
    """
    extras = project["project"]["optional-dependencies"]
    declared = map(
        Requirement, [*project["project"]["dependencies"], *extras["metrics"], *extras["lab"]]
    )
    return [
        requirement for requirement in declared if requirement.name != project["project"]["name"]
    ]


def test_conda_environment_says_the_same(root, project):
    import yaml

    environment = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    listed = {
        Requirement(line).name: Requirement(line).specifier
        for line in environment
        if isinstance(line, str)
    }
    assert (
        listed.pop("python")
        == Requirement("python" + project["project"]["requires-python"]).specifier
    )
    listed.pop("pip")
    declared = everything(project)
    wanted = {CONDA_NAMES.get(r.name, r.name): r.specifier for r in declared}
    assert listed == wanted


def test_dependencies_have_a_lower_bound_and_no_upper_one(project):
    declared = everything(project)
    for requirement in declared:
        assert [s.operator for s in requirement.specifier] == [">="], requirement


def test_importing_the_course_loads_nothing_heavy():
    code = "import sys, course_lib; print(sorted(set(sys.modules) & {'torch', 'matplotlib', 'numpy', 'IPython', 'typer'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_starts_without_torch():
    code = "import sys, course_lib.cli; print(sorted(set(sys.modules) & {'torch', 'matplotlib', 'numpy', 'nbgrader'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_names_a_registrys_host(tracked):
    for path in tracked:
        text = path.read_bytes().decode(errors="ignore")
        assert not [host for host in REGISTRIES if host in text], path
        assert path.name not in ("uv.lock", "poetry.lock", "package-lock.json")


def test_sizes(tracked):
    sizes = {path: path.stat().st_size for path in tracked}
    assert max(sizes.values()) <= 15 * 2**20, max(sizes, key=sizes.get)
    assert sum(sizes.values()) <= 56 * 2**20


def test_files_stay_readable(tracked):
    """No Python file above 300 lines without a reason at its top."""
    for path in tracked:
        if path.suffix == ".py" and "course_lib" in path.parts:
            lines = path.read_text().splitlines()
            assert len(lines) <= 300 or "300 lines" in "\n".join(lines[:20]), (path, len(lines))


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff(root, command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_carries_data_bank_and_extension(project):
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"data": "course_lib/_assets"}
    assert wheel["packages"] == ["course_lib"]
    assert list(wheel["shared-data"]) == ["course_lib/quiz/labextension"]
