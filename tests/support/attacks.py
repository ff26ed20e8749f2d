"""The hostile and broken submissions of ``tests/grading/attacks``: files, expected scores, and the
files that they must not change.

One Markdown file per attack: the heading states its aim, the list the expected result, and the code
blocks are the sources of cells. The words after ``python`` are the cells' ids::

    # Read the answers from the instructor's notebook

    - earns: 0

    ```python which-letters-answer
    answer = ...
    ```

``earns`` is the score that the visible work deserves: the grader must not give more. ``ends:
graded`` requires exactly this score (for a notebook that was damaged through no fault of the
learner), ``ends: listed`` a problem whose reason contains ``says``; without ``ends`` a submission
may be graded, flagged for manual grading, or listed as a problem. ``base: solved`` starts from a
notebook that earns all six points instead of the blank release. ``recipe`` names functions of
:mod:`.attack_recipes` and :mod:`.attack_files`, which damage the notebook or write a file that is
unsuitable for the repository.

A place is a cell id of the lesson, ``top`` or ``end`` for a new cell, or ``file:NAME`` for a file
next to the notebook. ``@WORKSPACE@`` and similar placeholders become paths of the :class:`World`,
since attackers are assumed to know them. An attack prints each secret that it has read after the
word LEAK and a hyphen, which its source spells in two parts.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.checkout import ATTACKS_FOLDER, SAMPLE

LESSON = "01_sample"
LEAK = b"LEAK-"
_SETTING = re.compile(r"^- (?P<key>earns|ends|says|base|recipe): (?P<value>.+)$", re.M)
_BLOCK = re.compile(r"^```python (?P<places>[^\n]+)\n(?P<code>.*?)^```$", re.M | re.S)
_HONEST = {
    "which-letters-answer": 'answer = "AC"\nquiz.answer("which-letters", answer)',
    "how-many-answer": 'answer = "B"\nquiz.answer("how-many", answer)',
    "double-code": "# Exercise: double (2 points)\ndef double(x):\n    return x + x",
}


@dataclass(frozen=True)
class Attack:
    """A submission. ``name`` starts with its group: ``reading`` in ``reading-gradebook``."""

    name: str
    description: str
    earns: float
    outcome: str  # "graded", "listed", or "" for either
    reason: str
    solved: bool
    recipes: list[str] = field(default_factory=list)
    blocks: list[tuple[str, str]] = field(default_factory=list)

    @property
    def group(self) -> str:
        return self.name.split("-")[0]


def load_attacks() -> list[Attack]:
    """Every attack, sorted by name."""
    return [_read(path) for path in sorted(ATTACKS_FOLDER.glob("*.md"))]


def _read(path: Path) -> Attack:
    text = path.read_text(encoding="utf-8")
    settings = {match["key"]: match["value"].strip() for match in _SETTING.finditer(text)}
    return Attack(
        name=path.stem,
        description=text.split("\n", 1)[0].removeprefix("# "),
        earns=float(settings["earns"]),
        outcome=settings.get("ends", ""),
        reason=settings.get("says", ""),
        solved=settings.get("base") == "solved",
        recipes=[name.strip() for name in settings.get("recipe", "").split(",") if name.strip()],
        blocks=[
            (place, match["code"])
            for match in _BLOCK.finditer(text)
            for place in match["places"].split()
        ],
    )


@dataclass(frozen=True)
class World:
    """A workspace with canaries in and around it that submissions must neither change nor read."""

    workspace: Path
    class_folder: Path  # the folder of submissions
    canary: Path  # its contents must not change
    home: Path
    package: Path  # the course_lib that grades
    secret: str  # the course secret, also in the grader's environment
    process_mark: str  # in the command line of every process that an attack leaves behind
    listener: socket.socket  # no attack may connect

    @property
    def placeholders(self) -> dict[str, str]:
        return {
            "@WORKSPACE@": str(self.workspace),
            "@HANDED_IN@": str(self.class_folder),
            "@CANARY@": str(self.canary),
            "@PACKAGE@": str(self.package),
            "@SAMPLE@": str(SAMPLE),
            "@MARK@": self.process_mark,
            "@PORT@": str(self.listener.getsockname()[1]),
        }


def make_world(root: Path, workspace: Path, package: Path) -> World:
    """Plant canaries under ``root``. The caller sets ``HOME`` to ``home`` and ``COURSE_CANARY`` to
    ``secret``.
    """
    canary = root / "canary"
    home = root / "home"
    class_folder = root / "class"
    for folder in (
        canary / "thesis",
        home / ".ipython" / "profile_default" / "startup",
        class_folder,
    ):
        folder.mkdir(parents=True)
    (canary / "thesis" / "chapter.txt").write_text("three years of work")
    (home / ".bashrc").write_text("# as it was\n")
    secret = secrets.token_hex(32)
    (workspace / "secret").write_text(secret)
    (workspace / "secret").chmod(0o600)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    process_mark = f"course-attack-{secrets.token_hex(4)}"
    return World(workspace, class_folder, canary, home, package, secret, process_mark, listener)


def released_notebook(world: World) -> dict:
    """The released lesson as plain JSON, each source one string."""
    path = world.workspace / "release" / LESSON / f"{LESSON}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def submit_honest(world: World, student: str) -> None:
    """Submit a notebook that earns all six points."""
    _write(_fill(released_notebook(world), _HONEST), world.class_folder / student)


def submit(attack: Attack, world: World) -> Path:
    """Write an attack's submission; the student has the attack's name."""
    from tests.support import attack_files, attack_recipes

    folder = world.class_folder / attack.name
    folder.mkdir(parents=True)
    notebook = _fill(released_notebook(world), _HONEST if attack.solved else {})
    for place, code in attack.blocks:
        for placeholder, path in world.placeholders.items():
            code = code.replace(placeholder, path)
        if place.startswith("file:"):
            path = folder / place.removeprefix("file:")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        elif place in ("top", "end"):
            cell = {"cell_type": "code", "id": f"mine-{place}", "metadata": {}, "source": code}
            cell |= {"outputs": [], "execution_count": None}
            notebook["cells"].insert(0 if place == "top" else len(notebook["cells"]), cell)
        else:
            notebook = _fill(notebook, {place: code})
    for recipe in attack.recipes:
        change = getattr(attack_recipes, recipe, None) or getattr(attack_files, recipe)
        notebook = change(notebook, folder, world)
    if notebook is not None:
        _write(notebook, folder)
    return folder


def _fill(notebook: dict, sources: dict[str, str]) -> dict:
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    for place, source in sources.items():
        cells[place]["source"] = source.rstrip("\n")
    return notebook


def _write(notebook: dict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{LESSON}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def snapshot(world: World) -> dict[str, str]:
    """Path -> state of the files that no submission may change."""
    roots = [
        world.canary,
        world.class_folder,
        world.workspace / "source",
        world.workspace / "release",
        world.package,
        world.workspace / "secret",
        world.home / ".bashrc",
        world.home / ".local",
        *(world.home / ".ipython" / "profile_default" / "startup").glob("*.py"),
    ]
    return {str(path): _state(path) for root in roots for path in _walk(root)}


def _walk(root: Path) -> Iterator[Path]:
    if root.is_symlink() or root.exists():
        yield root
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(folder) / name for name in [*folders, *files])


def _state(path: Path) -> str:
    status = path.lstat()
    mode = stat.filemode(status.st_mode)
    if path.is_symlink():
        return f"{mode} -> {os.readlink(path)}"
    if not stat.S_ISREG(status.st_mode):
        return mode
    with path.open("rb") as file:
        return f"{mode} {status.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def was_contacted(world: World) -> bool:
    """Whether any attack connected to the listener's port."""
    try:
        world.listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def leaks(world: World) -> list[Path]:
    """The files of the workspace that contain a leak or the secret, except the secret file."""
    paths = []
    for path in _walk(world.workspace):
        try:
            if stat.S_ISREG(path.lstat().st_mode) and path != world.workspace / "secret":
                content = path.read_bytes()
                if LEAK in content or world.secret.encode() in content:
                    paths.append(path)
        except OSError:  # a path that is too long, or a file that is gone
            continue
    return paths


def surviving_processes(world: World) -> list[int]:
    """The ids of processes that attacks left behind, found by the mark in the command line."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if world.process_mark.encode() in (folder / "cmdline").read_bytes():
                pids.append(int(folder.name))
        except OSError:
            continue
    return pids


def clean_up(world: World) -> None:
    """Restore the permissions, delete the submissions and close the port."""
    world.listener.close()
    for path in [world.canary, *world.canary.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(world.class_folder)
