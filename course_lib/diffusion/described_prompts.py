"""Remarks on prompts of described-sd, and on its images, for ``course generate``."""

from course_lib.data import descriptions
from course_lib.data.descriptions import Description
from course_lib.diffusion import described_judge


def warnings_about(prompt: str) -> list[str]:
    """Why the prompt is not a sentence of the training, and the nearest one; else an empty list."""
    try:
        descriptions.parse(prompt)
    except descriptions.UnknownSentence as error:
        return [f"{error} The model draws something, but it was not trained on such sentences."]
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
    correct = described_judge.accuracy([found], [asked])["all"] == 1
    return "" if correct else f"{seen}: not what you asked."
