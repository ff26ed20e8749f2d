"""The instructor's desk: nbgrader's configuration, the same for its own commands and for
``course``.

``grading/nbgrader_config.py`` calls :func:`configure`; ``course build`` and ``course grade`` use
:func:`open_desk`. Both therefore see one workspace and one gradebook.
"""

import functools
import logging
import os
import sys
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
    # No student's code runs in nbgrader: what the sandbox gave is written down in place of running
    # it.
    c.Autograde.autograde_preprocessors = [
        "course_grading.gradebook.preprocessors.WriteResults",
        "course_grading.gradebook.preprocessors.SaveResults",
        "nbgrader.preprocessors.AssignLatePenalties",
    ]
    c.WriteResults.workspace = str(workspace)
    # Feedback goes to students: without this step it would show them the hidden tests, keys and
    # all.
    c.GenerateFeedback.exporter_class = "course_grading.gradebook.preprocessors.FeedbackPage"
    c.GenerateFeedback.preprocessors = [
        "nbgrader.preprocessors.GetGrades",
        "nbgrader.preprocessors.ClearHiddenTests",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    # nbgrader's own default is a folder of the system that only root can write. On a shared server,
    # name one here.
    c.Exchange.root = str(workspace / "exchange")


@functools.cache
def _one_engine(*arguments, **named):
    from sqlalchemy import create_engine

    return create_engine(*arguments, **named)


def open_desk(workspace: Path) -> "NbGraderAPI":
    """nbgrader's own API on ``workspace``, made if it is not there."""
    # nbgrader starts `alembic` by name; a virtual environment that is not activated is not on PATH.
    tools = str(Path(sys.executable).parent)
    if tools not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = tools + os.pathsep + os.environ.get("PATH", "")
    import nbgrader.api
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from sqlalchemy.exc import SAWarning
    from traitlets.config import Config, PyFileConfigLoader

    # nbgrader's own, about itself, on every submission
    warnings.filterwarnings("ignore", category=SAWarning)

    # nbgrader opens its gradebook nine times a submission, each with an engine that compiles all
    # queries anew.
    nbgrader.api.create_engine = _one_engine

    (workspace / "exchange").mkdir(parents=True, exist_ok=True)
    config = Config()
    configure(config, workspace.resolve())
    own = workspace.resolve().with_name("nbgrader_config.py")
    if (
        own.is_file()
    ):  # what the instructor wrote there, late penalties for example, holds for `course grade` too
        config.merge(PyFileConfigLoader(own.name, str(own.parent)).load_config())
    api = NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    return api
