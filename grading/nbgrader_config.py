"""nbgrader's configuration: run nbgrader's commands, or JupyterLab with formgrader, in this folder."""

from pathlib import Path

from course_lib.grading.desk import configure

configure(get_config(), Path(__file__).parent / "workspace")  # nbgrader defines get_config
