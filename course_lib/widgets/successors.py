"""The widgets of lesson 8: a flow's particles, images by steps and by key press, LoRA strength."""

import time
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets
import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.diffusion import flow, one_step
from course_lib.figures import figure_png
from course_lib.figures.images import jpeg_bytes, titled_images
from course_lib.figures.style import BLUE, INK, course_style
from course_lib.figures.successors.paths import draw_cloud
from course_lib.widgets import (
    add_tooltip,
    control_row,
    picture_widget,
    selection_slider,
    show_widget,
)

Points = Float[Tensor, "points 2"]
Particles = Float[Tensor, "particles 2"]
Images = Float[Tensor, "images 3 _ _"]

_SIDE = 220  # screen pixels of an image
_TIMES = 20  # positions of the time slider, from noise to data
_GRID = 11  # arrows along a side
_STILL_PAIRS = (("fox", "blue"), ("fox", "red"), ("penguin", "red"))  # a word changes, then another
_ARROW = 0.45  # length of the longest arrow, on axes from -3.2 to 3.2


class FlowParticles(widgets.VBox):
    """A slider and a play button for the time; arrows of the velocity, and particles on their way.

    Args:
        model: the velocity in two dimensions.
        points: the data.
        noise: where the particles start, at t = 1.
    """

    def __init__(self, model: flow.VelocityModel, points: Points, noise: Particles) -> None:
        self._model, self._points = model, points
        self._times = torch.linspace(1, 0, _TIMES + 1).tolist()
        self._path = flow.integrate(model, noise, self._times)
        line = torch.linspace(-2.8, 2.8, _GRID)
        self._grid = torch.cartesian_prod(line, line)
        self._cache: dict[int, bytes] = {}
        self.step = add_tooltip(
            widgets.IntSlider(0, 0, _TIMES, description="steps"), "steps from noise to data"
        )
        self.play = add_tooltip(
            widgets.Play(value=0, min=0, max=_TIMES, interval=300), "play the steps"
        )
        widgets.jslink((self.play, "value"), (self.step, "value"))
        self.picture = picture_widget("png")
        self.message = widgets.HTML()
        self.step.observe(self._update, "value")
        self._update()
        super().__init__([control_row(self.play, self.step), self.picture, self.message])

    def render(self, step: int) -> bytes:
        """The arrows and the particles after this number of steps, as PNG."""
        if step not in self._cache:
            self._cache[step] = self._draw(step)
        return self._cache[step]

    def _draw(self, step: int) -> bytes:
        t = self._times[step]
        with torch.no_grad():
            # Particles move from t = 1 to 0: against the velocity, which points to the noise.
            arrows = -self._model(self._grid, torch.full((len(self._grid),), t))
        arrows = _ARROW * arrows / arrows.norm(dim=1).max()
        with course_style():
            figure, axes = plt.subplots(figsize=(4.8, 5.0), layout="constrained")
            draw_cloud(axes, self._points)
            axes.quiver(
                *self._grid.T.numpy(),
                *arrows.T.numpy(),
                color=INK,
                angles="xy",
                scale_units="xy",
                scale=1,
                width=0.005,
            )
            axes.plot(*self._path[step].T.numpy(), "o", color=BLUE, markersize=3.5)
            axes.set_title(f"t = {t:.2f}")
            image = figure_png(figure, dpi=100)
            plt.close(figure)
        return image

    def _update(self, change: object = None) -> None:
        step = self.step.value
        self.picture.value = self.render(step)
        distance = torch.cdist(self._path[step], self._points).min(1).values
        near = float((distance < 0.3).float().mean())
        self.message.value = (
            f"t = {self._times[step]:.2f}: {near:.0%} of the particles are near the data."
        )


def flow_particles(model: flow.VelocityModel, points: Points, noise: Particles) -> None:
    """Show :class:`FlowParticles`, which documents the arguments."""
    widget = FlowParticles(model, points, noise)
    alt = (
        "A square with three pale clusters of data, arrows on a grid that point to the clusters, "
        "and blue particles on their way from the noise to the data."
    )
    caption = (
        "In the middle of the way, t = 0.5. Arrows: where the learned velocity leads. Dots: "
        "particles that started as noise."
    )
    show_widget(widget, widget.render(_TIMES // 2), alt, caption)


class StepsSlider(widgets.VBox):
    """A slider for the number of steps, and the images of several methods with so many steps.

    Args:
        images: by method, by number of steps: an image. All methods have the same numbers.
        notes: the same for a short text about each image, such as a classifier's prediction.

    Raises:
        ValueError: if the methods differ in their numbers of steps, or there is none.
    """

    def __init__(
        self,
        images: Mapping[str, Mapping[int, Float[Tensor, "3 _ _"]]],
        notes: Mapping[str, Mapping[int, str]],
    ) -> None:
        counts = {tuple(row) for row in [*images.values(), *notes.values()]}
        if len(counts) != 1 or images.keys() != notes.keys():
            raise ValueError("Give every method an image and a note for the same numbers of steps.")
        self._images, self._notes = images, notes
        (self._counts,) = counts
        self.steps = add_tooltip(
            selection_slider(options=self._counts, value=self._counts[0], description="steps"),
            "number of steps",
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        self.steps.observe(self._update, "value")
        self._update()
        super().__init__([self.steps, self.picture, self.message])

    def render(self, steps: int) -> bytes:
        """The images with this number of steps, in a row, as JPEG."""
        row = {name: by_steps[steps] for name, by_steps in self._images.items()}
        return jpeg_bytes(titled_images(row, _SIDE))

    def _update(self, change: object = None) -> None:
        steps = self.steps.value
        self.picture.value = self.render(steps)
        seen = "; ".join(f"{name}: {row[steps]}" for name, row in self._notes.items())
        self.message.value = f"{steps} step{'s' if steps > 1 else ''}. The judge sees {seen}."


def steps_slider(
    images: Mapping[str, Mapping[int, Float[Tensor, "3 _ _"]]],
    notes: Mapping[str, Mapping[int, str]],
) -> None:
    """Show :class:`StepsSlider`, which documents the arguments."""
    widget = StepsSlider(images, notes)
    alt = (
        f"{len(images)} images in a row, of the same prompt from the same noise, in one step each: "
        f"{', '.join(images)}."
    )
    caption = "One step each, from the same noise. The slider adds steps."
    show_widget(widget, widget.picture.value, alt, caption, "image/jpeg")


class LoRAStrength(widgets.VBox):
    """A slider for the strength of a LoRA, and images of some prompts with that strength.

    Args:
        generate: images of the prompts for a strength; called once per strength.
        prompts: one per image.
        strengths: of the slider.
    """

    def __init__(
        self,
        generate: Callable[[float], Images],
        prompts: Sequence[str],
        strengths: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5),
    ) -> None:
        self._generate, self._prompts = generate, list(prompts)
        self._cache: dict[float, bytes] = {}
        self.strength = add_tooltip(
            selection_slider(
                options=list(strengths),
                value=1.0,
                description="strength",
                continuous_update=False,
            ),
            "strength of the LoRA",
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        self.strength.observe(self._update, "value")
        self._update()
        super().__init__([self.strength, self.picture, self.message])

    def render(self, strength: float) -> bytes:
        """The images with this strength, in a row, as JPEG."""
        if strength not in self._cache:
            images = self._generate(strength)
            row = dict(zip(self._prompts, images, strict=True))
            self._cache[strength] = jpeg_bytes(titled_images(row, _SIDE))
        return self._cache[strength]

    def _update(self, change: object = None) -> None:
        strength = self.strength.value
        self.picture.value = self.render(strength)
        kind = {0: "the model without the LoRA", 1: "the LoRA as trained"}.get(strength, "between")
        kind = "more than was trained" if strength > 1 else kind
        self.message.value = f"Strength {strength:g}: {kind}."


def lora_strength(generate: Callable[[float], Images], prompts: Sequence[str]) -> None:
    """Show :class:`LoRAStrength`, which documents the arguments."""
    from course_lib import mode

    if mode() == "grading":  # the images are expensive, and nothing would be shown
        return
    widget = LoRAStrength(generate, prompts)
    alt = f"{len(prompts)} images in a row, with the LoRA as trained: {', '.join(prompts)}."
    caption = "Strength 1, as trained. At 0 the model is what it was before."
    show_widget(widget, widget.picture.value, alt, caption, "image/jpeg")


class TypeToImage(widgets.VBox):
    """A prompt field and a seed; every change generates an image at once.

    Args:
        generate: called as ``StableDiffusion.generate``, with ``one_step.SETTINGS``.
        prompt: the initial prompt.
    """

    def __init__(
        self, generate: Callable[..., Images], prompt: str = "a fox on a blue background"
    ) -> None:
        self._generate = generate
        self.prompt = add_tooltip(widgets.Text(prompt, description="prompt"), "the prompt")
        self.seed = add_tooltip(widgets.IntText(0, description="seed"), "seed of the noise")
        self.picture = picture_widget()
        self.message = widgets.HTML()
        for control in (self.prompt, self.seed):
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(self.prompt, self.seed), self.picture, self.message])

    def render(self, prompts: Sequence[str]) -> bytes:
        """Images of prompts from the noise of the seed, in a row, as JPEG."""
        seed = abs(self.seed.value)
        images = {
            prompt: self._generate(prompt, seed=seed, **one_step.SETTINGS)[0] for prompt in prompts
        }
        return jpeg_bytes(titled_images(images, _SIDE))

    def _update(self, change: object = None) -> None:
        start = time.perf_counter()
        self.picture.value = self.render([self.prompt.value])
        milliseconds = 1000 * (time.perf_counter() - start)
        self.message.value = f"One call of the U-Net: {milliseconds:.0f} ms from prompt to image."


def type_to_image(generate: Callable[..., Images]) -> None:
    """Show :class:`TypeToImage`, which documents the argument."""
    from course_lib import mode

    if mode() == "grading":  # nothing would be shown
        return
    widget = TypeToImage(generate)
    prompts = [f"a {name} on a {colour} background" for name, colour in _STILL_PAIRS]
    alt = f"Three images in a row, from the same noise, in one step each: {', '.join(prompts)}."
    caption = "One step each, from the same noise: only the prompt differs."
    show_widget(widget, widget.render(prompts), alt, caption, "image/jpeg")
