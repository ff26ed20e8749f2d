"""Lesson 8's widgets respond to their controls, and show a still picture with alt text."""

import pytest
import torch

from course_lib.widgets import successors as widgets
from tests.support.widgets import assert_distinct_names, read_picture

POINTS = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, -1.0]])


def to_origin(x, t):
    """The velocity that leads every particle to the point (0, 0) at t = 0."""
    return x / t.clamp(min=0.05)[:, None]


@pytest.fixture
def particles():
    torch.manual_seed(0)
    return widgets.FlowParticles(to_origin, POINTS, torch.randn(20, 2))


@pytest.fixture
def steps():
    images = {name: {n: torch.full((3, 8, 8), n / 10) for n in (1, 4)} for name in ("flow", "DDIM")}
    notes = {name: {1: "fox, red", 4: "owl, blue"} for name in images}
    return images, notes


def test_time_moves_the_particles(particles):
    before = read_picture(particles)
    particles.step.value = 10
    assert (read_picture(particles) != before).any()
    assert "t = 0.50" in particles.message.value
    drawn = particles.picture.value
    particles.step.value = 0
    particles.step.value = 10
    assert particles.picture.value == drawn


def test_particles_near_the_data_are_counted(particles):
    widget = widgets.FlowParticles(lambda x, t: 0 * x, POINTS, POINTS[[0, 0]] + 0.1)
    assert "100% of the particles" in widget.message.value


def test_steps_change_the_images_and_what_the_judge_sees(steps):
    widget = widgets.StepsSlider(*steps)
    assert "1 step. The judge sees flow: fox, red; DDIM: fox, red." in widget.message.value
    before = read_picture(widget)
    widget.steps.value = 4
    assert (read_picture(widget) != before).any()
    assert "4 steps. The judge sees flow: owl, blue" in widget.message.value
    with pytest.raises(ValueError, match="the same numbers of steps"):
        widgets.StepsSlider({"flow": {1: torch.zeros(3, 8, 8)}}, {"flow": {2: "fox"}})


def test_each_strength_is_generated_once():
    calls = []

    def generate(strength):
        calls.append(strength)
        return torch.full((2, 3, 8, 8), strength / 2)

    widget = widgets.LoRAStrength(generate, ["rose, red", "fox, blue"])
    assert "Strength 1: the LoRA as trained." in widget.message.value
    before = read_picture(widget)
    widget.strength.value = 0.0
    assert (read_picture(widget) != before).any()
    assert "without the LoRA" in widget.message.value
    widget.strength.value = 1.5
    assert "more than was trained" in widget.message.value
    widget.strength.value = 1.0
    assert calls == [1.0, 0.0, 1.5]


def flat_image(prompt, *, seed, **settings):
    """An image of a grey that depends on prompt and seed."""
    return torch.full((1, 3, 8, 8), len(prompt) / 100 + seed / 10)


def test_each_change_of_prompt_or_seed_generates_an_image():
    widget = widgets.TypeToImage(flat_image)
    before = read_picture(widget)
    widget.prompt.value = "an owl"
    assert (read_picture(widget) != before).any()
    before = read_picture(widget)
    widget.seed.value = 3
    assert (read_picture(widget) != before).any()
    assert "ms from prompt to image" in widget.message.value


def test_every_control_has_a_name(particles, steps):
    assert_distinct_names(particles.step)
    assert_distinct_names(widgets.StepsSlider(*steps).steps)
    assert_distinct_names(widgets.LoRAStrength(lambda s: torch.zeros(1, 3, 8, 8), ["fox"]).strength)
    typing = widgets.TypeToImage(flat_image)
    assert_distinct_names(typing.prompt, typing.seed)


def test_still_pictures_with_alt_text_are_shown(steps, displayed, monkeypatch):
    widgets.flow_particles(to_origin, POINTS, torch.randn(5, 2))
    widgets.steps_slider(*steps)
    widgets.lora_strength(lambda strength: torch.zeros(1, 3, 8, 8), ["fox, blue"])
    assert '<img alt="A square with three pale clusters' in displayed[1].data
    assert '<img alt="2 images in a row' in displayed[3].data
    widgets.type_to_image(flat_image)
    assert '<img alt="1 images in a row' in displayed[5].data
    assert '<img alt="Three images in a row' in displayed[7].data
    monkeypatch.setenv("COURSE_MODE", "grading")
    widgets.lora_strength(lambda strength: 1 / 0, ["fox"])
    widgets.type_to_image(lambda prompt, **settings: 1 / 0)
    assert len(displayed) == 8
