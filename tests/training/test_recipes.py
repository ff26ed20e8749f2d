"""The training recipes are consistent, and are listed without torch."""

import inspect
import subprocess
import sys

import pytest

from course_lib.training import recipes


@pytest.mark.parametrize("name", recipes.names())
def test_recipe_is_consistent(name):
    recipe = recipes.recipe(name)
    assert recipe.name == name and recipe.epochs > 0 and recipe.examples_per_epoch > 0
    assert set(recipe.thresholds) <= set(recipe.test_splits)
    assert all(count > 0 for count in recipe.test_splits.values())
    for function in (recipe.train, recipe.evaluate, recipe.dataset_description):
        assert ("styles" in inspect.signature(function).parameters) == bool(recipe.styles)


def test_names_are_listed_without_torch():
    code = (
        "import sys; from course_lib.training import recipes; "
        "print(len(recipes.names()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(recipes.names())), "False"]
