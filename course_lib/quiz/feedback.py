"""Feedback on an answer in self-study: what is right, and what the learner chose.

Two tags show them: *right* or *wrong* is about the option, *chosen* or *left out* about the
learner. There is no tick mark: at a wrong option that was left out, it would look like praise.
Colours only repeat the words.
"""

import html

from course_lib.quiz.answers import parse_box
from course_lib.quiz.question_bank import PackedQuestion

_CHOICES = {  # (right, chosen)
    (True, True): "you chose it",
    (True, False): "you missed it",
    (False, True): "you chose it",
    (False, False): "you left it out",
}


def option(question: PackedQuestion, letter: str, recorded: str) -> str:
    """The feedback below an option of a choice; empty without an answer and for other kinds."""
    if not recorded or question.kind not in ("any", "one"):
        return ""
    right, chosen = letter in question.right, letter in recorded
    explanation = question.explanations[question.letters.index(letter)]
    verdict = "right" if right else "wrong"
    return (
        f'<div class="course-quiz-feedback" data-verdict="{verdict}"'
        f' data-chosen="{str(chosen).lower()}">'
        f"<p>{_tag(verdict)} {_tag(_CHOICES[right, chosen])}</p><p>{explanation}</p></div>"
    )


def render(question: PackedQuestion, recorded: str) -> str:
    """The feedback below the controls, for a number, an order or a point; empty for other kinds."""
    if not recorded:
        return ""
    if question.kind == "order":
        return _order(question, recorded)
    if question.kind in ("number", "point"):
        return _value(question, recorded)
    return ""


def areas(question: PackedQuestion, recorded: str) -> str:
    """The right boxes, drawn over the figure; hidden until the page shows the right answer."""
    if not recorded:
        return ""
    width, height = question.format.size
    shapes = []
    for text in question.right.split(";"):
        x0, y0, x1, y1 = parse_box(text)
        shapes.append(
            f'<span class="course-quiz-area" style="left:{100 * x0 / width:.3f}%;'
            f"top:{100 * y0 / height:.3f}%;width:{100 * (x1 - x0) / width:.3f}%;"
            f'height:{100 * (y1 - y0) / height:.3f}%"></span>'
        )
    return "".join(shapes)


def _value(question: PackedQuestion, recorded: str) -> str:
    """The feedback on a value; the right one is collapsed, so that the learner can try again."""
    key = question.key
    index = key.match(recorded)
    if key.is_right(recorded):
        assert index is not None
        return _block("right", f"<p>{_tag('right')} {question.explanations[index]}</p>")
    if index is not None:
        text = question.explanations[index]
    elif question.kind == "point":
        text = "The place asked for is elsewhere in the figure."
    else:
        text = "The course has no explanation for this value."
    what = "place" if question.kind == "point" else "value"
    value = "" if question.kind == "point" else f"<b>{_right_value(question)}</b>: "
    return _block(
        "wrong",
        f"<p>{_tag('wrong')} {text}</p><details><summary>Show the right {what}</summary>"
        f"<p>{value}{question.explanations[0]}</p></details>",
    )


def _right_value(question: PackedQuestion) -> str:
    return html.escape(question.format.describe(question.key.values[0]))


def _order(question: PackedQuestion, recorded: str) -> str:
    right = question.right
    position = {letter: index for index, letter in enumerate(recorded)}
    pairs = [(a, b) for index, a in enumerate(right) for b in right[index + 1 :]]
    in_order = sum(position[a] < position[b] for a, b in pairs)
    entries = []
    for letter in right:
        index = question.letters.index(letter)
        step, why = question.options[index], question.explanations[index]
        entries.append(f"<li><b>{letter}</b> {step}<br>{why}</li>")
    steps = f'<ol class="course-quiz-steps">{"".join(entries)}</ol>'
    if in_order == len(pairs):
        return _block("right", f"<p>{_tag('right')} This is the order.</p>{steps}")
    verdict = "partly right" if 2 * in_order > len(pairs) else "wrong"
    return _block(
        "wrong",
        f"<p>{_tag(verdict)} {in_order} of {len(pairs)} pairs of steps are in the right order; "
        "a random order would have half of them right.</p>"
        f"<details><summary>Show the right order</summary>{steps}</details>",
    )


def _block(verdict: str, content: str) -> str:
    return (
        f'<div class="course-quiz-feedback" data-verdict="{verdict}" data-chosen="true">'
        f"{content}</div>"
    )


def _tag(words: str) -> str:
    kind = words if words in ("right", "wrong") else "choice"
    return f'<span class="course-quiz-tag" data-tag="{kind}">{words[0].upper()}{words[1:]}</span>'
