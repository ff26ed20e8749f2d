"""The only resolver of files: a checkout's ``data/``, else the copy that travels in the wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The root of the checkout that this package runs from, or None when it was installed from a
    wheel.
    """
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "solutions").is_dir() else None


def data(*parts: str) -> Path:
    """The path of an embedded file, for example ``data("photos", "coffee.png")``.

    Raises:
        FileNotFoundError: if the file is not there; the message says how to get it back.
    """
    root = checkout()
    folder = root / "data" if root else PACKAGE / "_assets"
    path = folder.joinpath(*parts)
    if not path.exists():
        mend = f"git checkout -- data/{'/'.join(parts)}" if root else "install the course again"
        raise FileNotFoundError(f"The course's file {path} is missing. To bring it back: {mend}")
    return path
