"""What lesson 6 lets you touch: the time at which noise comes in, and the steps in which it goes
out again.
"""

import io
from collections.abc import Sequence

import ipywidgets as widgets
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.data.captioned import Captioned
from course_lib.diffusion.small_denoiser import SCHEDULE, decoded, encoded
from course_lib.diffusion.trajectory import Frame
from course_lib.figures.diffusion.animation import panes
from course_lib.figures.diffusion.diagrams import mosaic
from course_lib.figures.style import BLUE, FAINT, INK, ORANGE, PAPER
from course_lib.profiling.timing import one_thread
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.vae import AutoencoderKL
from course_lib.widgets import font, named, show_widget

_SIDE = 220  # pixels on the screen, of a pane
_BAR = 34


class ForwardNoise(widgets.VBox):
    """A slider for the time, and a picture with as much noise in its pixels, and in its latent.

    Args:
        model: the autoencoder.
        pictures: to choose from, all of one size.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, model: AutoencoderKL, pictures: Sequence[Captioned]) -> None:
        if not pictures:
            raise ValueError("There is no picture to put noise into: give at least one.")
        self._model, self._pictures = model, pictures
        self._latents = encoded(model, torch.stack([one.image for one in pictures]))
        # the same noise at all times: only its weight changes
        generator = torch.Generator().manual_seed(0)
        self._noises = [
            torch.randn(each.shape, generator=generator)
            for each in (pictures[0].image, self._latents[0])
        ]
        last = SCHEDULE.num_train_timesteps - 1
        self.time = named(
            widgets.IntSlider(300, 0, last, description="time", continuous_update=False),
            "the time, from 0, clean",
        )
        options = [(one.caption, index) for index, one in enumerate(pictures)]
        self.chosen = named(
            widgets.Dropdown(options=options, description="picture"), "which picture"
        )
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        for control in (self.time, self.chosen):
            control.observe(self._update, "value")
        self._update()
        row = widgets.HBox([self.time, self.chosen], layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([row, self.picture, self.message])

    def _update(self, change: object = None) -> None:
        t, index = self.time.value, self.chosen.value
        square = float(SCHEDULE.alphas_cumprod[t])
        pixels, _ = SCHEDULE.add_noise(
            self._pictures[index].image[None] * 2 - 1, self._noises[0][None], t
        )
        latent, _ = SCHEDULE.add_noise(self._latents[index][None], self._noises[1][None], t)
        with one_thread():
            back = decoded(self._model, latent)[0]
        shown = {
            "pixels with noise": (pixels[0] / 2 + 0.5).clamp(0, 1),
            "latent with noise": _grey(latent[0]),
            "that latent, decoded": back,
        }
        self.picture.value = _as_jpeg(_above_bar(panes(shown, _SIDE), square))
        self.message.value = (
            f"Time {t}: signal {square**0.5:.3f}, noise {(1 - square) ** 0.5:.3f}, and their squares "
            f"{square:.3f} + {1 - square:.3f} = 1. Noise / signal: {((1 - square) / square) ** 0.5:.2f}."
        )


def forward_noise(model: AutoencoderKL, pictures: Sequence[Captioned]) -> None:
    """Show noise coming in; the arguments are those of :class:`ForwardNoise`."""
    widget = ForwardNoise(model, pictures)
    alt = (
        f"Three panes of {pictures[0].caption} with noise: its pixels, the four channels of its latent, and that "
        "latent decoded. A bar below says how much of the mixture is signal and how much is noise."
    )
    caption = (
        "As much noise in the pixels as in the latent, and what a decoder makes of the latter."
    )
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


class Scrubber(widgets.VBox):
    """A slider, and a play button, over the frames of a drawing.

    Args:
        frames: those of :func:`course_lib.diffusion.trajectory.shoot`.
        schedule: the one that they were drawn with.

    Raises:
        ValueError: if there is no frame.
    """

    def __init__(self, frames: Sequence[Frame], schedule: NoiseSchedule) -> None:
        if not frames:
            raise ValueError(
                "There is no frame to show: give those of course_lib.diffusion.trajectory.shoot."
            )
        self._frames, self._squares = frames, schedule.alphas_cumprod.tolist()
        last = len(frames) - 1
        self.step = named(
            widgets.IntSlider(0, 0, last, description="step"), "how many steps were taken"
        )
        self.play = named(widgets.Play(value=0, min=0, max=last, interval=400), "play the steps")
        widgets.jslink((self.play, "value"), (self.step, "value"))
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        self.step.observe(self._update, "value")
        self._update()
        super().__init__([widgets.HBox([self.play, self.step]), self.picture, self.message])

    def still(self, step: int) -> bytes:
        """The picture of a step, as JPEG."""
        frame = self._frames[step]
        shown = {
            "the latent": _grey(frame.latent),
            "the latent, decoded": frame.picture,
            "what the denoiser sees": frame.guess,
        }
        return _as_jpeg(_above_bar(panes(shown, _SIDE), self._square(frame)))

    def _update(self, change: object = None) -> None:
        step, last = self.step.value, len(self._frames) - 1
        self.picture.value = self.still(step)
        square = self._square(self._frames[step])
        where = "the result" if step == last else f"time {self._frames[step].t}"
        self.message.value = (
            f"After {step} of {last} steps, {where}: signal {square**0.5:.2f} of 1."
        )

    def _square(self, frame: Frame) -> float:
        return self._squares[frame.t] if frame.t >= 0 else 1.0


def scrubber(frames: Sequence[Frame], schedule: NoiseSchedule) -> None:
    """Show a drawing step by step; the arguments are those of :class:`Scrubber`."""
    widget = Scrubber(frames, schedule)
    alt = (
        "Half of the way from noise to a picture: the latent's four channels with noise, that latent decoded, and the "
        "clean picture that the denoiser sees in it."
    )
    caption = "The step in the middle. What the denoiser sees is ahead of the latent, and becomes sharper."
    show_widget(widget, widget.still(len(frames) // 2), alt, caption, mime="image/jpeg")


def _grey(latent: Float[Tensor, "channels rows columns"]) -> Float[Tensor, "3 tall wide"]:
    """The channels of a latent as one grey picture, each value a whole square of it."""
    sheet = torch.from_numpy(mosaic(latent)).float()
    return sheet.repeat_interleave(8, 0).repeat_interleave(8, 1).expand(3, -1, -1)


def _above_bar(sheet: Image.Image, square: float) -> Image.Image:
    """The panes, and below them a bar: the shares of signal and noise in the mixture's variance."""
    whole = Image.new("RGB", (sheet.width, sheet.height + _BAR), PAPER)
    whole.paste(sheet, (0, 0))
    pen, top, split = ImageDraw.Draw(whole), sheet.height + 10, round(sheet.width * square)
    pen.rectangle((0, top, sheet.width - 1, whole.height - 1), fill=ORANGE, outline=FAINT)
    if split:
        pen.rectangle((0, top, split - 1, whole.height - 1), fill=BLUE)
    middle = (top + whole.height) / 2
    if square > 0.15:
        pen.text(
            (8, middle), f"signal² {square:.2f}", fill=PAPER, font=font(13, bold=True), anchor="lm"
        )
    if square < 0.85:
        words = f"noise² {1 - square:.2f}"
        pen.text((sheet.width - 8, middle), words, fill=INK, font=font(13, bold=True), anchor="rm")
    return whole


def _as_jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=90, subsampling=0)
    return file.getvalue()
