"""The tokenizer gives the same ids as transformers for any text."""

import bz2
import hashlib
import json
import random
import sys
import unicodedata
from functools import cache
from time import process_time

import pytest
import torch

from course_lib.assets import paths
from course_lib.sd.tokenizer import END, START, Tokenizer

SCRIPTS = [
    (0x41, 0x17F),
    (0x370, 0x3FF),
    (0x400, 0x52F),
    (0x590, 0x6FF),
    (0x900, 0xDFF),
    (0xE00, 0xFFF),
    (0x1100, 0x13FF),
    (0x1E00, 0x1FFF),
    (0x3040, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFB00, 0xFEFF),
    (0xFF00, 0xFFEF),
    (0x1D400, 0x1D7FF),
]
EMOJI = [chr(c) for c in range(0x1F300, 0x1F6FF)] + [
    "\u200d",
    "\ufe0f",
    "\u20e3",
    "\U0001f1e9",
    "\U0001f3fd",
]
# Words, and text that resembles the tokenizer's special tokens.
WORDS = """
    a red fox on purple background photograph of an astronaut riding horse, Trending On ArtStation;
    8K 4:3 f/1.8 it's don't we'll they've I'd I'm you're 'tis rock'n'roll naïve café Straße ΣΊΣΥΦΟΣ
    İstanbul ﬁne Ω Å ½ ² Ⅷ ٣ --no C++ (masterpiece:1.2) [[blurry]] text#hashtag @name
    http://x.org/?q=1&r=2 3,14 <|startoftext|> <|endoftext|> </w> <|ENDOFTEXT|> <|StartOfText|>!
    <|endoftext| |> fox</w>
"""
CONTROL = "\x00\x01\x1c\x1f\x7f\x85\xa0\xad\u180e\u200b\u2028\u3000\ufeff\ue000"
WORDS = WORDS.split() + list(CONTROL)


@cache
def characters():
    """The characters to test with, and the newer combining marks, which are excluded.

    A character must be known to this Python's Unicode and to transformers' regular expressions.
    Normalisation sorts combining marks by class. transformers' classes are from Unicode 9 (2016):
    it does not sort newer marks, even next to a mark of class 1 such as U+0334.
    """
    from tokenizers import Regex, normalizers

    assigned = "".join(
        c
        for c in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(c) not in ("Cn", "Cs")
    )
    assigned = normalizers.Replace(Regex(r"\p{Cn}"), "").normalize_str(assigned)
    nfc = normalizers.NFC().normalize_str
    newer = {
        c for c in assigned if unicodedata.combining(c) > 1 and nfc(f"a{c}\u0334") == f"a{c}\u0334"
    } | {"\U00011930"}
    return [c for c in assigned if c not in newer], newer


def random_prompts(count, seed=0):
    """Prompts with words, scripts, emoji, marks and control characters; some empty or too long."""
    rng = random.Random(seed)
    known, _ = characters()
    known_set = set(known)
    scripts = [
        [c for c in map(chr, range(low, high + 1)) if c in known_set] for low, high in SCRIPTS
    ]
    categories = [
        [c for c in known if unicodedata.category(c)[0] == category] for category in "LMNPSZC"
    ]
    for _ in range(count):
        size = min(int(rng.expovariate(1 / 12)), 300)
        parts = []
        for _ in range(size):
            alphabet = rng.choice(
                [WORDS, WORDS, EMOJI, known, rng.choice(scripts), rng.choice(categories)]
            )
            length = 1 if alphabet is WORDS else rng.randint(1, 9)
            parts.append("".join(rng.choices(alphabet, k=length)))
            parts.append(rng.choice([" ", " ", " ", "", "  ", "\n", "\t", ", ", "'", "\u0301"]))
        yield "".join(parts)


@pytest.fixture(scope="module")
def ours():
    return Tokenizer()


@pytest.fixture(scope="module")
def merges():
    return bz2.decompress(paths.data_path("clip", "merges.txt.bz2").read_bytes()).decode()


@pytest.fixture(scope="module")
def folder(merges, tmp_path_factory):
    """The files of a published tokenizer, written without our code."""
    from tokenizers.pre_tokenizers import ByteLevel

    folder = tmp_path_factory.mktemp("tokenizer")
    letters = sorted(ByteLevel.alphabet())
    merged = [line.replace(" ", "") for line in merges.split("\n")[1:-1]]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *merged, START, END]
    (folder / "vocab.json").write_text(
        json.dumps({token: n for n, token in enumerate(tokens)}), encoding="utf-8"
    )
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def theirs(folder):
    from transformers import CLIPTokenizerFast

    return CLIPTokenizerFast.from_pretrained(folder)


def compare(ours, theirs, count, seed):
    """Assert that both tokenizers agree on random prompts, and return the prompts."""
    prompts = list(random_prompts(count, seed))
    padded = theirs(prompts, padding="max_length", max_length=77, truncation=True)["input_ids"]
    for prompt, full, row in zip(prompts, theirs(prompts)["input_ids"], padded, strict=True):
        ids, truncated = ours.encode(prompt)
        assert [49_406, *ours.tokenize(prompt), 49_407] == full, ascii(prompt)
        assert ids[0].tolist() == row and truncated == [max(len(full) - 77, 0)], ascii(prompt)
        assert ours.decode(full) == theirs.decode(full, skip_special_tokens=True), ascii(prompt)
    return prompts


@pytest.mark.extended
def test_300_prompts_match_transformers(ours, theirs):
    prompts = compare(ours, theirs, 300, seed=0)
    assert "" in prompts and max(map(len, prompts)) > 400
    assert len({c for prompt in prompts for c in prompt}) > 8_000
    assert len(characters()[1]) < 120


@pytest.mark.slow
def test_thirty_thousand_prompts_match_transformers(ours, theirs):
    compare(ours, theirs, 30_000, seed=1)


@pytest.mark.slow
def test_every_character_is_split_as_by_transformers(ours, theirs):
    """Every character, between letters and digits, splits or joins a word as in transformers."""
    known, _ = characters()
    prompts = [f"a{c}b1{c}{c}" for c in known if unicodedata.category(c) not in ("Lo", "Co")]
    for prompt, expected in zip(prompts, theirs(prompts)["input_ids"], strict=True):
        assert ours.tokenize(prompt) == expected[1:-1], ascii(prompt)


def test_merges_are_the_published_ones(ours, merges):
    lines = merges.split("\n")
    assert len(lines) == 1 + 48_894 + 1 and lines[1] == "i n" and lines[48_894] == "jeky ll</w>"
    assert len(ours.ids) == 49_408 and (ours.ids[START], ours.ids[END]) == (49_406, 49_407)
    # The published ids of Stable Diffusion's tokenizer.
    expected = [49_406, 320, 1125, 539, 320, 2368, 49_407, 49_407]
    assert ours.encode("a photo of a cat")[0][0, :8].tolist() == expected


def test_prompts_are_padded_or_truncated_to_77_ids(ours):
    ids, truncated = ours.encode(["", "fox", "fox " * 75, "fox " * 76, "fox " * 1000])
    assert ids.shape == (5, 77) and ids.dtype == torch.int64
    assert truncated == [0, 0, 0, 1, 925]
    assert ids[0].tolist() == [49_406] + [49_407] * 76
    assert (ids[:, 0] == 49_406).all() and (ids[:, -1] == 49_407).all()
    assert (ids[2:, 1:-1] == ours.ids["fox</w>"]).all()
    assert ours.encode([])[0].shape == (0, 77)


def test_pieces_are_the_texts_of_the_ids(ours):
    ids = ours.tokenize("An aardvarkish fox")
    assert ours.pieces(ids) == ["an ", "aard", "var", "k", "ish ", "fox "]
    assert ours.decode(torch.tensor([49_406, *ids, 49_407])) == "an aardvarkish fox"
    assert ours.pieces(ours.encode("fox")[0][0])[:3] == [START, "fox ", END]
    assert "\ufffd" in "".join(ours.pieces(ours.tokenize("\U0001f469\u200d\U0001f467")))


def test_small_vocabulary(ours):
    """The vocabulary of the course's text-to-image model splits words into more pieces, with ids
    from 0 to 1,023.
    """
    small = Tokenizer(vocab_size=1024, length=16)
    ids, truncated = small.encode("a red fox on a purple background")
    assert ids.shape == (1, 16) and ids.max() == 1023 == small.ids[END] and truncated == [0]
    assert small.decode(ids[0]) == "a red fox on a purple background"
    inner = small.tokenize("a red fox on a purple background")
    assert len(inner) > len(ours.tokenize("a red fox on a purple background"))
    # Except for start and end, the ids are the same.
    assert [small.tokens[i] for i in inner] == [ours.tokens[i] for i in inner]
    letters = Tokenizer(vocab_size=514)
    assert letters.pieces(letters.tokenize("fox")) == ["f", "o", "x "]


def test_published_folder_gives_the_same_ids(folder, ours):
    from_folder = Tokenizer(folder=folder)
    assert from_folder.ids == ours.ids
    ids, _ = from_folder.encode("It's a naïve fox")
    assert torch.equal(ids, ours.encode("It's a naïve fox")[0])


def test_invalid_folder_is_rejected(folder, tmp_path, merges):
    with pytest.raises(ValueError, match="holds merges.txt and vocab.json"):
        Tokenizer(folder=tmp_path)
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    for ids in ("{", "{}", '{"a": 0}', "[]"):
        (tmp_path / "vocab.json").write_text(ids)
        with pytest.raises(ValueError, match="again|do not match"):
            Tokenizer(folder=tmp_path)
    (tmp_path / "vocab.json").write_bytes((folder / "vocab.json").read_bytes())
    for lines in (
        merges.split("\n")[:-5],
        [*merges.split("\n")[:500], "one", *merges.split("\n")[501:]],
    ):
        (tmp_path / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
        with pytest.raises(ValueError, match="do not match"):
            Tokenizer(folder=tmp_path)


@pytest.mark.parametrize(
    "sizes", [{"vocab_size": 513}, {"vocab_size": 0}, {"vocab_size": 49_409}, {"length": 2}]
)
def test_invalid_sizes_are_rejected(sizes):
    with pytest.raises(ValueError, match="give 514 to 49,408|length is 2: give at least 3"):
        Tokenizer(**sizes)


def test_surrogates_are_rejected(ours):
    with pytest.raises(ValueError, match="surrogates"):
        ours.encode("a fox \ud83e")


def test_very_long_word_takes_less_than_5_seconds(ours, theirs):
    word = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=3_000))
    start = process_time()
    ids = ours.tokenize(word)
    assert process_time() - start < 5
    assert ids == theirs(word)["input_ids"][1:-1]


def test_merges_have_licence_and_checksum():
    packed = paths.data_path("clip", "merges.txt.bz2").read_bytes()
    assert len(packed) < 170_000
    table = paths.data_path("LICENSES.md").read_text(encoding="utf-8")
    assert "Copyright (c) 2021 OpenAI" in table and "Gabriel Ilharco" in table
    checksums = json.loads(paths.data_path("checksums.json").read_text())
    assert checksums["clip/merges.txt.bz2"] == hashlib.sha256(packed).hexdigest()
