"""The hostile and broken submissions of ``tests/grading/attacks``: what each hands in, what it may
earn, and what it must not touch.

One Markdown file per attack: the heading says what it tries, the list what is expected, and the
code blocks are the sources of cells. The words after ``python`` name the cells::

    # Read the answers from the instructor's notebook

    - earns: 0

    ```python which-letters-answer
    answer = ...
    ```

``earns`` is what the visible work is worth: no grader may give more. ``ends: graded`` asks for
exactly that (a notebook that was damaged without its learner's fault), ``ends: listed`` for a
problem whose reason contains ``says``; without ``ends`` a submission may be graded, flagged for
manual grading, or listed. ``base: solved`` starts from a notebook with all six points in place of
the blank release. ``recipe`` names functions of :mod:`.attack_recipes` and :mod:`.attack_files`:
they damage the notebook or make a file that nobody wants to commit.

A place is a cell id of the lesson, ``top`` or ``end`` for a new cell, or ``file:NAME`` for a file
next to the notebook. ``@WORKSPACE@`` and similar words become paths of the :class:`World`: an
attacker knows them all. An attack prints secrets that it has read after the word LEAK and a hyphen,
which its source spells in two parts.
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

from tests.support.checkout import ATTACKS, SAMPLE

LESSON = "01_sample"
FOLDER = ATTACKS
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
    """One submission. ``name`` begins with its group: ``reading-gradebook`` tries to read."""

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
    """Every attack, in the order of their names."""
    return [_read(path) for path in sorted(FOLDER.glob("*.md"))]


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
    """A workspace with things in it and around it that a submission must neither change nor
    learn.
    """

    workspace: Path
    handed_in: Path  # the class's folder of submissions
    canary: Path  # nothing in here may change
    home: Path
    package: Path  # the course_lib that grades
    secret: str  # the course secret; it is also in the environment of the grader
    process_mark: str  # on the command line of every process that an attack leaves behind
    listener: socket.socket  # nobody may connect

    @property
    def placeholders(self) -> dict[str, str]:
        return {
            "@WORKSPACE@": str(self.workspace),
            "@HANDED_IN@": str(self.handed_in),
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
    handed_in = root / "class"
    for folder in (canary / "thesis", home / ".ipython" / "profile_default" / "startup", handed_in):
        folder.mkdir(parents=True)
    (canary / "thesis" / "chapter.txt").write_text("three years of work")
    (home / ".bashrc").write_text("# as it was\n")
    secret = secrets.token_hex(32)
    (workspace / "secret").write_text(secret)
    (workspace / "secret").chmod(0o600)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    process_mark = f"course-attack-{secrets.token_hex(4)}"
    return World(workspace, handed_in, canary, home, package, secret, process_mark, listener)


def released_notebook(world: World) -> dict:
    """The released lesson as plain JSON, each source one string."""
    path = world.workspace / "release" / LESSON / f"{LESSON}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def hand_in_honest(world: World, student: str) -> None:
    """Hand in a notebook that earns all six points."""
    _write(_fill(released_notebook(world), _HONEST), world.handed_in / student)


def hand_in(attack: Attack, world: World) -> Path:
    """Make an attack's folder among the submissions; the student has the attack's name."""
    from tests.support import attack_files, attack_recipes

    folder = world.handed_in / attack.name
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
    """The state by path of files that no submission may change, to compare before and after."""
    roots = [
        world.canary,
        world.handed_in,
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
    """Whether something connected to the port that nobody may reach."""
    try:
        world.listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def leaks(world: World) -> list[Path]:
    """Files of the workspace, except the planted secret, that contain a leak or the secret."""
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
    """The processes that attacks left behind: their command lines hold the mark."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if world.process_mark.encode() in (folder / "cmdline").read_bytes():
                pids.append(int(folder.name))
        except OSError:
            continue
    return pids


def clean_up(world: World) -> None:
    """Make everything removable again, and close the port."""
    world.listener.close()
    for path in [world.canary, *world.canary.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(world.handed_in)
