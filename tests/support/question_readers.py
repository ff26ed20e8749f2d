"""Readers of exported questions that share no code with the exports.

GIFT is parsed as by Moodle's importer, ``question/format/gift/format.php``. The conditions of QTI
items are evaluated as the specification describes. Moodle XML is validated as by Moodle.
"""

import base64
import posixpath
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

QTI = "{http://www.imsglobal.org/xsd/ims_qtiasiv1p2}"
PACKAGE = "{http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1}"
MOODLE_FRACTIONS = [
    *(100, 90, 83.33333, 80, 75, 70, 66.66667, 60, 50, 40, 33.33333, 30, 25, 20, 16.66667),
    *(14.28571, 12.5, 11.11111, 10, 5, 0),
]


@dataclass
class ReadOption:
    """``fraction``: the credit that Moodle gives for the option, in per cent."""

    text: str
    feedback: str
    fraction: float = 0.0


@dataclass
class ReadQuestion:
    """A question as another program reads it.

    A number question has ``values`` (value, tolerance, credit in per cent) and options with
    feedback only; an order question has the correct place of each option in ``places``.
    """

    category: str
    identifier: str
    title: str
    text: str
    single: bool
    options: list[ReadOption]
    points: float | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    kind: str = "choice"
    values: list[tuple[float, float, float]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def moodle_fraction(self, ticked: AbstractSet[int]) -> float:
        """The fraction of the points that Moodle gives, as in its question/type/multichoice."""
        total = sum(self.options[index].fraction for index in ticked) / 100
        return min(max(total, 0.0), 1.0)


# GIFT

_PLACEHOLDERS = {f"\\{character}": f"&&{ord(character):03};" for character in ":#={}~"}
_PLACEHOLDERS["\\n"] = "&&010;"


def read_gift(text: str) -> list[ReadQuestion]:
    """Read a GIFT file of multiple-choice, numerical and matching questions.

    Raises:
        AssertionError: for text that Moodle would refuse or import as another type of question.
    """
    category, questions = "", []
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.splitlines()]
        comment = "\n".join(line for line in lines if line.startswith("//"))
        body = "\n".join(line for line in lines if not line.startswith("//")).strip()
        if body.startswith("$CATEGORY:"):
            category = body.removeprefix("$CATEGORY:").strip()
        elif body:
            questions.append(_read_gift_question(_hide_escapes(body), category, comment))
    return questions


def _hide_escapes(text: str) -> str:
    text = text.replace("\\\\", "&&092;")
    for escape, placeholder in _PLACEHOLDERS.items():
        text = text.replace(escape, placeholder)
    return text.replace("&&092;", "\\")


def _show_escapes(text: str) -> str:
    for escape, placeholder in _PLACEHOLDERS.items():
        text = text.replace(placeholder, "\n" if escape == "\\n" else escape[1])
    return text


def _read_gift_text(text: str) -> str:
    text = text.strip()
    assert text.startswith("[html]"), text
    return _show_escapes(text.removeprefix("[html]")).strip()


def _read_gift_question(body: str, category: str, comment: str) -> ReadQuestion:
    identifier = re.search(r"\[id:([^]]+)]", comment)[1]
    _, title, rest = body.split("::", 2)
    start, end = rest.index("{"), rest.index("}")
    assert end == len(rest) - 1
    answers = rest[start + 1 : end].strip()
    assert "####" not in answers
    if "~" not in answers:
        return _read_gift_other(answers, category, identifier, title, rest[:start])
    single = "=" in answers
    options = []
    for answer in filter(None, map(str.strip, answers.replace("=", "~=").split("~"))):
        fraction = 0.0
        if answer.startswith("="):
            fraction, answer = 100.0, answer[1:]
        elif weight := re.match(r"%(-*[0-9]{1,2}\.?[0-9]*)%", answer):
            fraction, answer = float(weight[1]), answer[weight.end() :]
        text, feedback = answer.split("#", 1)
        options.append(ReadOption(_read_gift_text(text), _read_gift_text(feedback), fraction))
    return ReadQuestion(
        category,
        identifier,
        _show_escapes(title),
        _read_gift_text(rest[:start]),
        single,
        options,
    )


def _read_gift_other(
    answers: str, category: str, identifier: str, title: str, text: str
) -> ReadQuestion:
    """A numerical question, whose answers begin with ``#``, or a matching one."""
    question = ReadQuestion(
        category, identifier, _show_escapes(title), _read_gift_text(text), True, []
    )
    question.kind = "number" if answers.startswith("#") else "order"
    for answer in filter(None, map(str.strip, answers.removeprefix("#").split("="))):
        if question.kind == "order":
            step, place = answer.rsplit("->", 1)
            question.options.append(ReadOption(_read_gift_text(step), ""))
            question.places.append(int(place))
            continue
        fraction = 100.0
        if weight := re.match(r"%(-*[0-9]{1,2}\.?[0-9]*)%", answer):
            fraction, answer = float(weight[1]), answer[weight.end() :]
        number, feedback = answer.split("#", 1)
        value, tolerance = map(float, number.split(":"))
        question.values.append((value, tolerance, fraction))
        question.options.append(ReadOption("", _read_gift_text(feedback), fraction))
    return question


# Moodle XML


def read_moodle_xml(path: Path) -> list[ReadQuestion]:
    """Read a Moodle XML file of multiple-choice, numerical and matching questions.

    Raises:
        AssertionError: for a fraction that Moodle refuses, an ID number that is not unique, or an
            image without its file.
    """
    category, questions = "", []
    for element in ET.parse(path).getroot():
        assert element.tag == "question"
        if element.get("type") == "category":
            category = element.findtext("category/text")
        else:
            questions.append(_read_moodle_question(element, category))
    identifiers = [question.identifier for question in questions]
    assert len(set(identifiers)) == len(identifiers)
    return questions


def _read_moodle_question(element: ET.Element, category: str) -> ReadQuestion:
    kinds = {"multichoice": "choice", "numerical": "number", "matching": "order"}
    kind = kinds[element.get("type")]
    files: dict[str, bytes] = {}
    options, values, places = [], [], []
    for step in element.findall("subquestion"):
        options.append(ReadOption(_read_moodle_text(step, files), ""))
        places.append(int(step.findtext("answer/text")))
    for answer in element.findall("answer"):
        fraction = float(answer.get("fraction"))
        assert min(abs(abs(fraction) - allowed) for allowed in MOODLE_FRACTIONS) < 1e-5
        if kind == "number":
            number = float(answer.findtext("text")), float(answer.findtext("tolerance"))
            values.append((*number, fraction))
            feedback = _read_moodle_text(answer.find("feedback"), files)
            options.append(ReadOption("", feedback, fraction))
            continue
        texts = _read_moodle_text(answer, files), _read_moodle_text(answer.find("feedback"), files)
        options.append(ReadOption(*texts, fraction))
    return ReadQuestion(
        category,
        element.findtext("idnumber"),
        element.findtext("name/text"),
        _read_moodle_text(element.find("questiontext"), files),
        kind != "choice" or {"true": True, "false": False}[element.findtext("single")],
        options,
        float(element.findtext("defaultgrade")),
        files,
        kind,
        values,
        places,
    )


def _read_moodle_text(element: ET.Element, files: dict[str, bytes]) -> str:
    assert element.get("format") == "html"
    text = (element.findtext("text") or "").strip()
    own = {
        file.get("name"): base64.b64decode(file.text, validate=True)
        for file in element.findall("file")
        if file.get("path") == "/" and file.get("encoding") == "base64"
    }
    assert set(re.findall(r'src="@@PLUGINFILE@@/([^"]+)"', text)) == set(own)
    files |= own
    return text


# QTI 1.2


@dataclass
class QtiItem:
    """An item with its conditions. ``idents``: of the options' labels."""

    question: ReadQuestion
    idents: list[str]
    conditions: list[ET.Element]
    feedback: dict[str, str]

    def respond(self, ticked: AbstractSet[int]) -> tuple[float, list[str]]:
        """The score from 0 to 100 and the feedback for these selected options."""
        chosen = {self.idents[index] for index in ticked}
        return self._respond(
            lambda condition: all(
                _holds(test, chosen) for test in condition.find(f"{QTI}conditionvar")
            )
        )

    def respond_number(self, typed: float) -> tuple[float, list[str]]:
        """The score and the feedback for a typed number."""

        def is_within(condition) -> bool:
            between = condition.find(f"{QTI}conditionvar/{QTI}or/{QTI}and")
            low, high = (float(between.find(f"{QTI}{name}").text) for name in ("vargte", "varlte"))
            return low <= typed <= high

        return self._respond(is_within)

    def _respond(self, holds: Callable) -> tuple[float, list[str]]:
        """Process the conditions in their order; ``holds`` returns whether a condition is met."""
        score, shown = 0.0, []
        for condition in filter(holds, self.conditions):
            for variable in condition.findall(f"{QTI}setvar"):
                assert variable.attrib == {"action": "Set", "varname": "SCORE"}
                score = float(variable.text)
            links = [e.get("linkrefid") for e in condition.findall(f"{QTI}displayfeedback")]
            shown += [self.feedback[link] for link in links]
            if condition.get("continue") == "No":
                break
        return score, shown

    def respond_order(self, places: list[int]) -> float:
        """The score from 0 to 100 for these places of the steps."""
        given = {f"response_{n}": str(100 + place) for n, place in enumerate(places, 1)}
        score = 0.0
        for condition in self.conditions:
            test = condition.find(f"{QTI}conditionvar/{QTI}varequal")
            if test is not None and given[test.get("respident")] == test.text:
                variable = condition.find(f"{QTI}setvar")
                assert variable.attrib == {"action": "Add", "varname": "SCORE"}
                score += float(variable.text)
        return score


def _holds(test: ET.Element, chosen: set[str]) -> bool:
    kind = test.tag.removeprefix(QTI)
    if kind == "varequal":
        return test.text in chosen
    if kind == "not":
        return not _holds(test[0], chosen)
    assert kind == "and", kind
    return all(_holds(inner, chosen) for inner in test)


def read_qti(path: Path) -> list[QtiItem]:
    """Read the items of a QTI 1.2 package; a question's category is its assessment's title.

    Raises:
        AssertionError: if the manifest and the files differ, or an ident is not unique.
    """
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = ET.fromstring(files.pop("imsmanifest.xml"))
    assert manifest.tag == f"{PACKAGE}manifest"
    resources = list(manifest.iter(f"{PACKAGE}resource"))
    assert {resource.get("href") for resource in resources} == set(files)
    assert len({resource.get("identifier") for resource in resources}) == len(files)
    items = []
    for resource in resources:
        if resource.get("type") == "imsqti_xmlv1p2":
            assessment = ET.fromstring(files[resource.get("href")]).find(f"{QTI}assessment")
            assert assessment.get("ident") == resource.get("identifier")
            found = assessment.findall(f"{QTI}section/{QTI}item")
            items += [_read_item(item, assessment.get("title"), files) for item in found]
        else:
            assert resource.get("type") == "webcontent"
    identifiers = [item.question.identifier for item in items]
    assert len(set(identifiers)) == len(identifiers)
    return items


def _read_item(item: ET.Element, category: str, files: dict[str, bytes]) -> QtiItem:
    fields = {
        element.findtext(f"{QTI}fieldlabel"): element.findtext(f"{QTI}fieldentry")
        for element in item.iter(f"{QTI}qtimetadatafield")
    }
    presentation = item.find(f"{QTI}presentation")
    feedback = {
        element.get("ident"): _read_material(element.find(f"{QTI}flow_mat"))
        for element in item.findall(f"{QTI}itemfeedback")
    }
    kind = {"numerical_question": "number", "matching_question": "order"}.get(
        fields["question_type"], "choice"
    )
    single, labels = True, []
    if kind == "number":
        options = [ReadOption("", text) for text in feedback.values()]
    elif kind == "order":
        steps = presentation.findall(f"{QTI}response_lid")
        options = [ReadOption(_read_material(step), "") for step in steps]
    else:
        response = presentation.find(f"{QTI}response_lid")
        single = {"Single": True, "Multiple": False}[response.get("rcardinality")]
        expected = "multiple_choice_question" if single else "multiple_answers_question"
        assert fields["question_type"] == expected
        labels = response.findall(f"{QTI}render_choice/{QTI}response_label")
        options = [
            ReadOption(_read_material(label), feedback[f"{label.get('ident')}_fb"])
            for label in labels
        ]
    text = _read_material(presentation)
    shown = "".join([text, *(option.text + option.feedback for option in options)])
    images = re.findall(r'src="\$IMS-CC-FILEBASE\$/([^"]+)"', shown)
    question = ReadQuestion(
        category,
        item.get("ident"),
        item.get("title"),
        text,
        single,
        options,
        float(fields["points_possible"]),
        {posixpath.basename(name): files[name] for name in images},
        kind,
    )
    conditions = item.findall(f"{QTI}resprocessing/{QTI}respcondition")
    return QtiItem(question, [label.get("ident") for label in labels], conditions, feedback)


def _read_material(parent: ET.Element) -> str:
    text = parent.find(f"{QTI}material/{QTI}mattext")
    assert text.get("texttype") == "text/html"
    return text.text
