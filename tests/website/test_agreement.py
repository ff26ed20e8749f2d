"""The exported models agree with torch, in Chromium from ``file://``."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch
from course_site import bundle
from course_site.models import build, package
from course_site.models.export import NETWORKS, example_inputs
from playwright.sync_api import Browser, Page
from torch import Tensor

from course_lib.data.captioned import captioned_picture, make_caption
from course_lib.data.scenes import scene
from course_lib.diffusion import attention_maps, judge, one_step, text_to_image
from course_lib.metrics.images import psnr
from course_lib.vision.tasks import LEVELS
from tests.support import question_page

TOLERANCE = 1e-4  # relative to the largest value
MIN_PSNR = 35.0  # dB, of the int8 models' image against torch's
STEPS = 20
PROMPTS = 24
IMAGES_PER_PROMPT = 4  # for the judge
# The judge is unsure of more of these images; of few, one verdict is several percentage points.
ONE_STEP_IMAGES_PER_PROMPT = 10
TIMEOUT = 600_000  # ms; the first call in a page loads the models
CACHE = platformdirs.user_cache_path("pixels-to-diffusion") / "site" / "models"


def write_site(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a page without demos that can run these models; returns its path."""
    static = folder / "_static"
    package.write_assets(build.runtime_files() | files, static / "assets")
    bundle.bundle("tests/agreement-page.js", static / "course.js")
    page = folder / "index.html"
    page.write_text(
        '<!doctype html><html lang="en" data-root="./"><title>Models</title>'
        '<script defer src="_static/course.js"></script></html>'
    )
    return page


@pytest.fixture
def open_site(chromium: Browser, tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], Page]]:
    """Opens a page that can run the given models from ``file://``; errors fail the test."""
    question_page.skip_without_packages()
    errors: list[str] = []
    context = chromium.new_context()
    context.set_default_timeout(TIMEOUT)

    def open_page(files: dict[str, bytes]) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(write_site(tmp_path, files).as_uri())
        return page

    yield open_page
    context.close()
    assert not errors


def pack(tensor: Tensor) -> dict[str, Any]:
    """A tensor in the format of ``agreement-page.js``."""
    values = tensor.numpy()
    kind = "int64" if values.dtype == np.int64 else "float32"
    data = base64.b64encode(
        np.ascontiguousarray(values, dtype=f"<{values.dtype.str[1:]}").tobytes()
    )
    return {"type": kind, "data": data.decode(), "dims": list(values.shape)}


def unpack(packed: dict[str, Any]) -> Tensor:
    values = np.frombuffer(base64.b64decode(packed["data"]), dtype="<f4")
    return torch.from_numpy(values.copy()).view(packed["dims"])


def real_inputs(name: str) -> dict[str, Tensor]:
    """Realistic inputs: scenes for lesson 3's models, captioned pictures for encoder and judge."""
    if name in LEVELS:
        scenes = [scene(seed, objects=LEVELS[name].objects) for seed in range(2)]
        return {"image": torch.stack([made.image for made in scenes])}
    if name in ("encoder", "judge"):
        pictures = [captioned_picture(seed, objects=["fox", "owl"]) for seed in range(2)]
        return {"image": torch.stack([picture.image for picture in pictures])}
    return example_inputs(name)


def check_agreement(name: str, open_site: Callable[[dict[str, bytes]], Page]) -> None:
    page = open_site({name: build.load_model(name, CACHE, int8=False)})
    inputs = real_inputs(name)
    with torch.no_grad():
        outputs = NETWORKS[name].build().eval()(*inputs.values())
    expected = outputs if isinstance(outputs, tuple) else (outputs,)
    actual = page.evaluate(
        "([name, inputs]) => course.runModel(name, inputs)",
        [name, {key: pack(value) for key, value in inputs.items()}],
    )
    assert set(actual) == set(NETWORKS[name].outputs)
    for key, value in zip(NETWORKS[name].outputs, expected, strict=True):
        error = (unpack(actual[key]) - value).abs().max() / value.abs().max()
        assert error < TOLERANCE, f"{key} of {name}: {error:.1e} of the largest value"


@pytest.mark.extended
def test_small_model_agrees(open_site):
    check_agreement("classifier", open_site)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_each_model_agrees(name, open_site):
    check_agreement(name, open_site)


def generate(page: Page, prompt: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """The image and the attention of the page's models."""
    options = {
        "prompt": prompt,
        "seed": seed,
        "steps": steps,
        "guidance": text_to_image.GUIDANCE,
        "sampler": text_to_image.SAMPLER,
    }
    return page.evaluate("options => course.draw(options)", options)


def generate_with_torch(
    prompt: str, seed: int, steps: int = STEPS
) -> attention_maps.AttentionRecord:
    return attention_maps.record_attention(
        text_to_image.load(),
        prompt,
        sampler=text_to_image.SAMPLER,
        steps=steps,
        guidance=text_to_image.GUIDANCE,
        seed=seed,
    )


def text_to_image_models() -> dict[str, bytes]:
    return build.model_files(CACHE, build.TEXT_TO_IMAGE)


@pytest.mark.slow  # exporting the models takes minutes where none are cached
def test_image_and_attention_agree(open_site):
    page = open_site(text_to_image_models())
    prompt = "an owl on the left and a banana on the right on an orange background"
    seed, steps = 3, 4
    actual = generate(page, prompt, seed, steps)
    expected = generate_with_torch(prompt, seed, steps)
    assert psnr(unpack(actual["image"]), expected.image) > MIN_PSNR
    attention = unpack(actual["attention"]).view_as(expected.maps[-1])
    torch.testing.assert_close(attention.sum(0), torch.ones_like(attention[0]))
    assert (attention - expected.maps[-1]).abs().max() < 0.05  # tolerance for int8 weights


@pytest.mark.slow
def test_images_and_their_judged_accuracy_agree(open_site):
    page = open_site(text_to_image_models())
    pairs = text_to_image.prompt_pairs("seen", PROMPTS)
    cases = [
        (pair, 1000 * index + copy)
        for copy in range(IMAGES_PER_PROMPT)
        for index, pair in enumerate(pairs)
    ]
    actual = [unpack(generate(page, make_caption(*pair), seed)["image"]) for pair, seed in cases]
    expected = [generate_with_torch(make_caption(*pair), seed).image for pair, seed in cases]
    check_images(actual, expected, [pair for pair, _ in cases])


@pytest.mark.slow
def test_one_step_images_and_their_judged_accuracy_agree(open_site):
    names = ("text-encoder", "unet", "one-step", "decoder")
    page = open_site(build.model_files(CACHE, names))
    pairs = ONE_STEP_IMAGES_PER_PROMPT * text_to_image.prompt_pairs("seen", PROMPTS)
    prompts = [(make_caption(*pair), 1000 * index) for index, pair in enumerate(pairs)]
    drawn = [
        page.evaluate("options => course.drawInOneStep(options)", {"prompt": prompt, "seed": seed})
        for prompt, seed in prompts
    ]
    for key in drawn[0]["times"]:
        print(f"{key}: median {np.median([each['times'][key] for each in drawn[1:]]):.0f} ms")
    pipeline = one_step.load()
    expected = [
        pipeline.generate(prompt, seed=seed, **one_step.SETTINGS)[0] for prompt, seed in prompts
    ]
    check_images([unpack(each["image"]) for each in drawn], expected, pairs)


def check_images(
    actual: list[Tensor], expected: list[Tensor], pairs: list[tuple[str, str]]
) -> None:
    """Check a page's images against torch's: the first of each prompt by PSNR, all by the judge."""
    psnrs = [psnr(*images) for images in zip(actual, expected, strict=True)]
    below = sum(value < MIN_PSNR for value in psnrs)
    print(
        f"PSNR: mean {np.mean(psnrs):.1f} dB, lowest {min(psnrs):.1f} dB, {below} of "
        f"{len(psnrs)} below {MIN_PSNR} dB"
    )
    assert np.mean(psnrs[:PROMPTS]) >= MIN_PSNR
    accuracies = [
        judge.accuracy(judge.load().classify(torch.stack(images)), pairs)
        for images in (actual, expected)
    ]
    print(f"judge: page {accuracies[0]}, torch {accuracies[1]}")
    for key in ("object", "colour"):
        assert accuracies[0][key] >= accuracies[1][key] - 0.01
