"""Read the number that a learner typed: ``196,608``, ``1.5e3``, ``1 500``, ``3/4``, ``12 MB``.

An unambiguous number is accepted in any notation. An ambiguous one, such as ``0,5``, is rejected
with a message that says what to type: a misread number costs points, a rejected one waits for the
learner or for a person.
"""

import functools
import re
import unicodedata
from fractions import Fraction

_MAX_LENGTH = 60  # characters of an answer
_MAX_EXPONENT = 300  # a Fraction holds all digits, so 1e999999999 would fill the memory
_MINUS = str.maketrans("\u2212\u2013\u2010\u2011", "----")
_TIMES = r"(?:[x\u00d7\u00b7*]|\\times)"
_DIGITS = r"(?:\d[\d,_' ]*(?:\.\d*)?|\.\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?) *(?P<digits>{_DIGITS})"
    rf"(?: *(?:[eE]|{_TIMES} *10 *(?:\^|\*\*)) *(?P<exponent>[+-]?\d+))? *"
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,_' ])\d{3}(\1\d{3})*")
_PLAIN = re.compile(r"\d*")


def parse_number(answer: object, unit: str = "") -> Fraction | None:
    """The exact number in an answer; None for a blank answer.

    Accepted are a decimal point, thousands separated by commas, spaces, underscores or
    apostrophes, powers of ten (``1.5e3``, ``1.5 x 10^3``), fractions (``3/4``), a leading ``=`` or
    ``~``, and the unit after the number.

    Args:
        answer: the learner's answer; anything but a string is invalid.
        unit: the unit of the number, such as ``"MB"``; empty for none.

    Raises:
        ValueError: if the answer is no number or is ambiguous; the message says what to type.
    """
    if not isinstance(answer, str):
        raise ValueError(
            f'the answer is {answer!r}, not text. Write the number between quotes: answer = "1,500"'
        )
    if len(answer) > _MAX_LENGTH:
        raise ValueError(f"the answer has {len(answer)} characters: write one number.")
    return _parse(answer, unit)


@functools.lru_cache(maxsize=1024)  # a question's values are parsed again for every comparison
def _parse(answer: str, unit: str) -> Fraction | None:
    # NFKC would turn 10 with a superscript 3 into 103, and 1 with a one-half sign into 11/2.
    if any(unicodedata.category(character) == "No" for character in answer):
        raise ValueError(
            f"{answer.strip()!r} has a raised digit or a fraction sign: write 10^3, 1e3 or 1/2."
        )
    text = unicodedata.normalize("NFKC", answer).translate(_MINUS)
    text = " ".join(text.replace("\u2019", "'").split())
    text = text.lstrip("=~\u2248 ")
    if not text:
        return None
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(
            f"{answer.strip()!r} is not a number. Write digits, for example 1,500 or 0.25."
        )
    value, rest = _value(match), text[match.end() :].strip()
    if rest.startswith("/"):
        denominator = _NUMBER.match(rest[1:].strip())
        if denominator is None or not _value(denominator):
            raise ValueError(f"{answer.strip()!r} is not a fraction: write it like 3/4.")
        value, rest = value / _value(denominator), rest[1:].strip()[denominator.end() :].strip()
    _check_unit(answer, rest, unit)
    return value


def to_text(value: Fraction) -> str:
    """A number as it is recorded and shown: ``196,608``, ``0.25``, ``3/7``.

    A fraction of more than 20 characters is rounded to 12 digits. The text can be parsed again.
    """
    if value.denominator == 1:
        return f"{value.numerator:,}" if abs(value) < 10**15 else f"{float(value):.15g}"
    decimal = f"{float(value):.12g}"
    if Fraction(decimal) == value:
        return decimal
    fraction = f"{value.numerator}/{value.denominator}"
    return fraction if len(fraction) <= 20 else to_text(Fraction(decimal))


def parse_tolerance(text: str, right: str) -> tuple[Fraction, bool]:
    """A tolerance and whether it is relative.

    Args:
        text: ``"1 %"``, or an absolute number; empty for the default, which is 0 for an integer and
            otherwise 0.5 %.
        right: the right value as its author writes it, which decides the default.

    Raises:
        ValueError: if the text is malformed or negative.
    """
    if not text.strip():
        return Fraction(0) if re.fullmatch(r"[^.eE/]*", right) else Fraction(1, 200), True
    percent = text.strip().endswith("%")
    try:
        value = parse_number(text, "%" if percent else "")
    except ValueError:
        value = None
    if value is None or value < 0:
        raise ValueError(f"the tolerance is {text!r}: write '1 %', or a number such as 0.5")
    return (value / 100, True) if percent else (value, False)


def _value(match: re.Match) -> Fraction:
    digits, exponent = match["digits"].strip(), int(match["exponent"] or 0)
    if abs(exponent) > _MAX_EXPONENT:
        raise ValueError(f"the exponent {exponent} is too large: write a smaller number.")
    whole, point, decimals = digits.partition(".")
    if not _PLAIN.fullmatch(whole) and not _THOUSANDS.fullmatch(whole):
        if whole.count(",") == 1 and not point:
            example = digits.replace(",", ".", 1)
            raise ValueError(
                f"{digits!r} has two meanings: write {example} if the comma is a decimal point; "
                "thousands are groups of three digits, 1,500."
            )
        raise ValueError(f"{digits!r} is not a number: thousands are groups of three, 1,500.")
    if whole.startswith("0") and not _PLAIN.fullmatch(whole):
        raise ValueError(
            f"{digits!r} has two meanings: write a decimal point, {digits.replace(',', '.', 1)}."
        )
    if point and not _PLAIN.fullmatch(decimals):
        raise ValueError(f"{digits!r} is not a number: separate only thousands, before the point.")
    number = Fraction(f"{re.sub(r'[^0-9]', '', whole) or '0'}.{decimals or '0'}")
    return (-1 if match["sign"] == "-" else 1) * number * Fraction(10) ** exponent


def _check_unit(answer: str, rest: str, unit: str) -> None:
    """Check that nothing, or only the question's unit, follows the number."""
    if not rest or _same_unit(rest, unit):
        return
    text = answer.strip()
    if re.match(r"[.,]\d|\.", rest):
        raise ValueError(
            f"{text!r} has more than one decimal point: write thousands with commas, 1,500.5."
        )
    if unit:
        raise ValueError(
            f"{text!r} ends in {rest!r}, but the answer is counted in {unit}: write the number, "
            f"with or without {unit} after it."
        )
    raise ValueError(f"{text!r} ends in {rest!r}: write the number alone.")


def _same_unit(typed: str, unit: str) -> bool:
    plain = [
        unicodedata.normalize("NFKC", text).casefold().strip(" .").removesuffix("s")
        for text in (typed, unit)
    ]
    return bool(unit) and plain[0] == plain[1]
