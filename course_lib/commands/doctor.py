"""What this machine can do for the course, and how to mend what is missing: ``course doctor``."""

import os
import platform
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from importlib import metadata

DISTRIBUTION = "pixels-to-diffusion"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, how it is here, whether that will do, and the fix if not.

    ``needed`` is False where the course runs without it, less well. ``details`` are for machines
    only: ``--json``.
    """

    what: str
    here: str
    ok: bool
    needed: bool
    mend: str
    details: tuple[dict[str, str], ...] = ()


def examine() -> list[Finding]:
    """Look at everything, the most basic first. Nothing raises: what breaks is a finding too."""
    found: list[Finding] = []
    for look in (
        *(_python, _packages, _device, _memory, _data, _licences),
        *(_lab, _extension, _nbgrader, _sandbox, _browser),
    ):
        try:
            found += look()
        except Exception as error:  # a doctor that falls ill helps nobody
            found.append(
                Finding(
                    look.__name__.strip("_"),
                    f"{type(error).__name__}: {error}",
                    False,
                    True,
                    _REINSTALL,
                )
            )
    return found


_REINSTALL = "in the clone: uv sync --extra lab --reinstall"


def _python() -> list[Finding]:
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        Finding("Python", here, sys.version_info >= (3, 11), True, "install Python 3.11 or newer")
    ]


def _packages() -> list[Finding]:
    """The versions here against the bounds that the course declares."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        return [
            Finding("the course", "not installed", False, True, "in the clone: uv sync --extra lab")
        ]
    found = []
    for requirement in required:
        extra = None if requirement.marker is None else "lab"
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "lab"}):
            continue
        needed = extra is None
        try:
            here = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            here = "not installed"
        ok = here != "not installed" and requirement.specifier.contains(here, prereleases=True)
        mend = f"install {requirement.name}{requirement.specifier}: uv sync --extra lab"
        found.append(Finding(requirement.name, here, ok, needed, mend))
    return found


def _device() -> list[Finding]:
    import torch

    from course_lib.device import best_device

    device = best_device()
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        here = (
            f"{torch.cuda.get_device_name()}, {total / 2**30:.0f} GiB, {free / 2**30:.0f} GiB free"
        )
    elif device.type == "mps":
        here = "Apple GPU (MPS)"
    else:
        here = f"CPU, {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads: every lesson runs on it"
    return [Finding("device", here, True, True, "")]


def _memory() -> list[Finding]:
    try:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return [Finding("memory", "not known on this system", True, False, "")]
    return [
        Finding(
            "memory",
            f"{gib:.1f} GiB",
            gib >= 3.5,
            False,
            "close other programs: 4 GiB make it comfortable",
        )
    ]


def _data() -> list[Finding]:
    from course_lib.assets import checksums

    problems = checksums.verify()
    mend = "in the clone: git checkout -- data. Elsewhere: install the course again"
    return [
        Finding(
            "data and checkpoints",
            "; ".join(problems) or "intact by checksum",
            not problems,
            True,
            mend,
        )
    ]


def _licences() -> list[Finding]:
    """How many of the embedded files stand under which licence; whose each file is goes into the
    details.
    """
    from course_lib.assets import licences

    credits = {credit.file: credit for credit in licences.credits()}
    files = licences.files()
    missing = [file for file in files if file not in credits]
    counts = Counter(credits[file].licence for file in files if file in credits)
    here = ", ".join(f"{count} {licence}" for licence, count in counts.most_common())
    here += f"; not told for {', '.join(missing)}" if missing else "; credits in data/LICENSES.md"
    mend = "add a row for each of these files to data/LICENSES.md"
    details = tuple(asdict(credits[file]) for file in files if file in credits)
    return [Finding("licences of the data", here, not missing, False, mend, details)]


def _lab() -> list[Finding]:
    from importlib.util import find_spec

    ok = find_spec("jupyterlab") is not None
    here = f"JupyterLab {metadata.version('jupyterlab')}" if ok else "not installed"
    return [
        Finding(
            "notebook interface", here, ok, False, "uv sync --extra lab; or use VS Code or Colab"
        )
    ]


def _extension() -> list[Finding]:
    """Whether a click in a question is written into the notebook, as JupyterLab itself tells it."""
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        return []
    from jupyter_core.paths import jupyter_path
    from jupyterlab.commands import AppOptions, get_app_info

    name = "pixels-to-diffusion-quiz"
    told = get_app_info(AppOptions(labextensions_path=jupyter_path("labextensions")))
    off = [
        plugin
        for plugin, disabled in told["disabled"].items()
        if disabled and plugin.split(":")[0] == name
    ]
    ok = name in told["federated_extensions"] and not off
    mend = f"{_REINSTALL}; if it was disabled: jupyter labextension enable {name}. Until then type the letters"
    return [
        Finding(
            "questions save a click",
            "extension enabled" if ok else "extension not enabled",
            ok,
            False,
            mend,
        )
    ]


def _nbgrader() -> list[Finding]:
    try:
        here = metadata.version("nbgrader")
    except metadata.PackageNotFoundError:
        return [
            Finding(
                "grading",
                "nbgrader is not installed",
                False,
                False,
                "for instructors: uv sync --extra lab",
            )
        ]
    beside = os.path.join(os.path.dirname(sys.executable), "alembic")
    ok = bool(shutil.which("alembic") or shutil.which(beside))
    return [
        Finding(
            "grading",
            f"nbgrader {here}" + ("" if ok else ", without alembic"),
            ok,
            False,
            _REINSTALL,
        )
    ]


def _sandbox() -> list[Finding]:
    """Whether students' code can be shut in here, and what it is then held to."""
    from course_grading.sandbox import host

    why_not = host.available()
    reason, _, mend = (why_not or "").partition(": ")
    here = reason or "; ".join(host.enforced())
    return [Finding("sandbox for students' code", here, why_not is None, False, mend)]


def _browser() -> list[Finding]:
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    mend = "only the browser tests need it: install chromium"
    return [Finding("browser for the tests", found or "none found", found is not None, False, mend)]
