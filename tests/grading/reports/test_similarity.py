"""Near-duplicates: copies are found through new names, honest work is not, and the page says it is
a hint.
"""

import random
import time

import pytest
from course_grading.reports import similarity
from course_grading.reports.fingerprints import LONGEST, NOISE, WINDOW, Token, grams, tokens, winnow

from tests.grading.reports.test_item_analysis import Page
from tests.support.gradebook import NAME, hand_in

STUB = '''def smooth(image, size=3):
    """The mean of each window."""
    # YOUR CODE HERE
    raise NotImplementedError()
'''
COPIED = '''def smooth(image, size=3):
    """The mean of each window."""
    total = np.zeros((image.shape[0] - size + 1, image.shape[1] - size + 1))
    for down in range(size):
        for right in range(size):
            total += image[down : down + total.shape[0], right : right + total.shape[1]]
    return total / (size * size)
'''
DISGUISED = """def smooth(picture, width=3):
    # my own idea!
    acc = np.zeros((picture.shape[0] - width + 1,
                    picture.shape[1] - width + 1))

    for i in range(width):
        for j in range(width):
            acc += picture[i:i + acc.shape[0], j:j + acc.shape[1]]
    return acc / (width * width)
"""


def test_names_comments_and_layout_do_not_count():
    assert [token.text for token in tokens(COPIED)] == [token.text for token in tokens(DISGUISED)]


def test_what_a_name_means_decides_whether_it_counts():
    texts = [
        token.text
        for token in tokens(
            'import numpy as np\nx = np.zeros(3).shape\n"a note"\nprint(shape, f"{x}")\n'
        )
    ]
    assert texts[:4] == ["import", "numpy", "as", "v"]
    assert texts[4:13] == ["v", "=", "v", ".", "zeros", "(", "3", ")", "."]
    assert (
        texts[13:18] == ["shape", "print", "(", "shape", ","]
        and texts[18] == "s"
        and "a note" not in texts
    )


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def f(:\n  x = (",
        "  x\n y",
        "'" * 3,
        "\x00",
        "é = '\\d'",
        "(" * 5000,
        "if x:\n\ty\n  z",
    ],
)
def test_what_is_no_python_is_read_as_far_as_it_goes(source):
    assert all(isinstance(token, Token) for token in tokens(source))


def test_too_long_is_said():
    with pytest.raises(ValueError, match=f"more than {LONGEST}"):
        tokens("x" * (LONGEST + 1))


def test_winnowing_is_the_papers():
    """The worked example of the paper's figure 2, window 4: the hashes of
    "adorunrunrunadorunrun".
    """
    numbers = [77, 74, 42, 17, 98, 50, 17, 98, 8, 88, 67, 39, 77, 74, 42, 17, 98]
    chosen = sorted(
        (place, number) for number, places in winnow(numbers).items() for place in places
    )
    assert WINDOW == 4 and chosen == [(3, 17), (6, 17), (8, 8), (11, 39), (15, 17)]


def test_winnowing_keeps_its_promise():
    """Of any WINDOW neighbours at least one is chosen, so equal runs of NOISE + WINDOW - 1 tokens
    share one.
    """
    draw = random.Random(0)
    for _ in range(50):
        run = [Token(draw.choice("abcdefg"), 1) for _ in range(NOISE + WINDOW - 1)]
        sides = [
            [Token(draw.choice("xyz"), 1) for _ in range(draw.randrange(30))] for _ in range(4)
        ]
        one, other = sides[0] + run + sides[1], sides[2] + run + sides[3]
        assert winnow(grams(one)).keys() & winnow(grams(other)).keys()
    assert winnow([]) == {} and winnow([5, 3]) == {3: [1]}


def honest(draw: random.Random) -> str:
    """An answer of somebody's own: one of many ways to the same end, with names of its own."""
    a, b, c, d = draw.sample(
        ["image", "pic", "x", "out", "res", "acc", "k", "n", "win", "rows", "cols", "tmp"], 4
    )
    ways = [
        f"    {b} = {draw.randrange(1, 99)} * np.ones(({c}, {c}))\n",
        f"    if {c} % {draw.randrange(2, 99)} == 0:\n        {c} += {draw.randrange(1, 99)}\n",
        f"    {d} = [{a}[i, {draw.randrange(99)}] for i in range({c}) if i > {draw.randrange(99)}]\n",
        f"    {b} = np.pad({a}, {draw.randrange(99)}, mode='edge')[{draw.randrange(99)}:, ::{draw.randrange(1, 99)}]\n",
        f"    {d} = np.convolve({a}.ravel(), np.full({c}, {draw.random():.3f}), mode='same').reshape({a}.shape)\n",
        f"    for i in range({draw.randrange(99)}, {c}):\n        {b} = np.roll({a}, i * {draw.randrange(99)})\n",
        f"    while {c} > {draw.randrange(99)}:\n        {c} -= {draw.randrange(1, 99)}\n",
        f"    assert {a}.ndim == {draw.randrange(9)}, 'shape' + str({a}.size // {draw.randrange(1, 99)})\n",
    ]
    return (
        f"def smooth({a}, {c}=3):\n"
        + "".join(draw.sample(ways, 5))
        + f"    return {a}.mean() / {draw.randrange(99)}\n"
    )


def codes(size, seed=0):
    draw = random.Random(seed)
    return {f"s{number:04d}": {"smooth-code": honest(draw)} for number in range(size)}


def test_a_disguised_copy_is_found_and_honest_work_is_not():
    everybody = codes(60)
    everybody["s0007"], everybody["s0042"] = {"smooth-code": COPIED}, {"smooth-code": DISGUISED}
    compared = similarity.compare(everybody, {"smooth-code": STUB})
    (pair,) = compared.pairs
    assert (
        (pair.one, pair.other) == ("s0007", "s0042")
        and pair.part == 1
        and pair.shared >= similarity.SHARED
    )
    assert compared.students == 60 and compared.left_out == []


def test_part_of_an_answer_copied_is_found():
    everybody = codes(40)
    own = everybody["s0001"]["smooth-code"].splitlines()
    taken = everybody["s0002"]["smooth-code"].splitlines()
    everybody["s0001"] = {"smooth-code": "\n".join(taken[:6] + own[6:])}
    pairs = {
        (pair.one, pair.other)
        for pair in similarity.compare(everybody, {"smooth-code": STUB}).pairs
    }
    assert pairs == {("s0001", "s0002")}


def test_the_release_and_the_usual_answer_do_not_count():
    untouched = {f"s{number}": {"smooth-code": STUB} for number in range(3)}
    assert similarity.compare(untouched, {"smooth-code": STUB}).pairs == []
    usual = {
        f"s{number}": {"smooth-code": COPIED} for number in range(similarity.COMMON_AT_LEAST + 1)
    }
    compared = similarity.compare(usual, {"smooth-code": STUB})
    assert compared.pairs == [] and compared.plain == len(usual)
    few = dict(list(usual.items())[:2]) | codes(8)
    assert len(similarity.compare(few, {"smooth-code": STUB}).pairs) == 1
    assert similarity.compare(few, {"smooth-code": COPIED}).pairs == []  # had it been released


def test_what_cannot_be_compared_is_named():
    everybody = codes(3) | {"long": {"smooth-code": "x = 1\n" * LONGEST}, "none": {}}
    compared = similarity.compare(everybody, {"smooth-code": STUB})
    assert [student for student, _ in compared.left_out] == ["long"] and compared.students == 5
    assert similarity.compare({}, {"smooth-code": STUB}).pairs == []


def test_the_page(built, tmp_path):
    workspace = built / "grading" / "workspace"
    draw = random.Random(0)
    for number in range(6):
        hand_in(workspace, f"s{number}", {}, honest(draw))
    evil = "<script>alert(1)</script></pre>"
    hand_in(workspace, "ada", {}, COPIED.replace("The mean", evil))
    hand_in(workspace, "bob", {}, DISGUISED)
    (workspace / "submitted" / "s5" / NAME / f"{NAME}.ipynb").write_text("{")
    path, compared = similarity.write(workspace, NAME, tmp_path / "likeness")
    html = path.read_text(encoding="utf-8")
    read = Page(html)
    assert [(pair.one, pair.other) for pair in compared.pairs] == [("ada", "bob")]
    assert (
        "This page is a hint, not a verdict." in html
        and "s5: the notebook can&#39;t be read" in html
    )
    assert evil not in html and "&lt;script&gt;" in html and "default-src 'none'" in html
    assert html.count("<mark>") >= 8 and "| def smooth" not in html.split("<mark>")[0]
    assert {attrs["aria-label"] for attrs in read.every("pre")} == {
        "double of ada",
        "double of bob",
    }
    assert len(read.every("h1")) == 1 and len(read.every("caption")) == len(read.tables)
    assert {a["href"][1:] for a in read.every("a")} <= {attrs.get("id") for _, attrs in read.tags}


@pytest.mark.slow
def test_a_thousand_submissions():
    """Each with each: half a million pairs. The time says whether it still grows as it should."""
    everybody = {
        student: {f"{name}-code": cells["smooth-code"] for name in "abcd"}
        for student, cells in codes(1000).items()
    }
    everybody["s0123"] = {f"{name}-code": COPIED for name in "abcd"}
    everybody["s0876"] = {f"{name}-code": DISGUISED for name in "abcd"}
    begin = time.process_time()
    compared = similarity.compare(everybody, {f"{name}-code": STUB for name in "abcd"})
    took = time.process_time() - begin
    print(f"1,000 students, 4 exercises: {took:.1f} s, {len(compared.pairs)} pairs")
    assert (compared.pairs[0].one, compared.pairs[0].other) == ("s0123", "s0876") and len(
        compared.pairs
    ) < 10
    assert took < 60
