"""``course sd generate``: from weights in a folder to a picture in a file, and what stands in the
way is said.
"""

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image, to_tensor
from typer.testing import CliRunner

from course_lib.assets import checkpoints
from course_lib.cli import app
from course_lib.sd import weights
from tests.support.tiny_sd import both, write_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tiny model as diffusers writes it."""
    folder = tmp_path_factory.mktemp("weights")
    _, theirs = both(tmp_path_factory.mktemp("tokenizer"))
    theirs.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer")  # as published: newer transformers write other files
    return folder


@pytest.fixture
def generate(folder, tmp_path, monkeypatch):
    def run(
        *arguments, prompt="a red fox", weights=folder, licence=("--accept-licence",), answer=None
    ):
        command = [
            "sd",
            "generate",
            prompt,
            "--weights",
            str(weights),
            "--steps",
            "2",
            "--device",
            "cpu",
        ]
        result = CliRunner().invoke(app, [*command, *licence, *map(str, arguments)], input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result.exit_code, " ".join((result.output + getattr(result, "stderr", "")).split())

    monkeypatch.chdir(tmp_path)
    return run


def test_a_picture_is_written_that_the_pipeline_makes(generate, folder, tmp_path):
    out = tmp_path / "fox.png"
    asked = [
        "--seed",
        3,
        "--guidance",
        4,
        "--negative",
        "blurry",
        "--sampler",
        "dpm++",
        "--size",
        "48x32",
    ]
    code, said = generate("--out", out, *asked)
    assert code == 0 and "fox.png" in said
    with Image.open(out) as picture:
        assert picture.size == (48, 32)
        written = to_tensor(picture)
    options = {
        "seed": 3,
        "guidance": 4.0,
        "negative": "blurry",
        "sampler": "dpm++",
        "width": 48,
        "height": 32,
    }
    made = weights.load(folder).generate("a red fox", steps=2, **options)[0]
    assert torch.equal(written, (made * 255).round() / 255)


def test_several_pictures_have_their_seeds_in_their_names(generate, tmp_path):
    code, _ = generate("--count", 2, "--seed", 5, "--out", tmp_path / "x.png")
    assert code == 0 and sorted(path.name for path in tmp_path.glob("*.png")) == [
        "x-5.png",
        "x-6.png",
    ]
    generate("--seed", 6)  # to x.png, here
    with Image.open(tmp_path / "x.png") as alone, Image.open(tmp_path / "x-6.png") as among:
        assert (
            to_tensor(alone) - to_tensor(among)
        ).abs().max() < 1.5 / 255  # a batch may round otherwise


def test_a_picture_is_changed(generate, folder, tmp_path):
    given = torch.rand(3, 37, 50, generator=torch.Generator().manual_seed(0))
    to_pil_image(given).save(tmp_path / "given.png")
    code, _ = generate("--image", tmp_path / "given.png", "--strength", 0.5, "--sampler", "ddim")
    with Image.open(tmp_path / "x.png") as picture:
        assert code == 0 and picture.size == (48, 36)  # multiples of this autoencoder's 4
    code, _ = generate("--image", tmp_path / "given.png", "--size", 32)
    with Image.open(tmp_path / "x.png") as picture:
        assert code == 0 and picture.size == (32, 32)


def test_the_licence_is_shown_and_asked_about(generate, tmp_path, monkeypatch):
    code, said = generate(licence=())
    assert (
        code == 1
        and "CreativeML OpenRAIL-M" in said
        and "https://" in said
        and "add --accept-licence" in said
    )
    assert not (tmp_path / "x.png").exists()

    monkeypatch.setattr("course_lib.commands.stable_diffusion._asked_by_a_person", lambda: True)
    code, said = generate(licence=(), answer="n\n")
    assert code == 1 and "Do you accept" in said and not (tmp_path / "x.png").exists()
    code, _ = generate(licence=(), answer="y\n")
    assert code == 0 and (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sampler", "magic"], "There is no sampler 'magic': choose one of ddpm"),
        (["--size", "12x"], "The size '12x' cannot be read: write it as 512x768"),
        (["--size", "33x32"], "both must be multiples of 4"),
        (["--out", "nowhere/x.png"], "give a .png in a folder that is there"),
        (["--out", "x.txt"], "give a .png in a folder that is there"),
        (["--image", "nowhere.png"], "nowhere.png"),
        (["--device", "abacus"], "The device 'abacus' cannot be used here"),
        (["--steps", "1000"], "1000 steps do not fit"),
        (["--image", __file__], "cannot identify image file"),
    ],
)
def test_mistakes_end_in_a_sentence(generate, arguments, message):
    code, said = generate(*arguments)
    assert code == 1 and "course: " in said and message in said


def test_weights_that_are_none_are_refused(generate, tmp_path):
    for wrong in (tmp_path / "nowhere", tmp_path):
        code, said = generate(weights=wrong)
        assert code == 1 and "course: " in said and str(wrong.name) in said


def test_what_is_cut_from_a_prompt_is_said(generate):
    assert "too long" not in generate()[1]
    code, said = generate(prompt="!? " * 40)
    assert code == 0 and "too long" in said and "pieces were not read" in said


def test_help_names_it():
    result = CliRunner().invoke(app, ["sd", "--help"])
    assert result.exit_code == 0 and "generate" in result.output


def test_without_the_course_s_own_weights_it_says_how_to_make_them(monkeypatch):
    monkeypatch.setattr(checkpoints, "shipped", lambda name: False)
    result = CliRunner().invoke(app, ["generate", "a fox on a red background"])
    said = " ".join((result.output + getattr(result, "stderr", "")).split())
    assert result.exit_code == 1 and "course train tiny-sd --ship" in said
