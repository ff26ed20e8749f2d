"""The seed of a class: the key derived from it, and its record in the workspace."""

import hmac
import json
from pathlib import Path

from course_grading.assign import student_releases
from course_grading.autograde.answer_keys import course_secret
from course_grading.errors import BuildError


def variant_key(workspace: Path, seed: str, student: str = "") -> bytes:
    """The key that determines the variant of the class, or of a student.

    It is derived from the workspace's secret too: seeds are easily guessed, and lessons are public.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    message = json.dumps(["variant", seed, student]).encode()
    return hmac.digest(course_secret(workspace), message, "sha256")


def remember(workspace: Path, seed: str, per_student: bool) -> None:
    """Record the seed of the workspace's release."""
    built = {"seed": seed, "per_student": per_student}
    text = json.dumps(built, ensure_ascii=False) + "\n"
    _record_path(workspace).write_text(text, encoding="utf-8")


def check_same(workspace: Path, seed: str | None, per_student: bool) -> None:
    """Check that a seeded release is not replaced by a different one: students' submissions are
    graded with its answer key.

    Raises:
        BuildError: if the workspace's release was made with another seed, or without
            ``per_student``.
    """
    path = _record_path(workspace)
    try:
        built = json.loads(path.read_text(encoding="utf-8"))
        known = built["seed"], built["per_student"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(
            f"{path}, which records the seed of the release, can't be read: write "
            '{"seed": "...", "per_student": false} into it'
        ) from error
    if known == (seed, per_student):
        return
    options = f"--seed {known[0]}{' --per-student' if known[1] else ''}"
    raise BuildError(
        f"the release in {workspace} was made with {options}, and submissions are graded with its "
        f"key. Give the same options; or, for another class, move {workspace} away; or, if nothing "
        f"was handed out yet, delete {path.name}, {student_releases.RELEASES} and "
        f"{student_releases.SOURCES} there"
    )


def _record_path(workspace: Path) -> Path:
    return workspace / "variants.json"
