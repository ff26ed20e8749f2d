"""``required_statements`` returns every statement that a function needs, and no others."""

import ast
import textwrap

import pytest
from course_grading.sandbox.guest.dependencies import (
    global_names,
    global_reads,
    required_statements,
)


def required(*cells):
    *earlier, target = (ast.parse(textwrap.dedent(cell)) for cell in cells)
    return [ast.unparse(statement) for _, statement in required_statements(earlier, target)]


@pytest.mark.parametrize(
    ("cell", "target", "expected"),
    [
        ("import numpy as np\nimport torch", "def f(x): return np.abs(x)", ["import numpy as np"]),
        ("a = 1\na = 2", "a", ["a = 2"]),
        ("a = 1\na += 2", "a", ["a = 1", "a += 2"]),
        ("a = 1\nb = a", "b", ["a = 1", "b = a"]),
        (
            "model = make()\nmodel.eval()\nshow(model(1))",
            "model",
            ["model = make()", "model.eval()"],
        ),
        ("made = {}\nmade['a'] = 1\nprint(made)", "made", ["made = {}", "made['a'] = 1"]),
        ("import torch\ntorch.show(picture)", "torch", ["import torch"]),
        ("import os.path\nimport re", "os", ["import os.path"]),
        ("if x:\n    def g(): pass", "g", ["if x:\n\n    def g():\n        pass"]),
        ("if x:\n    import a as b", "b", ["if x:\n    import a as b"]),
        ("def show(x): pass\nshow(1)", "show", ["def show(x):\n    pass"]),
        ("picture = 1", "def f(picture): return picture", []),
        ("picture = 1", "def f():\n    picture = 2\n    return [picture for _ in 'a']", []),
        ("scale = 2", "def f():\n    return [scale * n for n in 'a']", ["scale = 2"]),
        (
            "a, b = 1, 2\nfor c in 'x':\n    d = c",
            "b, d",
            ["a, b = (1, 2)", "for c in 'x':\n    d = c"],
        ),
        ("from math import *", "pi", ["from math import *"]),
        ("class Base:\n    pass", "class Own(Base):\n    pass", ["class Base:\n    pass"]),
        ("kind = int", "def f(x: kind): return x", ["kind = int"]),
        ("a = 1", "a += 1", ["a = 1"]),
        # names that the target binds itself, like a check's temporary variables
        ("_got = other(1)", "_got = f(2)\nassert _got == 4", []),
        ("_got = other(1)", "assert _got\n_got = f(2)", ["_got = other(1)"]),
        ("_x = other(1)", "for _x in (1, 2):\n    assert f(_x)", []),
        ("_x = other(1)", "for _y in _x:\n    assert f(_y)", ["_x = other(1)"]),
        ("_x = other(1)", "for _x in _x:\n    assert f(_x)", ["_x = other(1)"]),
    ],
)
def test_required_statements(cell, target, expected):
    assert required(cell, target) == expected


def test_requirements_are_transitive():
    cells = (
        "import math",
        "def half(x):\n    return math.floor(x / 2)",
        "unused = half(3)",
        "def f(x): return half(x)",
    )
    assert required(*cells) == ["import math", "def half(x):\n    return math.floor(x / 2)"]


def test_global_names_inside_functions_are_found():
    (statement,) = ast.parse("def f(x):\n    y = x\n    return g(y)").body
    assert global_reads(statement) == {"g"}


def test_names_are_bound_at_the_top_level_and_read_at_every_level():
    source = (
        "import os.path as p\na = 1\n"
        "def f():\n    def g():\n        return b\n    inner = 1\n    return c, inner\n"
        "def h():\n    return d"
    )
    assert global_names(source) == ({"p", "a", "f", "h"}, {"b", "c", "d"})
