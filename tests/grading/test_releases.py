"""Submissions to earlier releases are graded: former names in the library and in the lessons.

``releases/`` holds parts of lesson 2 as it was released on 28 November 2026, before the library's
modules were renamed: the instructor's notebook and a submission that uses former names.
``names.txt`` lists the names that the lessons of that release imported, except for those without an
equivalent: ``BARS`` and ``epochs`` of ``compression.autoencoder``, and
``figures.unet.architecture``, which is now a module.
"""

import importlib
import pkgutil
import shutil
import sys
import warnings
from pathlib import Path

import nbformat
import pytest
from course_grading.assign.source import read_lesson
from course_grading.autograde import answer_keys
from course_grading.batch import grade_batch
from course_grading.errors import SourceError
from course_grading.gradebook.nbgrader_api import open_api

from course_lib import renamed
from tests.support.checkout import SAMPLE

RELEASES = Path(__file__).parent / "releases"
NAME = "02_convolution_by_hand"


def imported_names() -> list[tuple[str, str]]:
    rows = (RELEASES / "names.txt").read_text().splitlines()
    return [(module, name) for module, *names in map(str.split, rows) for name in names]


def test_submission_to_an_earlier_release_is_graded(tmp_path, same_process, quick_gradebooks):
    workspace = tmp_path / "workspace"
    source = workspace / "source" / NAME / f"{NAME}.ipynb"
    source.parent.mkdir(parents=True)
    shutil.copy(RELEASES / f"{NAME}.source.ipynb", source)
    open_api(workspace).generate_assignment(NAME)
    submission = tmp_path / "class" / "ada" / f"{NAME}.ipynb"
    submission.parent.mkdir(parents=True)
    shutil.copy(RELEASES / f"{NAME}.submitted.ipynb", submission)

    batch = grade_batch(tmp_path / "class", workspace, workers=1)
    assert batch.problems == batch.notes == batch.audit_findings == []
    scores = {item.name: item.score for item in batch.items}
    assert scores == {item.name: item.max_score for item in batch.items}
    assert set(scores) == {
        "one-output-pixel",
        "output-size",
        "conv2d",
        "sum-of-zero",
        "diagonal-kernel",
        "convolution-parameters",
    }


@pytest.mark.parametrize(("module", "name"), imported_names())
def test_every_name_that_the_lessons_imported_still_exists(module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert getattr(importlib.import_module(module), name) is not None


def test_new_names_in_the_tables_exist():
    for module in renamed.MODULES.values():
        importlib.import_module(f"course_lib.{module}")
    for module, names in renamed.NAMES.items():
        for former, new in names.items():
            path = new if "." in new else f"{renamed.MODULES.get(module, module)}.{new}"
            assert pkgutil.resolve_name(f"course_lib.{path}") is not None, (module, former)


def test_former_name_warns_and_names_the_new_one():
    from course_lib.convolution import layers
    from course_lib.profiling import timing

    with pytest.warns(DeprecationWarning, match=r"is now course_lib\.convolution\.layers\.conv2d"):
        from course_lib.layers import conv2d
    assert conv2d is layers.conv2d
    with pytest.warns(
        DeprecationWarning, match=r"is now course_lib\.profiling\.timing\.one_thread"
    ):
        import course_lib.timing

        assert course_lib.timing.one_thread is timing.one_thread
    with pytest.raises(ImportError):
        from course_lib.layers import never_there  # noqa: F401
    with pytest.raises(AttributeError, match="no attribute 'never_there'"):
        layers.never_there  # noqa: B018


def test_former_module_may_be_a_package_now():
    import course_lib.metrics
    from course_lib.metrics import detection

    with pytest.warns(DeprecationWarning, match=r"is now course_lib\.metrics\.detection"):
        assert course_lib.metrics.average_precision is detection.average_precision
    sys.modules.pop("course_lib.metrics.images", None)
    vars(course_lib.metrics).pop("images", None)
    from course_lib.metrics import images  # a submodule: no warning

    assert images is sys.modules["course_lib.metrics.images"]


# ---- functions that a lesson renames ----


def sample_with(tmp_path: Path, formerly: str) -> Path:
    """The sample lesson with a former signature of its exercise."""
    path = tmp_path / SAMPLE.name
    text = SAMPLE.read_text()
    assert ":name: double\n" in text
    path.write_text(text.replace(":name: double\n", f":name: double\n:formerly: {formerly}\n"))
    return path


@pytest.mark.parametrize("formerly", ["twice", "twice()", "twice(number)", "twice(number, times)"])
def test_former_signature_is_parsed(tmp_path, formerly):
    (exercise,) = read_lesson(sample_with(tmp_path, formerly)).exercises
    assert exercise.formerly == formerly


@pytest.mark.parametrize("formerly", ["3", "a b", "twice(", "twice(number=1)", "[twice]"])
def test_invalid_former_signature_is_refused(tmp_path, formerly):
    with pytest.raises(SourceError, match="takes the function's earlier signature"):
        read_lesson(sample_with(tmp_path, formerly))


def test_former_function_name_is_graded_end_to_end(course, tmp_path, same_process):
    from course_grading.assign.build import build

    shutil.copy(sample_with(tmp_path, "twice(number)"), course / "solutions")
    build(course)
    workspace = course / "grading" / "workspace"
    (exercise,) = answer_keys.read(workspace, "01_sample").exercises
    assert exercise.former_signature == ("twice", "number")
    notebook = nbformat.read(course / "notebooks" / "01_sample.ipynb", as_version=4)
    assert "twice(number)" not in nbformat.writes(notebook)
    for cell in notebook.cells:
        if cell["id"] == "double-code":
            cell.source = "def twice(number):\n    return 2 * np.asarray(number)"
    submission = tmp_path / "class" / "ada" / "01_sample.ipynb"
    submission.parent.mkdir(parents=True)
    nbformat.write(notebook, submission)
    (grade,) = grade_batch(tmp_path / "class", workspace, workers=1).grades
    assert grade.score == exercise.points == 2
