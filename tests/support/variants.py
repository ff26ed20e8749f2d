"""A question with parameters, and a pool of questions, for the sample lesson."""

from pathlib import Path

from tests.support.checkout import SAMPLE

AREA = """
```{question} area
:points: 2
:params: side = draw(10, 12, 20)
:params: pixels = side**2
:check: pixels == sum(side for _ in range(side))
:check: right == [f"{pixels:,}"]
A square picture is {{side}} pixels wide. How many pixels has it, in {{ {"en": "words"}["en"] }}?
- [ ] {{4 * side}} | That is its edge: 4 x {{side}}.
- [x] {{pixels:,}} | {{side}} x {{side}} = {{pixels:,}}.
- [ ] {{side}} | That is one row.
- [ ] {{pixels / 2:.1f}} | That is half, {{[side, pixels][1:2][0]:>5}} / 2.
```
"""
POOL = """
```{question} north
:points: 1
:pool: compass 2
Where is north on a map?
- [x] up | So it is drawn.
- [ ] down | That is south.
```

Between the questions of a pool there can be text.

```{question} south
:points: 1
:pool: compass 2
Where is south on a map?
- [ ] up | That is north.
- [x] down | So it is drawn.
```

```{question} east
:points: 1
:pool: compass 2
:order: fixed
Where is east on a map?
- [ ] left | That is west.
- [x] right | So it is drawn.
- [ ] none of these | It is one.
```
"""


def lesson_with(folder: Path, *questions: str) -> Path:
    """The sample lesson with questions appended."""
    path = folder / SAMPLE.name
    path.write_text(SAMPLE.read_text() + "".join(questions))
    return path
