"""Write questions as Moodle XML: *Question bank > Import > Moodle XML format*.

Each lesson becomes a category. Images are stored in the question. The options' fractions
reproduce the course's score: Moodle adds the fractions of the ticked options, from 0 to 100 %.

Sources: https://docs.moodle.org/405/en/Moodle_XML_format, checked against
``question/format/xml/format.php`` (also for numerical and matching questions),
``question/format.php`` (category paths) and
``question/type/multichoice/question.php`` of https://github.com/moodle/moodle
"""

import base64
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

from course_grading.export.questions import (
    Bank,
    Image,
    QuizQuestion,
    RichText,
    decimal,
    differing_orders,
    ordered_steps,
)

FILE_NAME = "questions-moodle.xml"
COURSE = "From Pixels to Stable Diffusion"
# The fractions that Moodle allows, in per cent.
FRACTIONS = (
    *("100", "90", "83.33333", "80", "75", "70", "66.66667", "60", "50", "40", "33.33333", "30"),
    *("25", "20", "16.66667", "14.28571", "12.5", "11.11111", "10", "5", "0"),
)
_TYPES = {"choice": "multichoice", "number": "numerical", "order": "matching"}
_ROUNDING = Fraction(1, 10**7)  # of the list above


def link(image: Image) -> str:
    """The ``src`` of an image: Moodle replaces the token by the URL of the question's files."""
    return f"@@PLUGINFILE@@/{image.name}"


def write(banks: list[Bank], folder: Path) -> tuple[Path, list[str]]:
    """Write the file into a folder, and return its path and messages."""
    quiz = ET.Element("quiz")
    messages = []
    for bank in banks:
        _add_category(quiz, bank)
        for question in bank.questions:
            _add_question(quiz, question)
            messages += inexact_fractions(question)
            messages += differing_orders(question, "Moodle XML")
    ET.indent(quiz)
    path = folder / FILE_NAME
    path.write_bytes(ET.tostring(quiz, encoding="utf-8", xml_declaration=True) + b"\n")
    return path, messages


def category_path(bank: Bank) -> str:
    """The path of a lesson's category, below the course's; a slash in a name is doubled."""
    names = [name.replace("/", "//") for name in (COURSE, bank.title)]
    return "/".join(["$course$", "top", *names])


def nearest_fraction(credit: Fraction) -> str:
    """The allowed fraction, in per cent, nearest to a fraction of the points."""
    nearest = min(FRACTIONS, key=lambda text: abs(Fraction(text) / 100 - abs(credit)))
    return f"-{nearest}" if credit < 0 and nearest != "0" else nearest


def inexact_fractions(question: QuizQuestion) -> list[str]:
    """Messages on options whose credit is not among Moodle's fractions."""
    messages: list[str] = []
    if question.kind != "choice":
        return messages
    for option in question.options:
        credit = question.credit(option)
        nearest = nearest_fraction(credit)
        if abs(Fraction(nearest) / 100 - credit) > _ROUNDING:
            messages.append(
                f"{question.identifier}, option {option.letter}: Moodle has no fraction "
                f"{float(100 * credit):.5f} %, so it was given {nearest} %"
            )
    return messages


def _add_category(quiz: ET.Element, bank: Bank) -> None:
    element = ET.SubElement(quiz, "question", type="category")
    ET.SubElement(ET.SubElement(element, "category"), "text").text = category_path(bank)
    _add_text(element, "info", RichText(""))
    ET.SubElement(element, "idnumber").text = bank.lesson


def _add_question(quiz: ET.Element, question: QuizQuestion) -> None:
    element = ET.SubElement(quiz, "question", type=_TYPES[question.kind])
    ET.SubElement(ET.SubElement(element, "name"), "text").text = question.title
    _add_text(element, "questiontext", question.text)
    _add_text(element, "generalfeedback", RichText(""))
    settings = {
        "defaultgrade": f"{question.points:g}",
        "penalty": "0.3333333",  # Moodle's default; used only with multiple tries
        "hidden": "0",
        "idnumber": question.identifier,
    }
    for name, value in settings.items():
        ET.SubElement(element, name).text = value
    {"choice": _add_choice, "number": _add_number, "order": _add_order}[question.kind](
        element, question
    )


def _add_choice(element: ET.Element, question: QuizQuestion) -> None:
    settings = {
        "single": str(not question.multiple).lower(),
        # Explanations may refer to options by letter.
        "shuffleanswers": "false",
        "answernumbering": "ABCD",
        "showstandardinstruction": "1",
    }
    for name, value in settings.items():
        ET.SubElement(element, name).text = value
    for name in ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback"):
        _add_text(element, name, RichText(""))
    for option in question.options:
        answer = _add_text(element, "answer", option.text)
        answer.set("fraction", nearest_fraction(question.credit(option)))
        _add_text(answer, "feedback", option.feedback)


def _add_number(element: ET.Element, question: QuizQuestion) -> None:
    """Add a numerical question: Moodle takes the first answer whose tolerance fits."""
    for value in question.values:
        fraction = "100" if value.right else "0"
        answer = ET.SubElement(element, "answer", fraction=fraction, format="moodle_auto_format")
        ET.SubElement(answer, "text").text = decimal(value.value)
        _add_text(answer, "feedback", value.feedback)
        ET.SubElement(answer, "tolerance").text = decimal(value.margin)
    for name, text in (("unitgradingtype", "0"), ("unitpenalty", "0.1"), ("showunits", "3")):
        ET.SubElement(element, name).text = text  # without units


def _add_order(element: ET.Element, question: QuizQuestion) -> None:
    """Add a matching question: each step matches its place."""
    ET.SubElement(element, "shuffleanswers").text = "true"
    for name in ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback"):
        _add_text(element, name, ordered_steps(question))
    for option in question.options:
        subquestion = _add_text(element, "subquestion", option.text)
        answer = ET.SubElement(subquestion, "answer")
        ET.SubElement(answer, "text").text = str(question.sequence.index(option.letter) + 1)


def _add_text(parent: ET.Element, name: str, text: RichText) -> ET.Element:
    """Add an element with HTML and its images."""
    element = ET.SubElement(parent, name, format="html")
    ET.SubElement(element, "text").text = text.html
    for image in {image.name: image for image in text.images}.values():
        file = ET.SubElement(element, "file", name=image.name, path="/", encoding="base64")
        file.text = base64.b64encode(image.data).decode("ascii")
    return element
