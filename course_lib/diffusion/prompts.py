"""Remarks on prompts of the text-to-image model, and on its images, for ``course generate``."""

from course_lib.data import descriptions
from course_lib.data.descriptions import COLOURS, OBJECTS, Description
from course_lib.diffusion import judge


def warnings_about(prompt: str) -> list[str]:
    """Why the prompt is not a sentence of the training, the nearest one, and advice; else nothing.

    The sentences are those that :func:`course_lib.data.descriptions.parse` reads.
    """
    try:
        descriptions.parse(prompt)
    except descriptions.UnknownSentence as error:
        warnings = [f"{error} The model draws something, but it was not trained on such sentences."]
        if error.excluded:
            warnings.append("What the picture must not show belongs in --negative.")
        if not error.objects:
            warnings.append(f"The objects that it knows: {', '.join(OBJECTS)}.")
        if error.colour is None:
            warnings.append(f"The background colours that it knows: {', '.join(COLOURS)}.")
        return warnings
    return []


def describe_difference(prompt: str, found: Description) -> str:
    """What the judge found in an image, if its prompt asks for something else; otherwise ``""``.

    ``found``: a complete description. What the prompt leaves open is not compared.
    """
    seen = f"the judge sees {descriptions.describe(found)}"
    try:
        asked = descriptions.parse(prompt)
    except descriptions.UnknownSentence:
        return f"{seen}."
    correct = judge.description_accuracy([found], [asked])["all"] == 1
    return "" if correct else f"{seen}: not what you asked."
