"""nbgrader's configuration: run nbgrader's commands, or JupyterLab with formgrader, in this
folder.
"""

import os
from pathlib import Path

from course_grading.gradebook.nbgrader_api import configure

os.environ["COURSE_MODE"] = "grading"  # the kernels inherit it; lessons train very little
configure(get_config(), Path(__file__).parent / "workspace")  # nbgrader defines get_config

# Your own settings go here, and hold for `course grade` as well. For example:
# get_config().LateSubmissionPlugin.penalty_method = "zero"
