"""A lesson with a question of each kind: number, order, point in a figure, choice."""

from pathlib import Path

from PIL import Image, ImageDraw

from tests.support.checkout import SAMPLE

HEADER = SAMPLE.read_text(encoding="utf-8").split("# Lesson 1", 1)[0]
NUMBER = r"""
```{question} layer-size
:points: 2
:kind: number
:unit: MB
:tolerance: 1 %
:params: side = draw(100, 200)
How much memory do the weights from {{side}} x {{side}} to as many outputs need in fp32?
- [=] {{side**4 * 4 / 1e6}} | {{side**2:,}} inputs times as many outputs, of 4 bytes each.
- [~] {{side**2 * 4 / 1e6}} | That is one row of the matrix.
- [~] {{side**4 / 1e6}} | That is the number of weights in millions; each has 4 bytes.
```
"""
ORDER = r"""
```{question} training-step
:points: 2
:kind: order
Put the parts of a training step in order.
1. Compute the loss $\sum_i (y_i - t_i)^2$. | Without a loss there is nothing to derive.
2. Call `backward`. | It computes the gradients of the loss.
3. Call the optimiser's `step`. | It uses the gradients.
4. Set the gradients to zero. | The next step would add to them.
```
"""
POINT = r"""
```{question} where-is-the-corner
:points: 1
:kind: point
:figure: "solutions/square.png" | A white square from x 100 to 200 and y 40 to 140, on black
Point at the upper left corner of the square.
- [=] 90, 30, 110, 50 | There the derivatives in both directions are large.
- [~] 190, 130, 210, 150 | That is the lower right corner.
```
"""
CHOICE = r"""
```{question} why-share
:points: 2
Why are the weights shared? (multiple answers)
- [x] A pattern such as $x_1 * x_2$ can occur *anywhere*. | An edge is an edge in every corner.
- [ ] The output becomes smaller than the input. | The padding decides that.
- [x] Fewer weights have to be learned. | Nine instead of one for each pair of pixels.
- [ ] All pixels have the same meaning then. | Their values differ all the same.
```
"""
EXERCISE = r'''
```{code-cell} python
:tags: [exercise]
:name: double
:points: 2
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
```

```{code-cell} python
:tags: [check]
assert double(2) == 4, "2 becomes 4."

def cases(rng):
    for _ in range(6):
        yield (int(rng.integers(8, 64)),)

tolerance = 0
```
'''


def write_figure(path: Path) -> None:
    """Draw the figure of the point question."""
    image = Image.new("RGB", (320, 180), "black")
    ImageDraw.Draw(image).rectangle((100, 40, 200, 140), fill="white")
    image.save(path)


def write_lesson(
    root: Path, *parts: str, name: str = "01_kinds", title: str = "Lesson 1 · Kinds"
) -> Path:
    """Write ``root/solutions/NAME.md`` and its figure; ``parts``: by default all of this module."""
    folder = root / "solutions"
    folder.mkdir(parents=True, exist_ok=True)
    write_figure(folder / "square.png")
    text = "".join(parts or (NUMBER, ORDER, POINT, CHOICE, EXERCISE))
    path = folder / f"{name}.md"
    path.write_text(f"{HEADER}# {title}\n\nText.\n{text}", encoding="utf-8")
    return path
