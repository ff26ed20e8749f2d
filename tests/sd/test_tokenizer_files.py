"""Published tokenizers in the old and the new file format give the same ids as transformers, also
for added words.
"""

import json
import random
import shutil

import pytest

from course_lib.sd.tokenizer import END, START, Tokenizer
from tests.support.published_sd import edit
from tests.support.tiny_sd import VOCAB_SIZE, write_tokenizer

# In lower case; with capitals and spaces; part of other words; with another added word as prefix.
ADDED = ["<my-cat>", "Zebra Cow Ä", "ox", "<my-cat>s"]
TEXT = "a fox oxen photo<my-cat>of <MY-CAT> zebra  cow ä ZEBRA cow\tÄ ( 7 's , . é"
PARTS = [*ADDED, *TEXT.split(" ")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same tokenizer in the format of 2022, and as transformers saves it now."""
    from transformers import CLIPTokenizerFast

    top = tmp_path_factory.mktemp("tokenizers")
    old = write_tokenizer(top / "old")
    numbers = {word: VOCAB_SIZE + number for number, word in enumerate(ADDED)}
    (old / "added_tokens.json").write_text(json.dumps(numbers))
    theirs = CLIPTokenizerFast.from_pretrained(write_tokenizer(top / "plain"), model_max_length=77)
    theirs.save_pretrained(top / "new without words")
    theirs.add_tokens(ADDED)
    theirs.save_pretrained(top / "new")
    return top, theirs


def sentences(count):
    rng = random.Random(0)
    for _ in range(count):
        parts = rng.choices(PARTS, k=rng.randrange(1, 9))
        yield rng.choice(["", " ", "  "]).join(parts)


@pytest.mark.parametrize("name", ["old", "new"])
def test_ids_with_added_words_match_transformers(folders, name):
    top, theirs = folders
    ours = Tokenizer(VOCAB_SIZE + len(ADDED), 77, top / name)
    prompts = [*sentences(500), f"a {START}<my-cat> {END} ox"]
    for prompt, expected in zip(prompts, theirs(prompts)["input_ids"], strict=True):
        assert [ours.ids[START], *ours.tokenize(prompt), ours.ids[END]] == expected, prompt
    assert ours.tokenize("a <MY-Cat>") == [*ours.tokenize("a"), VOCAB_SIZE]
    assert ours.decode(ours.tokenize("a Zebra cow ä 7")) == "a Zebra Cow Ä 7"


def test_files_without_added_words_give_the_courses_own_ids(folders):
    top, _ = folders
    own, new = Tokenizer(VOCAB_SIZE), Tokenizer(VOCAB_SIZE, 77, top / "new without words")
    assert not (top / "new without words" / "vocab.json").exists()
    assert (new.ids, new.merges, new.length) == (own.ids, own.merges, 77)
    # More vectors than ids are allowed, fewer are not.
    with pytest.raises(ValueError, match="there are 704 ids"):
        Tokenizer(VOCAB_SIZE + 3, 77, top / "new")
    assert len(Tokenizer(VOCAB_SIZE + 9, 77, top / "new").ids) == VOCAB_SIZE + 4


def test_length_of_the_files_is_used(folders, tmp_path):
    top, _ = folders
    folder = shutil.copytree(top / "new", tmp_path / "tokenizer")
    file = folder / "tokenizer_config.json"
    edit(file, model_max_length=20)
    assert Tokenizer(704, 77, folder).encode("a fox")[0].shape == (1, 20)
    edit(file, model_max_length=10**30)
    assert Tokenizer(704, 50, folder).length == 50
    for length in (51, 2, "long"):
        edit(file, model_max_length=length)
        with pytest.raises(ValueError, match=f"model_max_length is '?{length}"):
            Tokenizer(704, 50, folder)


def test_merge_with_a_number_is_rejected(folders, tmp_path):
    top, _ = folders
    folder = shutil.copytree(top / "new", tmp_path / "tokenizer")
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    for first, message in (([1, "a"], "vocabulary and merges do not match"), (5, "wrong type")):
        edit(folder / "tokenizer.json", model=model | {"merges": [first, *model["merges"][1:]]})
        with pytest.raises(ValueError, match=message):
            Tokenizer(704, 77, folder)


WORD = {"content": "<w>", "id": 704, "normalized": True}


@pytest.mark.parametrize(
    "file, changes, message",
    [
        ("tokenizer_config.json", {"pad_token": "!"}, "pad_token is '!'"),
        ("tokenizer_config.json", {"pad_token": {"content": "!"}}, "pad_token is '!'"),
        ("tokenizer_config.json", {"do_lower_case": False}, "do_lower_case is 'False'"),
        ("tokenizer_config.json", {"bos_token": "<s>"}, "bos_token is '<s>'"),
        ("tokenizer.json", {"normalizer": {"normalizers": [{"type": "NFC"}]}}, "normalizer is"),
        ("tokenizer.json", {"normalizer": None}, "is not CLIP's tokenizer"),
        ("tokenizer.json", {"model": {"type": "WordPiece"}}, "model.end_of_word_suffix is 'None'"),
        ("tokenizer.json", {"model": []}, "is not CLIP's tokenizer"),
        ("tokenizer.json", {"model": 5}, "is not CLIP's tokenizer"),
        ("tokenizer.json", {"added_tokens": 5}, "is not CLIP's tokenizer"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"700": "<w>"}}, "is not CLIP's token"),
        ("tokenizer.json", {"added_tokens": [WORD | {"id": 800}]}, "'<w>' has the id 800"),
        ("tokenizer.json", {"added_tokens": [WORD | {"id": 700}, WORD]}, "'<w>' has the id 704, e"),
        ("tokenizer.json", {"added_tokens": [WORD | {"lstrip": True}]}, "lstrip of the added word"),
        ("tokenizer.json", {"added_tokens": [WORD | {"content": " "}]}, "content of an added word"),
        ("tokenizer.json", {"added_tokens": [{"id": 700}]}, "without content or id"),
        ("tokenizer.json", {"added_tokens": [{"id": 3, "content": END}]}, "has the id 3. CLIP's"),
    ],
)
def test_other_tokenizers_are_rejected_by_setting(folders, tmp_path, file, changes, message):
    top, _ = folders
    folder = shutil.copytree(top / "new", tmp_path / "tokenizer")
    edit(folder / file, **changes)
    with pytest.raises(ValueError, match="tokenizer") as error:
        Tokenizer(704, 77, folder)
    assert message in str(error.value)
