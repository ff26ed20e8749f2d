"""The elements of a QTI 1.2 item, and the items of numerical and ordering questions.

They are written as in Canvas's exports of numerical and matching questions; see
:mod:`.questions_qti` for the sources.
"""

import xml.etree.ElementTree as ET

from course_grading.export.questions import QuizQuestion, RichText, decimal, ordered_steps

_RESPONSE = "response1"


def add_material(parent: ET.Element, text: RichText) -> None:
    """Add a text as HTML."""
    material = ET.SubElement(parent, "material")
    ET.SubElement(material, "mattext", texttype="text/html").text = text.html


def add_processing(item: ET.Element) -> ET.Element:
    """Add the response processing, with a score from 0 to 100."""
    processing = ET.SubElement(item, "resprocessing")
    ET.SubElement(
        ET.SubElement(processing, "outcomes"),
        "decvar",
        maxvalue="100",
        minvalue="0",
        varname="SCORE",
        vartype="Decimal",
    )
    return processing


def add_condition(processing: ET.Element, carry_on: str) -> ET.Element:
    """Add a condition; ``carry_on`` is ``"Yes"`` if later conditions are evaluated too."""
    return ET.SubElement(processing, "respcondition", {"continue": carry_on})


def add_number(item: ET.Element, question: QuizQuestion) -> None:
    """Add a numerical question. The conditions of misconceptions come before the right value's."""
    presentation = ET.SubElement(item, "presentation")
    add_material(presentation, question.text)
    response = ET.SubElement(presentation, "response_str", ident=_RESPONSE, rcardinality="Single")
    field = ET.SubElement(response, "render_fib", fibtype="Decimal")
    ET.SubElement(field, "response_label", ident="answer1")
    processing = add_processing(item)
    ordered = sorted(enumerate(question.values, 1), key=lambda pair: pair[1].right)
    for number, value in ordered:
        condition = add_condition(processing, "No" if value.right else "Yes")
        either = ET.SubElement(ET.SubElement(condition, "conditionvar"), "or")
        ET.SubElement(either, "varequal", respident=_RESPONSE).text = decimal(value.value)
        between = ET.SubElement(either, "and")
        limits = {"vargte": value.value - value.margin, "varlte": value.value + value.margin}
        for name, limit in limits.items():
            ET.SubElement(between, name, respident=_RESPONSE).text = decimal(limit)
        if value.right:
            ET.SubElement(condition, "setvar", action="Set", varname="SCORE").text = "100"
        ET.SubElement(
            condition, "displayfeedback", feedbacktype="Response", linkrefid=f"{number}_fb"
        )
    for number, value in enumerate(question.values, 1):
        feedback = ET.SubElement(item, "itemfeedback", ident=f"{number}_fb")
        add_material(ET.SubElement(feedback, "flow_mat"), value.feedback)


def add_order(item: ET.Element, question: QuizQuestion) -> None:
    """Add a matching question: each step is matched with its place; all steps have equal credit."""
    presentation = ET.SubElement(item, "presentation")
    add_material(presentation, question.text)
    steps = {str(number): option for number, option in enumerate(question.options, 1)}
    places = {option: question.sequence.index(option.letter) + 1 for option in question.options}
    for number, option in steps.items():
        response = ET.SubElement(presentation, "response_lid", ident=f"response_{number}")
        add_material(response, option.text)
        choices = ET.SubElement(response, "render_choice")
        for place in range(1, len(steps) + 1):
            label = ET.SubElement(choices, "response_label", ident=f"{100 + place}")
            add_material(label, RichText(str(place)))
    processing = add_processing(item)
    for number, option in steps.items():
        right = f"{100 + places[option]}"
        condition = ET.SubElement(processing, "respcondition")
        test = ET.SubElement(condition, "conditionvar")
        ET.SubElement(test, "varequal", respident=f"response_{number}").text = right
        share = decimal_share(len(steps), last=number == str(len(steps)))
        ET.SubElement(condition, "setvar", action="Add", varname="SCORE").text = share
    other = ET.SubElement(add_condition(processing, "Yes"), "conditionvar")
    ET.SubElement(other, "other")
    ET.SubElement(
        processing[-1], "displayfeedback", feedbacktype="Response", linkrefid="general_fb"
    )
    feedback = ET.SubElement(item, "itemfeedback", ident="general_fb")
    add_material(ET.SubElement(feedback, "flow_mat"), ordered_steps(question))


def decimal_share(count: int, last: bool) -> str:
    """A step's share of 100 with two decimals; the last step's makes the sum exact."""
    share = round(100 / count, 2)
    return f"{100 - share * (count - 1) if last else share:.2f}"
