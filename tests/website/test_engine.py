"""The page's tokenizer, noise and samplers, run by node, agree with course_lib."""

import json
import os
import random
import shutil
import subprocess
from dataclasses import asdict

import numpy as np
import pytest
import torch
from course_site.models import build

from course_lib.data import descriptions
from course_lib.data.captioned import make_caption
from course_lib.data.descriptions import COLOURS, FORMS, KINDS, OBJECTS, UnknownSentence
from course_lib.diffusion import text_to_image
from course_lib.sd.samplers import SAMPLERS, NoiseSchedule, gaussian
from tests.support.checkout import ROOT
from tests.support.sentences import SENTENCES

WEB = ROOT / "website" / "web"
FUZZED = 1000
SCHEDULES = (
    text_to_image.SCHEDULE,
    NoiseSchedule(),  # Stable Diffusion's own: epsilon, leading
)
# Letters of several scripts, combining marks, delimiters of CLIP's pre-tokenizer, whitespace.
ALPHABET = (
    "abcxyzABCXYZ0123456789 '’.,!?<>|-_\t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u3000\u200b\ufeff\u180e"
    "éÉßİıΣσςäÄñçŒ\u0301\u0308\u0327あ漢字한글עבריתالعربيةनमस्ते²½Ⅷ٣①🦊👩‍🚀😀\x00\x7f"
)
SENTENCE_PARTS = (
    *("fox", "foxes", "owl", "buses", "banana", "elefant", "constructor", "ring", "gren"),
    *("red", "orange", "blue", "small", "large", "flat", "shiny", "the", "any", "with", "of"),
    *("no", "not", "without", "left", "on the left", "at the top", "and", ",", ".", "background"),
)
PARTS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "<|EndOfText|>",
    "'s",
    "'RE",
    "background",
    " fox",
    "  ",
)


def fuzzed_sentences(count: int) -> list[str]:
    """Random texts from the alphabet above, from other characters, and sentences with errors."""
    rng = random.Random(0)

    def characters(length: int) -> str:
        return "".join(rng.choice(ALPHABET) for _ in range(length))

    def any_characters(length: int) -> str:
        # Blocks on which the Unicode versions of Python and node agree.
        codes = rng.choice([rng.randrange(32, 0x2FF), rng.randrange(0x1F300, 0x1F5FF)])
        return "".join(chr(rng.choice([codes, rng.randrange(32, 0x500)])) for _ in range(length))

    def caption() -> str:
        letters = list(make_caption(rng.choice(OBJECTS), rng.choice(COLOURS)))
        for _ in range(rng.randrange(3)):
            letters[rng.randrange(len(letters))] = rng.choice([*ALPHABET, *PARTS])
        return "".join(letters)

    def described() -> str:
        words = rng.choice(sentences).split()
        for _ in range(rng.randrange(4)):
            words[rng.randrange(len(words))] = rng.choice([*SENTENCE_PARTS, *words])
        return " ".join(words)

    sentences = [sentence for *_, sentence in described_sentences()]

    kinds = (
        lambda: characters(rng.randrange(1, 40)),
        lambda: any_characters(rng.randrange(1, 20)),
        lambda: "".join(rng.choice([*PARTS, characters(3)]) for _ in range(rng.randrange(1, 6))),
        caption,
        described,
    )
    return [rng.choice(kinds)() for _ in range(count)]


def sampler_run(name: str, schedule: NoiseSchedule, steps: int) -> dict:
    """A sampler's run with the stub denoiser of ``website/web/tests/engine.test.js``."""
    sampler = SAMPLERS[name](schedule, steps)
    start = x = gaussian((1, 32), torch.Generator().manual_seed(steps))
    for t in sampler.timesteps:
        x = sampler.step(torch.tanh(x) * (0.2 + t / 2000), t, x)
    return {
        "sampler": name,
        "config": asdict(schedule),
        "steps": steps,
        "start": start.flatten().tolist(),
        "timesteps": sampler.timesteps,
        "result": x.flatten().tolist(),
    }


def described_sentences() -> list[tuple[dict, int, str]]:
    """Descriptions of all kinds, as the page has them, each with a form and its sentence."""
    rng = np.random.default_rng(0)
    sampled = [
        descriptions.leave_open(descriptions.sample(rng, kind), kind, rng)
        for kind in KINDS
        for _ in range(20)
    ]
    return [
        (to_page(described), form, descriptions.describe(described, form))
        for described in sampled
        for form in range(len(FORMS))
    ]


def to_page(described: descriptions.Description) -> dict:
    items = [
        {key: value for key, value in asdict(item).items() if value} for item in described.objects
    ]
    return {"objects": items, "colour": described.colour}


def sentence_check(sentence: str) -> dict:
    """The expected result of the page's ``checkSentence``."""
    try:
        described = descriptions.parse(sentence)
    except UnknownSentence as error:
        return {
            "isTrained": False,
            "reason": error.reason,
            "nearest": error.nearest,
            "unknown": error.unknown,
            "objects": error.objects,
            "excluded": error.excluded,
            "colour": error.colour,
        }
    return {
        "isTrained": True,
        "reason": "",
        "nearest": descriptions.describe(described),
        "unknown": (),
        "objects": [item.name for item in described.objects],
        "excluded": (),
        "colour": described.colour,
    }


def engine_table() -> dict:
    """Inputs of the page's engine and course_lib's results for them."""
    tokenizer = text_to_image.tokenizer()
    captions = [
        (name, colour, make_caption(name, colour)) for name in OBJECTS for colour in COLOURS
    ]
    texts = ["", *(caption for *_, caption in captions), *fuzzed_sentences(FUZZED)]
    ids, _ = tokenizer.encode(texts)
    return {
        "settings": build.settings(),
        "tokens": list(zip(texts, ids.tolist(), strict=True)),
        "captions": captions,
        "descriptions": described_sentences(),
        "sentences": [(text, sentence_check(text)) for text in [*SENTENCES, *texts]],
        "vocabulary": descriptions.vocabulary(),
        "samplers": [
            sampler_run(name, schedule, steps)
            for name in ("ddim", "dpm++")
            for schedule in SCHEDULES
            for steps in range(1, 51)
            if schedule.timestep_spacing == "trailing" or steps * (1000 // steps) >= 900
        ],
        "noise": [
            {
                "seed": seed,
                "values": gaussian((count,), torch.Generator().manual_seed(seed)).tolist(),
            }
            for seed in (0, 1, 42, 2**31, 2**32 - 1)
            for count in (16, 17, 31, 1024)
        ],
    }


def test_engine_agrees_with_course_lib(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: install the package nodejs")
    table = tmp_path / "engine.json"
    table.write_text(json.dumps(engine_table()), encoding="utf-8")
    result = subprocess.run(
        [node, "--test", WEB / "tests" / "engine.test.js", WEB / "tests" / "runtime.test.js"],
        env=os.environ | {"COURSE_ENGINE_TABLE": str(table)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
