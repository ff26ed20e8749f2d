"""Where the bundled files are: in the checkout's ``data/``, or in the copy inside the wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The root of the checkout that contains this package, or None if it was installed from a
    wheel.
    """
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "solutions").is_dir() else None


def data_path(*parts: str) -> Path:
    """The path of a bundled file, for example ``data_path("photos", "coffee.png")``.

    Raises:
        FileNotFoundError: if the file is missing; the message says how to get it.
    """
    root = checkout()
    folder = root / "data" if root else PACKAGE / "_assets"
    path = folder.joinpath(*parts)
    if not path.exists():
        fix = how_to_restore("/".join(parts))
        raise FileNotFoundError(f"The course's file {path} is missing. To restore it: {fix}")
    return path


def expand_user(path: str | Path) -> Path:
    """The path with ``~`` expanded; unchanged if that names no user's home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def how_to_restore(name: str) -> str:
    """How to restore a missing bundled file, such as ``"photos/coffee.png"``."""
    return f"git checkout -- data/{name}" if checkout() else "reinstall the course"
