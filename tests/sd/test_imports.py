"""``course_lib.sd`` imports nothing else from the course except ``assets.paths``, and its licence
module does not import torch.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import course_lib.sd

FILES = sorted(Path(course_lib.sd.__file__).parent.glob("*.py"))
# The tokenizer reads its BPE merges from one of the course's data files; the others expand "~".
USERS_OF_PATHS = ("tokenizer.py", "locations.py", "lora_files.py", "controlnet_files.py")
ALLOWED_IMPORTS = {name: {"course_lib.assets"} for name in USERS_OF_PATHS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_other_part_of_the_course_is_imported(path):
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            modules.add(node.module)
    ours = {module for module in modules if module.split(".")[0] == "course_lib"}
    outside = {module for module in ours if not module.startswith("course_lib.sd.")}
    assert outside <= ALLOWED_IMPORTS.get(path.name, set())


def test_licence_does_not_import_torch():
    code = "import sys, course_lib.sd.licence; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
