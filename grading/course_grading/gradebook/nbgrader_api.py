"""nbgrader's configuration and API, the same for nbgrader's own commands and for ``course``.

``grading/nbgrader_config.py`` calls :func:`configure`; ``course build`` and ``course grade`` use
:func:`open_api`. So both use the same workspace and gradebook.
"""

import functools
import json
import logging
import os
import sys
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config


def configure(c: "Config", workspace: Path) -> None:
    """Fill nbgrader's configuration object for the course directory ``workspace``."""
    c.CourseDirectory.root = str(workspace)
    c.CourseDirectory.course_id = "pixels-to-diffusion"
    c.GenerateAssignment.preprocessors = [
        "nbgrader.preprocessors.IncludeHeaderFooter",
        "nbgrader.preprocessors.LockCells",
        "course_grading.gradebook.preprocessors.ClearAnswers",
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.CheckCellMetadata",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.SaveCells",
        "nbgrader.preprocessors.ClearHiddenTests",
        "nbgrader.preprocessors.ClearMarkScheme",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.Autograde.sanitize_preprocessors = [
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.DeduplicateIds",
        "nbgrader.preprocessors.OverwriteKernelspec",
        "course_grading.gradebook.preprocessors.RestoreCells",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.RestoreCells.workspace = str(workspace)
    c.Autograde.exporter_class = "course_grading.gradebook.conversion.GradedNotebook"
    # nbgrader runs no student's code: the sandbox's results are written instead.
    c.Autograde.autograde_preprocessors = [
        "course_grading.gradebook.preprocessors.WriteResults",
        "course_grading.gradebook.preprocessors.SaveResults",
        "nbgrader.preprocessors.AssignLatePenalties",
    ]
    c.WriteResults.workspace = str(workspace)
    c.Exporter.optimistic_validation = True  # validate a notebook once, not after each preprocessor
    # Without ClearHiddenTests the feedback would show students the hidden tests with the answers.
    c.GenerateFeedback.exporter_class = "course_grading.gradebook.preprocessors.FeedbackPage"
    c.GenerateFeedback.preprocessors = [
        "course_grading.gradebook.preprocessors.ReadGrades",
        "nbgrader.preprocessors.ClearHiddenTests",
    ]
    # nbgrader's default is a system folder that only root can write. On a shared server, change
    # this in nbgrader_config.py.
    c.Exchange.root = str(workspace / "exchange")


@functools.cache
def _cached_engine(*arguments, **keywords):
    from sqlalchemy import create_engine

    return create_engine(*arguments, **keywords)


@functools.cache
def _database_version() -> str:
    """The version of nbgrader's database, for a new gradebook."""
    from alembic.script import ScriptDirectory
    from nbgrader.dbutil import ALEMBIC_DIR

    return ScriptDirectory(ALEMBIC_DIR).get_current_head() or ""


def _validate(metadata: dict, schema: dict) -> None:
    """As :func:`jsonschema.validate`, for a schema that needs no check itself. Metadata that were
    valid are not checked again: all submissions have those of the release.
    """
    _validate_text(json.dumps(metadata), json.dumps(schema))


@functools.lru_cache(maxsize=4096)
def _validate_text(metadata: str, schema: str) -> None:
    from jsonschema import exceptions, validators

    rules = json.loads(schema)
    errors = validators.validator_for(rules)(rules).iter_errors(json.loads(metadata))
    if (error := exceptions.best_match(errors)) is not None:
        raise error


def open_api(workspace: Path) -> "NbGraderAPI":
    """nbgrader's API for ``workspace``, which is created if it does not exist."""
    # nbgrader runs `alembic` by name; a virtual environment that is not activated is not on PATH.
    tools = str(Path(sys.executable).parent)
    if tools not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = tools + os.pathsep + os.environ.get("PATH", "")
    import nbgrader.api
    from nbgrader.apps import api
    from nbgrader.converters import autograde
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.nbgraderformat import common
    from nbgrader.preprocessors import (
        getgrades,
        latesubmissions,
        overwritecells,
        overwritekernelspec,
    )
    from sqlalchemy.exc import SAWarning
    from traitlets.config import Config, PyFileConfigLoader

    from course_grading.gradebook.shared import SharedGradebook

    # nbgrader's queries cause one for every submission
    warnings.filterwarnings("ignore", category=SAWarning)

    # nbgrader opens its gradebook nine times per submission, each time with an engine that compiles
    # all queries again.
    nbgrader.api.create_engine = _cached_engine
    for module in (api, autograde, overwritecells, overwritekernelspec, latesubmissions, getgrades):
        vars(module)["Gradebook"] = SharedGradebook
    # For a new gradebook nbgrader asks a process of its own, which takes seconds to start.
    nbgrader.api.get_alembic_version = _database_version
    # It checks its own schema again for every cell, which takes longer than to check the cell.
    common.jsonschema = types.SimpleNamespace(validate=_validate)

    (workspace / "exchange").mkdir(parents=True, exist_ok=True)
    config = Config()
    configure(config, workspace.resolve())
    # the instructor's settings, such as late penalties, apply to `course grade` too
    instructor_config = workspace.resolve().with_name("nbgrader_config.py")
    if instructor_config.is_file():
        loader = PyFileConfigLoader(instructor_config.name, str(instructor_config.parent))
        config.merge(loader.load_config())
    result = api.NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    return result
