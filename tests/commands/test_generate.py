"""``course generate`` writes a valid image or prints a message, and never writes a black image."""

import inspect
import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from course_lib.assets import checkpoints
from course_lib.cli import app, main
from course_lib.commands import drawing
from course_lib.commands import generate as command
from course_lib.console import escape_unencodable, to_shell
from course_lib.data import descriptions
from course_lib.diffusion import one_step, text_to_image
from course_lib.diffusion.flow_unet import as_flow
from course_lib.sd.schedule import NoiseSchedule
from tests.support.small_sd import small_pipeline

PROMPT = "a fox on a blue background"


class StubJudge:
    """Finds the same in every image."""

    found = "a flat fox on a blue background"

    def describe(self, images):
        return [descriptions.parse(self.found)] * len(images)


@pytest.fixture
def model(monkeypatch):
    """A tiny pipeline that replaces the shipped pipeline in the command."""
    pipeline = small_pipeline()
    monkeypatch.setattr(text_to_image, "load", lambda: pipeline)
    monkeypatch.setattr(checkpoints, "is_shipped", lambda name: True)
    return pipeline


@pytest.fixture
def judge(monkeypatch):
    judge = StubJudge()
    monkeypatch.setattr(command, "_judge", lambda: judge)
    return judge


@pytest.fixture
def generate(model, judge, tmp_path, monkeypatch):
    """Runs ``course generate`` in an empty folder; returns the exit code and the output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, prompt=PROMPT):
        options = ["--steps", "2", "--device", "cpu", *map(str, arguments)]
        result = CliRunner().invoke(app, ["generate", prompt, *options])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, " ".join((result.stdout + result.stderr).split())

    return run


def test_known_prompt_prints_no_warning(generate, tmp_path):
    code, printed = generate()
    assert code == 0 and "x.png" in printed
    assert "Nearest" not in printed and "judge" not in printed
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (128, 128) and np.asarray(image).std() > 0


def test_described_prompt_prints_no_warning(generate, judge):
    judge.found = "a small flat fox on the left on a blue background"
    for prompt in (judge.found, "a blue background with a small fox on the left"):
        code, printed = generate(prompt=prompt)
        assert code == 0 and "Nearest" not in printed and "judge" not in printed


def test_unknown_prompt_warns_and_the_judge_reports_what_it_sees(generate):
    code, printed = generate(prompt="a red car on a green background")
    assert code == 0 and "only the colour of the background can be chosen" in printed
    assert "Nearest: “a car on a green background”." in printed
    assert "x.png: the judge sees a flat fox on a blue background." in printed
    code, printed = generate(prompt="a unicorn on a blue background")
    assert "Unknown: “unicorn”." in printed and "The objects that it knows: dog" in printed


def test_judge_reports_the_mismatch(generate, judge):
    judge.found = "a shiny dog on a blue background"
    _, printed = generate("--count", 2)
    for seed in (0, 1):
        assert f"x-{seed}.png: the judge sees {judge.found}: not what you asked." in printed
    _, printed = generate(prompt="a large dog, blue background")
    assert f"the judge sees {judge.found}: not what you asked." in printed


def test_ignored_words_and_options_give_warnings(generate):
    _, printed = generate("--negative", "blurry " * 100)
    assert "The negative prompt is too long: its last 286 tokens were ignored." in printed
    _, printed = generate(prompt=f"{PROMPT} {'very ' * 100}")
    assert "The prompt is too long" in printed
    _, printed = generate("--negative", "a dog", "--guidance", 1)
    assert "With --guidance 1 the negative prompt has no effect" in printed


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--guidance", "nan"], "--guidance nan cannot be used: give a number such as 5"),
        (["--guidance", "inf"], "--guidance inf cannot be used"),
        (["--strength", "nan"], "--strength nan cannot be used: give a number above 0"),
        (["--strength", "0"], "--strength 0.0 cannot be used"),
        (["--strength", "1.5"], "--strength 1.5 cannot be used"),
        (["--seed", 2**64], "--seed 18446744073709551616 with --count 1 cannot be used"),
        (["--seed", 2**64 - 1, "--count", 2], "from 0 to 18446744073709551615, which is 2^64"),
        (["--out", "folder.png"], "folder.png cannot be written"),
        (["--out", "a" * 300 + ".png"], "File name too long"),
        (["--image", "a" * 300 + ".png"], "File name too long"),
        (["--out", "~nobody-here/x.png"], "cannot be written: give a .png in a folder that exists"),
        (
            ["--steps", 1001],
            "1001 steps do not fit a schedule of 1000 times",
        ),
        (["--image", "gone.png"], "gone.png does not exist: give an image file"),
    ],
)
def test_invalid_options_end_with_one_sentence(generate, tmp_path, arguments, message):
    (tmp_path / "folder.png").mkdir()
    code, printed = generate(*arguments)
    assert code == 1 and message in printed
    assert not (tmp_path / "x.png").exists()


def test_largest_seed_is_accepted(generate):
    assert generate("--seed", 2**64 - 1)[0] == 0


@pytest.fixture
def generate_in_one_step(model, judge, tmp_path, monkeypatch):
    """Runs ``course generate --model one-step``; returns the exit code and the output."""
    monkeypatch.chdir(tmp_path)
    pipeline = as_flow(model)
    monkeypatch.setattr(one_step, "load", lambda: pipeline)
    calls, forward = [], pipeline.unet.forward

    def record(latents, *arguments):
        calls.append(len(latents))
        return forward(latents, *arguments)

    monkeypatch.setattr(pipeline.unet, "forward", record)

    def run(*arguments):
        calls.clear()
        options = ["--model", "one-step", "--device", "cpu", *map(str, arguments)]
        result = CliRunner().invoke(app, ["generate", PROMPT, *options])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, " ".join((result.stdout + result.stderr).split()), list(calls)

    return run


def test_one_step_calls_the_network_once_for_each_batch(generate_in_one_step, tmp_path):
    code, printed, calls = generate_in_one_step("--seed", 3)
    assert code == 0 and "x.png" in printed and calls == [1]
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (128, 128)
    code, _, calls = generate_in_one_step("--count", 5, "--seed", 3, "--out", "y.png")
    assert code == 0 and calls == [4, 1]
    assert sorted(path.name for path in tmp_path.glob("y*")) == [f"y-{n}.png" for n in range(3, 8)]
    with Image.open(tmp_path / "x.png") as one, Image.open(tmp_path / "y-3.png") as same:
        assert np.abs(np.asarray(one).astype(int) - np.asarray(same)).max() <= 1


@pytest.mark.parametrize(
    "option",
    [
        ("--steps", 1),
        ("--sampler", "ddim"),
        ("--guidance", 1),
        ("--negative", "a dog"),
        ("--image", "x.png"),
        ("--strength", 0.5),
    ],
)
def test_one_step_refuses_options_that_it_would_ignore(generate_in_one_step, tmp_path, option):
    code, printed, calls = generate_in_one_step(*option)
    assert code == 1 and not calls and not (tmp_path / "x.png").exists()
    assert f"leave out {option[0]}, or give --model tiny-sd" in printed


def test_defaults_are_those_of_the_model():
    """The command repeats them, since the model's module imports torch; its help shows them."""
    module = text_to_image
    expected = {"guidance": module.GUIDANCE, "steps": module.STEPS, "sampler": module.SAMPLER}
    assert command._MANY_STEPS.items() >= expected.items()
    for name in (*expected, "strength"):
        option = inspect.signature(command.generate).parameters[name].annotation.__metadata__[0]
        assert option.show_default == str(command._MANY_STEPS[name])


@pytest.mark.parametrize(
    "spacing, total, steps, limits",
    [
        ("linspace", 1000, 1, (2, 1000)),
        ("leading", 6, 7, (1, 1)),
        ("leading", 1000, 600, (1, 100)),
        ("trailing", 1000, 1001, (1, 1000)),
    ],
)
def test_suggested_numbers_of_steps_are_valid(generate, model, spacing, total, steps, limits):
    model.schedule = NoiseSchedule(timestep_spacing=spacing, num_train_timesteps=total)
    code, printed = generate("--steps", steps)
    assert code == 1 and f"take {limits[0]} to {limits[1]} steps." in printed
    for limit in limits:
        assert len(model.schedule.timesteps(limit)) == limit


def test_huge_count_is_refused(generate):
    code, printed = generate("--count", 10**9)
    assert code == 2 and "1000000" in printed


def test_unknown_model_and_missing_weights_name_the_fix(generate, monkeypatch):
    code, printed = generate("--model", "two-step")
    assert code == 1 and "no model two-step: choose one of tiny-sd, one-step" in printed
    for missing, model in [("tiny-sd", "tiny-sd"), ("judge", "tiny-sd"), ("one-step", "one-step")]:
        monkeypatch.setattr(
            checkpoints, "is_shipped", lambda name, missing=missing: name != missing
        )
        done = CliRunner().invoke(app, ["generate", PROMPT, "--model", model])
        printed = " ".join((done.stdout + done.stderr).split())
        assert done.exit_code == 1 and f"course train {missing} --ship trains them" in printed


def nan_weight(model):
    model.unet.conv_out.weight.data[0, 0, 0, 0] = float("nan")


def overflow_in_the_denoiser(model):
    model.unet.conv_out.weight.data.fill_(3e38)


def overflow_in_the_decoder(model):
    model.vae.decoder.conv_out.weight.data.fill_(3e38)


def overflow_in_one_channel(model):
    """A part of the image is infinite; clamped, it would look like white."""
    model.vae.decoder.conv_out.weight.data[0].fill_(3e38)


@pytest.mark.parametrize(
    "damage",
    [nan_weight, overflow_in_the_denoiser, overflow_in_the_decoder, overflow_in_one_channel],
)
def test_image_that_is_not_finite_is_not_written(generate, model, tmp_path, damage):
    damage(model)
    code, printed = generate("--seed", 5)
    assert code == 1 and "The image of seed 5 was not written: its values are" in printed
    assert not (tmp_path / "x.png").exists()


def test_overflow_by_guidance_is_named(generate, tmp_path):
    code, printed = generate("--guidance", "1e38")
    assert code == 1 and "Give a smaller --guidance than 1e+38" in printed
    assert not (tmp_path / "x.png").exists()


def test_many_images_are_generated_in_batches(generate, model, monkeypatch, tmp_path):
    sizes, forward = [], model.unet.forward

    def record(latents, *arguments):
        sizes.append(len(latents))
        return forward(latents, *arguments)

    monkeypatch.setattr(model.unet, "forward", record)
    code, _ = generate("--count", 10)
    assert code == 0 and max(sizes) == 8  # four images, twice because of guidance
    assert len(list(tmp_path.glob("x-*.png"))) == 10


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("Storage size calculation overflowed with sizes"),
    ],
)
def test_images_written_before_memory_ran_out_are_kept(
    generate, model, monkeypatch, tmp_path, error
):
    generate_batch, runs = model.generate, iter(range(10))

    def run_out_of_memory(*arguments, **options):
        if next(runs) == 1:
            raise error
        return generate_batch(*arguments, **options)

    monkeypatch.setattr(model, "generate", run_out_of_memory)
    code, printed = generate("--count", 9)
    assert code == 1 and "there is not enough memory for 9 x 128 x 128 pixels" in printed
    assert sorted(path.name for path in tmp_path.glob("x*")) == [f"x-{n}.png" for n in range(4)]
    assert "x-3.png" in printed


def test_size_that_exceeds_memory_is_refused_before_the_oom_killer_acts(
    generate, monkeypatch, tmp_path
):
    monkeypatch.setattr(drawing, "_total_memory", lambda device: 10**5)
    code, printed = generate()
    assert code == 1 and "not enough memory for 1 x 128 x 128 pixels" in printed
    # Input and output of the last convolution: 8 channels each, 128 x 128 values of 4 bytes.
    monkeypatch.setattr(drawing, "_total_memory", lambda device: 2 * 8 * 128 * 128 * 4)
    assert generate()[0] == 0


def test_other_errors_are_not_reported_as_out_of_memory():
    assert not drawing.ran_out_of_memory(RuntimeError("expected Half but found Float"))
    assert not drawing.ran_out_of_memory(ValueError("out of memory"))


def test_tilde_is_expanded(generate, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert generate("--out=~/y.png")[0] == 0
    assert generate("--image=~/y.png", "--out=~/z.png")[0] == 0
    assert (tmp_path / "z.png").exists()


def test_unencodable_characters_are_escaped(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    escape_unencodable()
    print("狐.png")
    console.flush()
    assert console.buffer.getvalue().strip() == b"\\u72d0.png"


def test_file_names_that_the_console_cannot_show_stop_nothing(generate, monkeypatch, tmp_path):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    options = ["--steps", "1", "--device", "cpu", "--out", "狐.png", "--count", "3"]
    monkeypatch.setattr(sys, "argv", ["course", "generate", PROMPT, *options])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"狐-{n}.png" for n in range(3)]


@pytest.mark.parametrize(
    "system, expected",
    [
        ("linux", "course train --out 'my models' --note 'it'\"'\"'s'"),
        ("win32", 'course train --out "my models" --note it\'s'),
    ],
)
def test_commands_are_quoted_for_the_shell_of_the_system(monkeypatch, system, expected):
    monkeypatch.setattr(sys, "platform", system)
    assert to_shell("course", "train", "--out", "my models", "--note", "it's") == expected
