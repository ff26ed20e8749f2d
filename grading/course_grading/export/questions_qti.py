"""Write questions as a QTI 1.2 package: in Canvas, *Settings > Import Course Content > QTI .zip
file*.

Each lesson is an assessment, which Canvas imports as a quiz and a question bank of the same name.
Questions are written as in Canvas's exports. Canvas keeps only which options are right, and has its
own rule for partial credit: each right option ticked gives 1 / (number of right options), and each
wrong one takes as much off.

Sources: IMS Question & Test Interoperability 1.2,
https://www.imsglobal.org/question/qtiv1p2/imsqti_asi_bindv1p2.html, and IMS Content Packaging,
compared with ``gems/plugins/qti_exporter`` and
``app/models/quizzes/quiz_question/multiple_answers_question.rb`` of
https://github.com/instructure/canvas-lms and with https://github.com/instructure/QTIMigrationTool,
Canvas's importer
"""

import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

from course_grading.export import questions_qti_kinds
from course_grading.export.questions import (
    Bank,
    Image,
    QuizOption,
    QuizQuestion,
    differing_orders,
)
from course_grading.export.questions_qti_kinds import add_material

FILE_NAME = "questions-qti.zip"
_QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
_PACKAGE = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
_IMAGES = "pictures"  # the same folder as in earlier exports
_RESPONSE = "response1"


def link(image: Image) -> str:
    """The ``src`` of an image: Canvas replaces the token by the URL of the package's files."""
    return f"$IMS-CC-FILEBASE$/{_IMAGES}/{image.name}"


def write(banks: list[Bank], folder: Path) -> tuple[Path, list[str]]:
    """Write the package into a folder; returns its path and messages."""
    images = {
        name: image
        for bank in banks
        for question in bank.questions
        for name, image in question.images.items()
    }
    files = {"imsmanifest.xml": _serialize(_make_manifest(banks, sorted(images)))}
    for bank in banks:
        files[_assessment_path(bank)] = _serialize(_make_assessment(bank))
    for name, image in sorted(images.items()):
        files[f"{_IMAGES}/{name}"] = image.data
    path = folder / FILE_NAME
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # without a date, so that two exports are identical
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    orders = [
        message
        for bank in banks
        for question in bank.questions
        for message in differing_orders(question, "Canvas")
    ]
    return path, [*_differing_credit(banks), *orders]


def _differing_credit(banks: list[Bank]) -> list[str]:
    """A message on questions whose partial credit in Canvas differs from the course's."""
    names = []
    for question in (question for bank in banks for question in bank.questions):
        right = sum(option.right for option in question.options)
        if question.multiple and 2 * right != len(question.options):
            names.append(question.identifier)
    if not names:
        return []
    return [
        "Canvas takes off as much for a wrong option as it gives for a right one. In these "
        "questions the numbers of right and wrong options differ, so the partial credit differs "
        f"from the course's: {', '.join(names)}"
    ]


def _serialize(root: ET.Element) -> bytes:
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _assessment_id(bank: Bank) -> str:
    return f"lesson-{bank.lesson}"


def _assessment_path(bank: Bank) -> str:
    return f"{_assessment_id(bank)}/{_assessment_id(bank)}.xml"


def _make_manifest(banks: list[Bank], images: list[str]) -> ET.Element:
    manifest = ET.Element("manifest", xmlns=_PACKAGE, identifier="course-questions")
    metadata = ET.SubElement(manifest, "metadata")
    ET.SubElement(metadata, "schema").text = "IMS Content"
    ET.SubElement(metadata, "schemaversion").text = "1.1.3"
    ET.SubElement(manifest, "organizations")
    resources = ET.SubElement(manifest, "resources")
    for bank in banks:
        _add_resource(resources, _assessment_id(bank), "imsqti_xmlv1p2", _assessment_path(bank))
    for name in images:
        identifier = f"picture-{name.partition('.')[0]}"
        _add_resource(resources, identifier, "webcontent", f"{_IMAGES}/{name}")
    return manifest


def _add_resource(resources: ET.Element, identifier: str, kind: str, path: str) -> None:
    resource = ET.SubElement(resources, "resource", identifier=identifier, type=kind, href=path)
    ET.SubElement(resource, "file", href=path)


def _make_assessment(bank: Bank) -> ET.Element:
    root = ET.Element("questestinterop", xmlns=_QTI)
    assessment = ET.SubElement(root, "assessment", ident=_assessment_id(bank), title=bank.title)
    # Without it Canvas creates a practice quiz, which is not graded.
    _add_metadata(assessment, {"qmd_assessmenttype": "Examination"})
    section = ET.SubElement(assessment, "section", ident=f"{_assessment_id(bank)}-section")
    for question in bank.questions:
        _add_item(section, question)
    return root


def _add_metadata(parent: ET.Element, fields: dict[str, str]) -> None:
    metadata = ET.SubElement(parent, "qtimetadata")
    for label, entry in fields.items():
        element = ET.SubElement(metadata, "qtimetadatafield")
        ET.SubElement(element, "fieldlabel").text = label
        ET.SubElement(element, "fieldentry").text = entry


def _add_item(section: ET.Element, question: QuizQuestion) -> None:
    item = ET.SubElement(section, "item", ident=question.identifier, title=question.title)
    kind = "multiple_answers_question" if question.multiple else "multiple_choice_question"
    kind = {"number": "numerical_question", "order": "matching_question"}.get(question.kind, kind)
    fields = {"question_type": kind, "points_possible": f"{question.points:g}"}
    _add_metadata(ET.SubElement(item, "itemmetadata"), fields)
    if question.kind == "number":
        questions_qti_kinds.add_number(item, question)
        return
    if question.kind == "order":
        questions_qti_kinds.add_order(item, question)
        return
    # Canvas uses numbers as the ids of answers.
    idents = {str(number): option for number, option in enumerate(question.options, 1)}
    _add_presentation(item, question, idents)
    _add_processing(item, question, idents)
    for ident, option in idents.items():
        feedback = ET.SubElement(item, "itemfeedback", ident=f"{ident}_fb")
        add_material(ET.SubElement(feedback, "flow_mat"), option.feedback)


def _add_presentation(
    item: ET.Element, question: QuizQuestion, idents: dict[str, QuizOption]
) -> None:
    presentation = ET.SubElement(item, "presentation")
    add_material(presentation, question.text)
    cardinality = "Multiple" if question.multiple else "Single"
    response = ET.SubElement(
        presentation, "response_lid", ident=_RESPONSE, rcardinality=cardinality
    )
    choices = ET.SubElement(response, "render_choice")
    for ident, option in idents.items():
        add_material(ET.SubElement(choices, "response_label", ident=ident), option.text)


def _add_processing(
    item: ET.Element, question: QuizQuestion, idents: dict[str, QuizOption]
) -> None:
    """Add each option's feedback, then the score of the right answer: in Canvas the last condition
    that names an option determines whether it is right.
    """
    processing = questions_qti_kinds.add_processing(item)
    for ident in idents:
        condition = questions_qti_kinds.add_condition(processing, "Yes")
        _add_equals(ET.SubElement(condition, "conditionvar"), ident)
        ET.SubElement(
            condition, "displayfeedback", feedbacktype="Response", linkrefid=f"{ident}_fb"
        )
    condition = questions_qti_kinds.add_condition(processing, "No")
    parent = ET.SubElement(condition, "conditionvar")
    if question.multiple:
        parent = ET.SubElement(parent, "and")
    for ident, option in idents.items():
        if option.right:
            _add_equals(parent, ident)
        elif question.multiple:
            _add_equals(ET.SubElement(parent, "not"), ident)
    ET.SubElement(condition, "setvar", action="Set", varname="SCORE").text = "100"


def _add_equals(parent: ET.Element, ident: str) -> None:
    ET.SubElement(parent, "varequal", respident=_RESPONSE).text = ident
