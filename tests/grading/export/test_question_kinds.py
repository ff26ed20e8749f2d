"""Number and order questions in Moodle XML, GIFT and QTI; point questions are reported."""

import re
import xml.etree.ElementTree as ET
import zipfile

import pytest
from course_grading.export.questions_formats import FORMATS, export_questions

from tests.support.question_kinds import write_lesson
from tests.support.question_readers import QTI


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The exported file and the messages, by format."""
    root = tmp_path_factory.mktemp("kinds")
    write_lesson(root)
    return {name: export_questions(name, root / "solutions", [], root) for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_unsupported_questions_are_reported(exported, name: str) -> None:
    messages = "\n".join(exported[name][1])
    assert "question where-is-the-corner: left out" in messages
    assert "training-step: " in messages and "pairs of steps" in messages


def test_moodle_has_a_numerical_and_a_matching_question(exported) -> None:
    root = ET.parse(exported["moodle"][0]).getroot()
    kinds = [question.get("type") for question in root]
    assert kinds == ["category", "numerical", "matching", "multichoice"]
    number, order = root[1], root[2]
    answers = [
        (answer.get("fraction"), answer.findtext("text"), answer.findtext("tolerance"))
        for answer in number.findall("answer")
    ]
    assert answers == [("100", "400", "4"), ("0", "0.04", "0.0004"), ("0", "100", "1")]
    assert "That is one row" in number.findall("answer")[1].findtext("feedback/text")
    assert "in MB, without the unit" in number.findtext("questiontext/text")
    places = {
        step.findtext("text"): step.findtext("answer/text") for step in order.findall("subquestion")
    }
    assert places["Call <code>backward</code>."] == "2" and sorted(places.values()) == list("1234")
    assert "It uses the gradients." in order.findtext("incorrectfeedback/text")


def test_gift_has_a_numerical_and_a_matching_question(exported) -> None:
    text = exported["gift"][0].read_text(encoding="utf-8")
    number = re.search(r"question-01_kinds-layer-size.*?^}", text, re.DOTALL | re.MULTILINE)[0]
    assert re.findall(r"^\t=(\S*?)#", number, re.MULTILINE) == [
        *("400:4", "%0%0.04:0.0004", "%0%100:1"),
    ]
    assert "{#\n" in number
    order = re.search(r"question-01_kinds-training.*?^}", text, re.DOTALL | re.MULTILINE)[0]
    assert sorted(re.findall(r" -> (\d)$", order, re.MULTILINE)) == list("1234")


def numerical_score(item: ET.Element, typed: float) -> float:
    """The score of a typed number by the conditions of a numerical item."""
    for condition in item.iter(f"{QTI}respcondition"):
        bounds = condition.find(f"{QTI}conditionvar/{QTI}or/{QTI}and")
        low, high = (float(bounds.find(f"{QTI}{name}").text) for name in ("vargte", "varlte"))
        score = condition.find(f"{QTI}setvar")
        if low <= typed <= high and score is not None:
            return float(score.text)
    return 0.0


def test_qti_has_a_numerical_and_a_matching_question(exported) -> None:
    with zipfile.ZipFile(exported["qti"][0]) as archive:
        (name,) = (name for name in archive.namelist() if name.startswith("lesson"))
        root = ET.fromstring(archive.read(name))
    number, order, _ = root.iter(f"{QTI}item")
    entries = [entry.text for entry in root.iter(f"{QTI}fieldentry")]
    assert {"numerical_question", "matching_question"} <= set(entries)
    assert [numerical_score(number, typed) for typed in (396, 404, 395, 100)] == [100, 100, 0, 0]
    feedback = {element.get("ident") for element in number.iter(f"{QTI}itemfeedback")}
    linked = {element.get("linkrefid") for element in number.iter(f"{QTI}displayfeedback")}
    assert feedback == linked and len(linked) == 3
    scores = [float(variable.text) for variable in order.iter(f"{QTI}setvar")]
    assert len(scores) == 4 and sum(scores) == 100
    assert len(order.findall(f"{QTI}presentation/{QTI}response_lid")) == 4
