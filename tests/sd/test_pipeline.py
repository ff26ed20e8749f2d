"""The whole pipeline makes diffusers' pictures, from noise and from pictures, and keeps its own
promises.
"""

from dataclasses import replace

import pytest
import torch

from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.samplers import SAMPLERS, NoiseSchedule
from tests.support.parity import SINGLE, apart
from tests.support.tiny_sd import PICTURE, PROMPT, both, ends, peer_ends

# diffusers' arithmetic with numpy 2 warns about itself.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

# diffusers' Euler begins 0.2 % quieter when its times are trailing, and DPM-Solver++ has other
# leading ones.
RUNS = [("ddpm", "leading"), ("ddim", "leading"), ("euler", "leading"), ("pndm", "leading"),
        ("ddim", "trailing"), ("dpm++", "trailing"), ("pndm", "trailing")]  # fmt: skip


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    return both(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def ours(pipelines):
    return pipelines[0]


@pytest.mark.parametrize(
    "name, spacing, eta", [(*run, 0.0) for run in RUNS] + [("ddim", "leading", 0.6)]
)
def test_a_sentence_becomes_the_peers_picture(pipelines, name, spacing, eta):
    """Of two seeds: tokens, text encoder, guidance with a negative prompt, ten steps, and the
    decoder.
    """
    ours, theirs = pipelines
    model = replace(ours, schedule=NoiseSchedule(timestep_spacing=spacing))
    latents, pictures = ends(model, name, eta=eta)
    expected = peer_ends(theirs, name, spacing, eta=eta)
    assert apart(latents, expected[0]) <= SINGLE
    assert apart(pictures, expected[1]) <= SINGLE
    assert pictures.shape == (2, 3, 32, 32) and pictures.std() > 0.05


# diffusers' PNDM loses its second call when steps are left out: test_sd_samplers holds ours against
# it with that call.
@pytest.mark.parametrize(
    "name, spacing, strength",
    [(*run, 1.0 if run[0] == "pndm" else 0.6) for run in RUNS] + [("ddim", "leading", 0.25)],
)
def test_a_picture_becomes_the_peers_picture(pipelines, name, spacing, strength):
    ours, theirs = pipelines
    model = replace(ours, schedule=NoiseSchedule(timestep_spacing=spacing))
    latents, pictures = ends(model, name, image=PICTURE, strength=strength)
    expected = peer_ends(theirs, name, spacing, image=PICTURE, strength=strength)
    assert apart(latents, expected[0]) <= SINGLE
    assert apart(pictures, expected[1]) <= SINGLE


def test_a_seed_gives_its_picture_alone_or_among_others(ours):
    def make(prompt, **asked):
        return ours.generate(prompt, sampler="ddpm", steps=3, **asked)

    many = make([PROMPT, "an owl"], count=2, seed=5)
    assert many.shape == (4, 3, 32, 32) and many.dtype == torch.float32
    for number, prompt in enumerate([PROMPT, PROMPT, "an owl", "an owl"]):
        assert torch.allclose(many[number], make(prompt, seed=5 + number)[0], atol=1e-5)
    assert not torch.allclose(many[0], many[1], atol=1e-2)


def test_guidance_weighs_the_prompt_against_the_negative_one(ours, monkeypatch):
    asked = []
    forward = type(ours.unet).forward
    monkeypatch.setattr(
        type(ours.unet),
        "forward",
        lambda self, x, t, context: asked.append(len(x)) or forward(self, x, t, context),
    )

    def make(prompt, **how):
        return ours.generate(prompt, sampler="ddim", steps=2, **how)

    only = make(PROMPT, guidance=1.0, negative="anything")
    assert asked == [1, 1]
    assert torch.allclose(only, make("an owl", negative=PROMPT, guidance=0.0), atol=1e-5)
    assert asked[2:] == [2, 2]
    assert torch.allclose(only, make(PROMPT, negative=PROMPT, guidance=9.0), atol=1e-5)
    assert not torch.allclose(only, make(PROMPT, guidance=9.0), atol=1e-3)


def test_every_step_is_told(ours):
    told = []
    ours.generate(PROMPT, steps=4, callback=lambda *now: told.append(now))
    assert [(number, t) for number, t, _ in told] == [
        (0, 751),
        (1, 501),
        (2, 501),
        (3, 251),
        (4, 1),
    ]
    assert all(x.shape == (1, 4, 8, 8) for _, _, x in told)
    assert not any(torch.equal(a[2], b[2]) for a, b in zip(told, told[1:], strict=False))


def test_other_sizes_and_a_little_change(ours):
    assert ours.generate(PROMPT, steps=2, height=48, width=16).shape == (1, 3, 48, 16)
    wide = torch.cat([PICTURE, PICTURE], dim=2)
    assert ours.generate(PROMPT, steps=10, image=wide, strength=0.1).shape == (1, 3, 32, 64)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"height": 30}, "A picture of 30 x 32 pixels: both must be multiples of 4"),
        ({"width": -4}, "32 x -4 pixels"),
        ({"image": torch.zeros(3, 32, 33)}, "32 x 33 pixels"),
        ({"sampler": "magic"}, "There is no sampler 'magic': choose one of ddpm, ddim, euler, dpm"),
        ({"prompt": []}, "1 pictures of 0 prompts"),
        ({"count": 0}, "0 pictures of 1 prompts"),
        ({"steps": 0}, "0 steps at strength 1.0"),
        ({"steps": 1000}, "1000 steps do not fit"),
        ({"image": torch.zeros(3, 32, 32), "strength": 0.0}, "strength 0.0"),
    ],
)
def test_what_cannot_be_made_is_refused(ours, wrong, message):
    with pytest.raises(ValueError, match=message):
        ours.generate(**{"prompt": PROMPT} | wrong)


def test_numbers_of_16_bits_make_nearly_the_same_picture(pipelines, tmp_path):
    ours, _ = pipelines
    whole = ours.generate(PROMPT, steps=5, guidance=2.0)
    try:
        halves = ours.to(torch.bfloat16).generate(PROMPT, steps=5, guidance=2.0)
    finally:
        ours.to(torch.float32)  # rounded for good: this test comes last
    assert halves.dtype == torch.float32 and (halves - whole).abs().mean() < 0.05


def test_every_sampler_has_a_name_that_the_pipeline_takes(ours):
    for name in SAMPLERS:
        assert ours.generate(PROMPT, sampler=name, steps=2).isfinite().all()
    assert StableDiffusion.__dataclass_fields__["schedule"].default == NoiseSchedule()
