"""A small course for the website: one lesson with a question, an exercise, figures and widgets."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from course_site import build
from course_site.models import package
from filelock import FileLock

from course_lib.quiz import question_bank
from tests.support.checkout import ROOT

LESSON = "01_sample"
SECRET = "solution_of_the_exercise"  # a name in the solution, which must not be in the site
# The documents have equal layouts: browser tests use learners.html only.
SKIPPED_DOCUMENTS = {"architecture.html", "instructors.html", "measured.html"}
HIDDEN = "case_of_the_hidden_check"
_SOURCE = f'''---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Lesson 1 · A sample

**Time:** about 5 minutes of reading and doing.

A formula, $a_1 + b$, a [feature map](../docs/glossary.md#feature-map),
and one in a line of its own:

$$\\frac{{1}}{{2}}$$

```{{code-cell}} python
import io

from PIL import Image

from course_lib.figures import figure_html, show
from course_lib.widgets import show_widget
from IPython.display import HTML, display


def picture(width=640, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, 200)).save(buffer, kind, **options)
    return buffer.getvalue()


for count in range(2):
    print(f"\\rworking: {{50 * count + 50}}%|█████| {{count + 1}}/2 [00:00<00:00]", end="")
print("\\nvisible output")
display(HTML(figure_html(picture(), "The first picture, a gradient.", "A caption.", width=400)))
```

```{{question}} which
:points: 2
Is $x$ a letter?
- [x] yes | It is.
- [ ] no | It is one.
```

```{{code-cell}} python
:tags: [exercise]
:name: double
:points: 2
def double(x):
    """Twice ``x``."""
    ### BEGIN SOLUTION
    {SECRET} = 2 * x
    return {SECRET}
    ### END SOLUTION
```

```{{code-cell}} python
:tags: [check]
assert double(2) == 4, "Twice two is four."

def cases(rng):
    yield "{HIDDEN}"

tolerance = 1e-9
```

## A section with widgets

```{{code-cell}} python
import ipywidgets


def kernel_editor():
    show_widget(ipywidgets.IntSlider(), picture(), "A still of the demo's place.", "Edit it.")


kernel_editor()
```

```{{code-cell}} python
show_widget(ipywidgets.IntSlider(), picture(), "A still of another widget.", "No demo.")
```
'''

_GLOSSARY = f"""# Glossary

## feature map

The output of a layer: a "map" for each channel.

Also: maps. First in [lesson 1](../notebooks/{LESSON}.ipynb).
"""


def write_course(folder: Path) -> Path:
    """Write the files of a checkout that the site is built from; returns the folder."""
    for name in ("solutions", "notebooks", "docs/road", "data", "bank"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    (folder / "README.md").write_text("# A sample\n")
    (folder / "solutions" / f"{LESSON}.md").write_text(_SOURCE, encoding="utf-8")
    shutil.copy(ROOT / "docs" / "road" / "hero.png", folder / "docs" / "road")
    for name in ("learners", "instructors", "measured", "architecture"):
        (folder / "docs" / f"{name}.md").write_text(f"# Page {name}\n\n[Start](../README.md)\n")
    (folder / "notebooks" / f"{LESSON}.ipynb").touch()  # the glossary links it
    (folder / "docs" / "glossary.md").write_text(_GLOSSARY)
    (folder / "data" / "LICENSES.md").write_text("# Licences\n\n[Learn](../docs/learners.md)\n")
    return folder


def write_bank(folder: Path) -> Path:
    """Write the question bank of the sample as ``course build`` does; returns its folder."""
    from course_grading.assign.source import read_lesson

    lesson = read_lesson(folder / "solutions" / f"{LESSON}.md")
    text = question_bank.pack(LESSON, lesson.questions)
    (folder / "bank" / f"{LESSON}.json").write_text(text, encoding="utf-8")
    return folder / "bank"


def write_assets(out: Path, cache: Path) -> None:
    """Replaces the build's function: writes one model with invalid content."""
    package.write_assets({"unet": b"weights"}, out)


@dataclass
class Built:
    """The small course, its site without models, and the build's cache."""

    course: Path
    site: Path
    cache: Path


def build_once(folder: Path) -> Built:
    """Build the site in a folder once; other test processes wait for it."""
    built = Built(folder / "course", folder / "site", folder / "cache")
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not built.site.exists():
            shutil.rmtree(built.course, ignore_errors=True)  # left by a failed build
            write_course(built.course)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(question_bank, "FOLDER", write_bank(built.course))
                patch.setattr(build.models, "build_assets", write_assets)
                sizes = build.build(
                    built.course, built.site, "quick", built.cache, report=lambda sentence: None
                )
            assert 0 < sizes["all"] == sum(sizes.values()) - sizes["all"]
    return built
