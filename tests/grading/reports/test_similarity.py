"""Code similarity: copies are found despite renaming, and independent work is not listed."""

import random
import time

import pytest
from course_grading.reports import similarity
from course_grading.reports.fingerprints import (
    GUARANTEE_THRESHOLD,
    MAX_LENGTH,
    WINDOW_SIZE,
    Token,
    hash_kgrams,
    tokenise,
    winnow,
)

from tests.support.gradebook import NAME, submit
from tests.support.html_page import Page

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


def test_names_comments_and_layout_are_ignored():
    copied = [token.text for token in tokenise(COPIED)]
    assert copied == [token.text for token in tokenise(DISGUISED)]


def test_own_names_are_ignored_and_library_names_are_not():
    source = 'import numpy as np\nx = np.zeros(3).shape\n"a note"\nprint(shape, f"{x}")\n'
    texts = [token.text for token in tokenise(source)]
    assert texts[:4] == ["import", "numpy", "as", "v"]
    assert texts[4:13] == ["v", "=", "v", ".", "zeros", "(", "3", ")", "."]
    assert texts[13:18] == ["shape", "print", "(", "shape", ","]
    assert texts[18] == "s" and "a note" not in texts


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
def test_invalid_python_is_tokenised_as_far_as_possible(source):
    assert all(isinstance(token, Token) for token in tokenise(source))


def test_too_long_code_is_refused():
    with pytest.raises(ValueError, match=f"more than {MAX_LENGTH}"):
        tokenise("x" * (MAX_LENGTH + 1))


def test_winnowing_of_the_papers_example():
    """The fingerprints equal those in figure 2 of the paper (window 4, "adorunrunrunadorunrun")."""
    hashes = [77, 74, 42, 17, 98, 50, 17, 98, 8, 88, 67, 39, 77, 74, 42, 17, 98]
    selected = sorted(
        (position, hash_) for hash_, positions in winnow(hashes).items() for position in positions
    )
    assert WINDOW_SIZE == 4
    assert selected == [(3, 17), (6, 17), (8, 8), (11, 39), (15, 17)]


def test_winnowing_guarantee():
    """Programs that share a run of GUARANTEE_THRESHOLD tokens share a fingerprint."""
    rng = random.Random(0)
    for _ in range(50):
        run = [Token(rng.choice("abcdefg"), 1) for _ in range(GUARANTEE_THRESHOLD)]
        prefix_1, suffix_1, prefix_2, suffix_2 = [
            [Token(rng.choice("xyz"), 1) for _ in range(rng.randrange(30))] for _ in range(4)
        ]
        first = winnow(hash_kgrams(prefix_1 + run + suffix_1))
        second = winnow(hash_kgrams(prefix_2 + run + suffix_2))
        assert first.keys() & second.keys()
    assert winnow([]) == {} and winnow([5, 3]) == {3: [1]}


def independent_solution(rng: random.Random) -> str:
    """A random solution that shares no code with the others, with the student's own names."""
    a, b, c, d = rng.sample(
        ["image", "pic", "x", "out", "res", "acc", "k", "n", "win", "rows", "cols", "tmp"], 4
    )

    def number(start: int = 0) -> int:
        return rng.randrange(start, 99)

    statements = [
        f"{b} = {number(1)} * np.ones(({c}, {c}))",
        f"if {c} % {number(2)} == 0:\n        {c} += {number(1)}",
        f"{d} = [{a}[i, {number()}] for i in range({c}) if i > {number()}]",
        f"{b} = np.pad({a}, {number()}, mode='edge')[{number()}:, ::{number(1)}]",
        f"{d} = np.convolve({a}.ravel(), np.full({c}, {rng.random():.3f}), mode='same')"
        f".reshape({a}.shape)",
        f"for i in range({number()}, {c}):\n        {b} = np.roll({a}, i * {number()})",
        f"while {c} > {number()}:\n        {c} -= {number(1)}",
        f"assert {a}.ndim == {rng.randrange(9)}, 'shape' + str({a}.size // {number(1)})",
    ]
    lines = [f"def smooth({a}, {c}=3):", *rng.sample(statements, 5)]
    lines.append(f"return {a}.mean() / {number()}")
    return "\n    ".join(lines) + "\n"


def independent_solutions(size, seed=0):
    rng = random.Random(seed)
    return {f"s{number:04d}": {"smooth-code": independent_solution(rng)} for number in range(size)}


def test_disguised_copy_is_found_and_independent_work_is_not():
    sources = independent_solutions(60)
    sources["s0007"] = {"smooth-code": COPIED}
    sources["s0042"] = {"smooth-code": DISGUISED}
    report = similarity.compare(sources, {"smooth-code": STUB})
    (pair,) = report.pairs
    assert (pair.first, pair.second) == ("s0007", "s0042")
    assert pair.overlap == 1 and pair.shared >= similarity.MIN_SHARED
    assert report.students == 60 and report.left_out == []


def test_partly_copied_answer_is_found():
    sources = independent_solutions(40)
    own = sources["s0001"]["smooth-code"].splitlines()
    copied = sources["s0002"]["smooth-code"].splitlines()
    sources["s0001"] = {"smooth-code": "\n".join(copied[:6] + own[6:])}
    report = similarity.compare(sources, {"smooth-code": STUB})
    assert {(pair.first, pair.second) for pair in report.pairs} == {("s0001", "s0002")}


def test_released_code_and_common_answers_are_ignored():
    untouched = {f"s{number}": {"smooth-code": STUB} for number in range(3)}
    assert similarity.compare(untouched, {"smooth-code": STUB}).pairs == []
    common = {
        f"s{number}": {"smooth-code": COPIED}
        for number in range(similarity.MAX_COMMON_STUDENTS + 1)
    }
    report = similarity.compare(common, {"smooth-code": STUB})
    assert report.pairs == [] and report.undistinctive == len(common)
    two_copies = dict(list(common.items())[:2]) | independent_solutions(8)
    assert len(similarity.compare(two_copies, {"smooth-code": STUB}).pairs) == 1
    assert similarity.compare(two_copies, {"smooth-code": COPIED}).pairs == []


def test_students_who_cannot_be_compared_are_listed():
    sources = independent_solutions(3) | {
        "long": {"smooth-code": "x = 1\n" * MAX_LENGTH},
        "none": {},
    }
    report = similarity.compare(sources, {"smooth-code": STUB})
    assert [student for student, _ in report.left_out] == ["long"]
    assert report.students == 5
    assert similarity.compare({}, {"smooth-code": STUB}).pairs == []


def test_page(built, tmp_path):
    workspace = built / "grading" / "workspace"
    rng = random.Random(0)
    for number in range(6):
        submit(workspace, f"s{number}", {}, independent_solution(rng))
    script = "<script>alert(1)</script></pre>"
    submit(workspace, "ada", {}, COPIED.replace("The mean", script))
    submit(workspace, "bob", {}, DISGUISED)
    (workspace / "submitted" / "s5" / NAME / f"{NAME}.ipynb").write_text("{")
    path, report = similarity.write(workspace, NAME, tmp_path / "likeness")
    html = path.read_text(encoding="utf-8")
    parsed = Page(html)
    assert [(pair.first, pair.second) for pair in report.pairs] == [("ada", "bob")]
    assert "This page is a hint, not a verdict." in html
    assert "s5: the notebook can&#39;t be read" in html
    assert script not in html and "&lt;script&gt;" in html and "default-src 'none'" in html
    assert html.count("<mark>") >= 8 and "| def smooth" not in html.split("<mark>")[0]
    labels = {attributes["aria-label"] for attributes in parsed.attributes_of("pre")}
    assert labels == {"double of ada", "double of bob"}
    assert len(parsed.attributes_of("h1")) == 1
    assert len(parsed.attributes_of("caption")) == len(parsed.tables)
    targets = {attributes["href"][1:] for attributes in parsed.attributes_of("a")}
    assert targets <= {attributes.get("id") for _, attributes in parsed.tags}


@pytest.mark.slow
def test_a_thousand_submissions():
    """Half a million pairs are compared in less than a minute."""
    sources = {
        student: {f"{name}-code": cells["smooth-code"] for name in "abcd"}
        for student, cells in independent_solutions(1000).items()
    }
    sources["s0123"] = {f"{name}-code": COPIED for name in "abcd"}
    sources["s0876"] = {f"{name}-code": DISGUISED for name in "abcd"}
    start = time.process_time()
    report = similarity.compare(sources, {f"{name}-code": STUB for name in "abcd"})
    seconds = time.process_time() - start
    print(f"1,000 students, 4 exercises: {seconds:.1f} s, {len(report.pairs)} pairs")
    assert (report.pairs[0].first, report.pairs[0].second) == ("s0123", "s0876")
    assert len(report.pairs) < 10
    assert seconds < 60
