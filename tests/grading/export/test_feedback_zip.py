"""Feedback pages are written into zips that Moodle and Canvas import."""

import zipfile

import pytest
from course_grading.errors import ExportError
from course_grading.export import feedback_zip
from course_grading.gradebook import feedback, originals

NAME = "01_sample"


@pytest.fixture
def graded(tmp_path):
    """Makes a feedback page for a student whose submission has this file name."""

    def make(student: str, file: str) -> tuple[str, str]:
        page = feedback.page_path(tmp_path, student, NAME)
        page.parent.mkdir(parents=True)
        page.write_text(f"page of {student}")
        data = b"{}"
        digest = originals.digest(data)
        original = originals.Original(student, NAME, file, digest, None, "key", "result")
        originals.keep(tmp_path, original, data)
        return student, NAME

    return make


@pytest.mark.parametrize(
    ("platform", "student", "file", "name"),
    [
        (
            "moodle",
            "ada",
            f"class.zip/Ada Lovelace_1234567_assignsubmission_file_/{NAME}.ipynb",
            f"Ada Lovelace_1234567_assignsubmission_file/{NAME}.html",
        ),
        (
            "moodle",
            "Ada_Lovelace_1234567",
            f"Ada_Lovelace_1234567/{NAME}.ipynb",
            f"Ada Lovelace_1234567_assignsubmission_file/{NAME}.html",
        ),
        (
            "canvas",
            "ada",
            f"lovelaceada_101_98765_{NAME}.ipynb",
            f"lovelaceada_101_98765_{NAME}.html",
        ),
        (
            "canvas",
            "lovelaceada_LATE_101_98765",
            "x.ipynb",
            f"lovelaceada_LATE_101_98765_{NAME}.html",
        ),
    ],
)
def test_pages_have_the_names_that_the_platform_expects(
    graded, tmp_path, platform, student, file, name
):
    submissions = [graded(student, file), graded("eve", f"eve/{NAME}.ipynb")]
    (path,), (left_out,) = feedback_zip.write(tmp_path, platform, submissions, tmp_path / "out")
    assert path.name == f"{platform}-feedback-{NAME}.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [name]
        assert archive.read(name).decode() == f"page of {student}"
    assert left_out.startswith(f"eve ({NAME}): its file is not named as in a download from")


def test_missing_platform_ids_raise_with_the_fix(graded, tmp_path):
    with pytest.raises(ExportError, match="Grade the zip file from moodle"):
        feedback_zip.write(tmp_path, "moodle", [graded("ada", "ada/x.ipynb")], tmp_path)
