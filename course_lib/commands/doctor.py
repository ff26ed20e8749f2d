"""``course doctor``: whether this machine can run the course, and how to fix each problem."""

import json
import os
import platform
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Annotated

import typer

DISTRIBUTION = "pixels-to-diffusion"
_REINSTALL = "in the clone: uv sync --extra lab --reinstall"


@dataclass(frozen=True)
class Finding:
    """The result of one check: its name, the state found, whether it suffices, and how to fix
    it otherwise.

    ``required`` is False if the course runs without it. ``details`` are for ``--json`` only.
    """

    name: str
    state: str
    ok: bool
    required: bool
    fix: str
    details: tuple[dict[str, str], ...] = ()


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check whether this machine can run the course, and how to fix each problem."""
    findings = examine()
    failed = [finding for finding in findings if finding.required and not finding.ok]
    if as_json:
        report = {"ok": not failed, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, indent=2))
    else:
        _print_table(findings)
        print(
            "A check that the course requires has failed: see its fix."
            if failed
            else "This machine can run the course."
        )
    raise typer.Exit(1 if failed else 0)


def _print_table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("", "checked", "found", "fix"):
        table.add_column(column)
    for finding in findings:
        if finding.ok:
            table.add_row("[green]ok[/]", finding.name, finding.state, "")
        else:
            mark = "[red]failed[/]" if finding.required else "[yellow]warning[/]"
            table.add_row(mark, finding.name, finding.state, finding.fix)
    Console().print(table)


def examine() -> list[Finding]:
    """Run all checks, the most basic first. Never raises: an error in a check is a finding too."""
    findings: list[Finding] = []
    for check in (
        _python,
        _packages,
        _device,
        _memory,
        _data,
        _licences,
        _lab,
        _extension,
        _nbgrader,
        _sandbox,
        _browser,
    ):
        try:
            findings += check()
        except Exception as error:  # an error in one check must not abort the report
            name = check.__name__.strip("_")
            state = f"{type(error).__name__}: {error}"
            findings.append(Finding(name, state, False, True, _REINSTALL))
    return findings


def _python() -> list[Finding]:
    state = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = sys.version_info >= (3, 11)
    return [Finding("Python", state, ok, True, "install Python 3.11 or newer")]


def _packages() -> list[Finding]:
    """The installed versions, checked against the declared version specifiers."""
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        fix = "in the clone: uv sync --extra lab"
        return [Finding("the course", "not installed", False, True, fix)]
    findings = []
    for requirement in declared:
        required = requirement.marker is None  # the others belong to extras
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "lab"}):
            continue
        try:
            version = metadata.version(requirement.name)
            ok = requirement.specifier.contains(version, prereleases=True)
        except metadata.PackageNotFoundError:
            version, ok = "not installed", False
        fix = f"install {requirement.name}{requirement.specifier}: uv sync --extra lab"
        findings.append(Finding(requirement.name, version, ok, required, fix))
    return findings


def _device() -> list[Finding]:
    import torch

    from course_lib.device import best_device

    device = best_device()
    if device.type == "cuda":
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
        state = f"{torch.cuda.get_device_name()}, {total:.0f} GiB, {free:.0f} GiB free"
    elif device.type == "mps":
        state = "Apple GPU (MPS)"
    else:
        state = (
            f"CPU, {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads: "
            "every lesson runs on it"
        )
    return [Finding("device", state, True, True, "")]


def _memory() -> list[Finding]:
    try:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return [Finding("memory", "unknown on this system", True, False, "")]
    fix = "close other programs: the course needs about 4 GiB"
    return [Finding("memory", f"{gib:.1f} GiB", gib >= 3.5, False, fix)]


def _data() -> list[Finding]:
    from course_lib.assets import checksums

    problems = checksums.verify()
    state = "; ".join(problems) or "checksums match"
    # git checkout restores deleted files, but skips a changed file that its index takes for clean.
    fix = "in the clone: delete data/, then git checkout -- data; elsewhere: reinstall the course"
    return [Finding("data and checkpoints", state, not problems, True, fix)]


def _licences() -> list[Finding]:
    """The number of bundled files per licence; the credit of each file is in the details."""
    from course_lib.assets import licences

    credits = {credit.file: credit for credit in licences.read_credits()}
    files = licences.files_to_credit()
    missing = [file for file in files if file not in credits]
    counts = Counter(credits[file].licence for file in files if file in credits)
    state = ", ".join(f"{count} {licence}" for licence, count in counts.most_common())
    state += f"; none for {', '.join(missing)}" if missing else "; credits in data/LICENSES.md"
    fix = "maintainers: add a row for each of these files to data/LICENSES.md"
    details = tuple(asdict(credits[file]) for file in files if file in credits)
    return [Finding("licences of the data", state, not missing, False, fix, details)]


def _lab() -> list[Finding]:
    ok = find_spec("jupyterlab") is not None
    state = f"JupyterLab {metadata.version('jupyterlab')}" if ok else "not installed"
    fix = "uv sync --extra lab; or use VS Code or Colab"
    return [Finding("notebook interface", state, ok, False, fix)]


def _extension() -> list[Finding]:
    """Whether JupyterLab loads the extension that saves a question's answer in the notebook."""
    if find_spec("jupyterlab") is None:
        return []
    from jupyter_core.paths import jupyter_path
    from jupyterlab.commands import AppOptions, get_app_info

    name = "pixels-to-diffusion-quiz"
    info = get_app_info(AppOptions(labextensions_path=jupyter_path("labextensions")))
    plugins = [plugin for plugin, disabled in info["disabled"].items() if disabled]
    disabled = any(plugin.split(":")[0] == name for plugin in plugins)
    ok = name in info["federated_extensions"] and not disabled
    state = "extension enabled" if ok else "extension not enabled"
    fix = (
        f"{_REINSTALL}; if it was disabled: jupyter labextension enable {name}. "
        "Until then, type the answer in the cell"
    )
    return [Finding("quiz extension (saves ticked answers)", state, ok, False, fix)]


def _nbgrader() -> list[Finding]:
    try:
        version = metadata.version("nbgrader")
    except metadata.PackageNotFoundError:
        fix = "for instructors only: uv sync --extra lab"
        return [Finding("grading", "nbgrader is not installed", False, False, fix)]
    in_environment = os.path.join(os.path.dirname(sys.executable), "alembic")
    ok = bool(shutil.which("alembic") or shutil.which(in_environment))
    state = f"nbgrader {version}" + ("" if ok else ", without alembic")
    return [Finding("grading", state, ok, False, _REINSTALL)]


def _sandbox() -> list[Finding]:
    """Whether students' code can be run in a sandbox here, and its limits."""
    from course_grading.sandbox import host

    why_not = host.unavailable_reason()
    reason, _, fix = (why_not or "").partition(": ")
    state = reason or "; ".join(host.describe_limits())
    return [Finding("sandbox for students' code", state, why_not is None, False, fix)]


def _browser() -> list[Finding]:
    paths = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    path = next(paths, None)
    fix = "only the browser tests need it: install chromium"
    return [Finding("browser for the tests", path or "none", path is not None, False, fix)]
