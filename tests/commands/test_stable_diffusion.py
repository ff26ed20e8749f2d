"""``course sd generate``: from weights in a folder to an image file, and its error messages.

``course sd verify`` is tested in ``tests/sd/test_weights.py``.
"""

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image, to_tensor
from typer.testing import CliRunner

from course_lib.assets import checkpoints
from course_lib.cli import app
from course_lib.sd import weights
from tests.support.tiny_sd import pipeline_pair, write_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny pipeline, saved by diffusers."""
    folder = tmp_path_factory.mktemp("weights")
    _, theirs = pipeline_pair(tmp_path_factory.mktemp("tokenizer"))
    theirs.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer")  # the published files; newer transformers write others
    return folder


def output_of(result):
    return " ".join((result.output + getattr(result, "stderr", "")).split())


@pytest.fixture
def generate(folder, tmp_path, monkeypatch):
    """A function that runs ``course sd generate`` and returns exit code and output."""

    def run(
        *arguments, prompt="a red fox", weights=folder, licence=("--accept-licence",), answer=None
    ):
        command = ["sd", "generate", prompt, "--weights", str(weights)]
        options = ["--steps", "2", "--device", "cpu", *licence, *map(str, arguments)]
        result = CliRunner().invoke(app, [*command, *options], input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result.exit_code, output_of(result)

    monkeypatch.chdir(tmp_path)
    return run


def test_image_equals_the_pipelines_image(generate, folder, tmp_path):
    out = tmp_path / "fox.png"
    arguments = ["--seed", 3, "--guidance", 4, "--negative", "blurry", "--sampler", "dpm++"]
    code, output = generate("--out", out, *arguments, "--size", "48x32")
    assert code == 0 and "fox.png" in output
    with Image.open(out) as image:
        assert image.size == (48, 32)
        written = to_tensor(image)
    expected = weights.load(folder).generate(
        "a red fox",
        steps=2,
        seed=3,
        guidance=4.0,
        negative="blurry",
        sampler="dpm++",
        width=48,
        height=32,
    )[0]
    assert torch.equal(written, (expected * 255).round() / 255)


def test_several_images_have_their_seeds_in_their_names(generate, tmp_path):
    code, _ = generate("--count", 2, "--seed", 5, "--out", tmp_path / "x.png")
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert code == 0 and names == ["x-5.png", "x-6.png"]
    generate("--seed", 6)  # writes x.png in the current folder
    with Image.open(tmp_path / "x.png") as alone, Image.open(tmp_path / "x-6.png") as in_batch:
        difference = (to_tensor(alone) - to_tensor(in_batch)).abs().max()
    assert difference < 1.5 / 255  # in a batch, rounding may differ


@pytest.mark.extended
def test_image_to_image_rounds_the_size_to_a_valid_one(generate, tmp_path):
    source = torch.rand(3, 37, 50, generator=torch.Generator().manual_seed(0))
    to_pil_image(source).save(tmp_path / "source.png")
    code, _ = generate("--image", tmp_path / "source.png", "--strength", 0.5, "--sampler", "ddim")
    with Image.open(tmp_path / "x.png") as image:
        assert code == 0 and image.size == (48, 36)  # multiples of this autoencoder's 4
    code, _ = generate("--image", tmp_path / "source.png", "--size", 32)
    with Image.open(tmp_path / "x.png") as image:
        assert code == 0 and image.size == (32, 32)


def test_licence_is_shown_and_must_be_accepted(generate, tmp_path, monkeypatch):
    out = tmp_path / "x.png"
    code, output = generate(licence=())
    assert code == 1 and "add --accept-licence" in output
    assert "CreativeML OpenRAIL-M" in output and "https://" in output
    assert not out.exists()

    monkeypatch.setattr("course_lib.commands.stable_diffusion._is_interactive", lambda: True)
    code, output = generate(licence=(), answer="n\n")
    assert code == 1 and "Do you accept" in output and not out.exists()
    code, _ = generate(licence=(), answer="y\n")
    assert code == 0 and out.exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sampler", "magic"], "There is no sampler 'magic': choose one of ddpm"),
        (["--size", "12x"], "The size '12x' cannot be read: write it as 512x768"),
        (["--size", "33x32"], "both must be multiples of 4"),
        (["--out", "nowhere/x.png"], "give a .png in a folder that exists"),
        (["--out", "x.txt"], "give a .png in a folder that exists"),
        (["--image", "nowhere.png"], "nowhere.png"),
        (["--device", "abacus"], "The device 'abacus' cannot be used here"),
        (["--steps", "1000"], "1000 steps do not fit"),
        (["--image", __file__], "can't be read as an image. Save it as JPEG"),
    ],
)
def test_invalid_options_end_with_a_message(generate, arguments, message):
    code, output = generate(*arguments)
    assert code == 1 and "course: " in output and message in output


def test_missing_or_empty_weights_are_rejected(generate, tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        code, output = generate(weights=path)
        assert code == 1 and "course: " in output and str(path.name) in output


def test_too_long_prompt_is_reported(generate):
    assert "too long" not in generate()[1]
    code, output = generate(prompt="!? " * 40)
    assert code == 0 and "too long" in output and "tokens were ignored" in output


def test_help_lists_generate():
    result = CliRunner().invoke(app, ["sd", "--help"])
    assert result.exit_code == 0 and "generate" in result.output


def test_missing_course_weights_are_reported(monkeypatch):
    monkeypatch.setattr(checkpoints, "is_shipped", lambda name: False)
    result = CliRunner().invoke(app, ["generate", "a fox on a red background"])
    assert result.exit_code == 1 and "course train tiny-sd --ship" in output_of(result)
