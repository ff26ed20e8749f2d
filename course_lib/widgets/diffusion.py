"""The widgets of lesson 6: adding noise at a timestep, and the steps of sampling."""

from collections.abc import Sequence

import ipywidgets as widgets
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib.compression.shortcut_autoencoder import Autoencoder
from course_lib.data.captioned import CaptionedPicture
from course_lib.diffusion.small_denoiser import SCHEDULE, decode, encode
from course_lib.diffusion.trajectory import Frame
from course_lib.figures.diffusion.diagrams import tile_channels
from course_lib.figures.images import jpeg_bytes, titled_images
from course_lib.figures.style import BLUE, FAINT, INK, ORANGE, PAPER, font
from course_lib.profiling.timing import one_thread
from course_lib.sd.samplers import NoiseSchedule
from course_lib.widgets import add_tooltip, control_row, picture_widget, show_widget, wide_layout

_SIDE = 220  # screen pixels of an image
_BAR_HEIGHT = 34


class ForwardNoise(widgets.VBox):
    """A timestep slider, and an image with noise added to its pixels and to its latent.

    Args:
        model: the autoencoder.
        pictures: captioned pictures to choose from, all of equal size.

    Raises:
        ValueError: if there is no picture.
    """

    def __init__(self, model: Autoencoder, pictures: Sequence[CaptionedPicture]) -> None:
        if not pictures:
            raise ValueError("There is no picture to add noise to: give at least one picture.")
        self._model = model
        self._images = torch.stack([picture.image for picture in pictures])
        self._latents = encode(model, self._images)
        # The same noise at all timesteps: only its weight changes.
        generator = torch.Generator().manual_seed(0)
        self._image_noise = torch.randn(self._images[:1].shape, generator=generator)
        self._latent_noise = torch.randn(self._latents[:1].shape, generator=generator)
        last = SCHEDULE.num_train_timesteps - 1
        self.time = add_tooltip(
            widgets.IntSlider(300, 0, last, description="time", continuous_update=False),
            "timestep, 0 is clean",
        )
        options = [(picture.caption, index) for index, picture in enumerate(pictures)]
        self.index = add_tooltip(
            widgets.Dropdown(options=options, description="picture", layout=wide_layout()),
            "picture",
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        for control in (self.time, self.index):
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(self.time, self.index), self.picture, self.message])

    def _update(self, change: object = None) -> None:
        t, index = self.time.value, self.index.value
        alpha_bar = float(SCHEDULE.alphas_cumprod[t])
        alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        pixels, _ = SCHEDULE.add_noise(self._images[[index]] * 2 - 1, self._image_noise, t)
        latent, _ = SCHEDULE.add_noise(self._latents[[index]], self._latent_noise, t)
        with one_thread():
            decoded = decode(self._model, latent)[0]
        images = {
            "pixels with noise": (pixels[0] / 2 + 0.5).clamp(0, 1),
            "latent with noise": _grey(latent[0]),
            "the latent, decoded": decoded,
        }
        self.picture.value = jpeg_bytes(_add_bar(titled_images(images, _SIDE), alpha_bar))
        self.message.value = (
            f"Timestep {t}: signal {alpha:.3f}, noise {sigma:.3f}, and their squares "
            f"{alpha_bar:.3f} + {1 - alpha_bar:.3f} = 1. Noise / signal: {sigma / alpha:.2f}."
        )


def forward_noise(model: Autoencoder, pictures: Sequence[CaptionedPicture]) -> None:
    """Show :class:`ForwardNoise`, which documents the arguments."""
    widget = ForwardNoise(model, pictures)
    alt = (
        f"Three images of {pictures[0].caption} with noise: its pixels, the four channels of its "
        "latent, and that latent decoded. A bar below shows alpha bar; the rest of it is noise."
    )
    caption = "The same amount of noise in the pixels and in the latent, and the latent decoded."
    show_widget(widget, widget.picture.value, alt, caption, mime="image/jpeg")


class SamplingScrubber(widgets.VBox):
    """A slider and a play button for the sampling steps of a generated image.

    Args:
        frames: from :func:`course_lib.diffusion.trajectory.record_trajectory`.
        schedule: the model's noise schedule.

    Raises:
        ValueError: if there is no frame.
    """

    def __init__(self, frames: Sequence[Frame], schedule: NoiseSchedule) -> None:
        if not frames:
            raise ValueError(
                "There is no frame to show: give the frames that "
                "course_lib.diffusion.trajectory.record_trajectory returns."
            )
        self._frames, self._alphas_cumprod = frames, schedule.alphas_cumprod.tolist()
        last = len(frames) - 1
        self.step = add_tooltip(
            widgets.IntSlider(0, 0, last, description="step"), "number of steps so far"
        )
        self.play = add_tooltip(
            widgets.Play(value=0, min=0, max=last, interval=400), "play the steps"
        )
        widgets.jslink((self.play, "value"), (self.step, "value"))
        self.picture = picture_widget()
        self.message = widgets.HTML()
        self.step.observe(self._update, "value")
        self._update()
        super().__init__([control_row(self.play, self.step), self.picture, self.message])

    def render(self, step: int) -> bytes:
        """The image of a step, as JPEG."""
        frame = self._frames[step]
        images = {
            "latent": _grey(frame.latent),
            "the latent, decoded": frame.image,
            "predicted image": frame.predicted_image,
        }
        return jpeg_bytes(_add_bar(titled_images(images, _SIDE), self._alpha_bar(frame)))

    def _update(self, change: object = None) -> None:
        step, last = self.step.value, len(self._frames) - 1
        self.picture.value = self.render(step)
        frame = self._frames[step]
        name = "the result" if step == last else f"timestep {frame.t}"
        signal = self._alpha_bar(frame) ** 0.5
        self.message.value = f"After {step} of {last} steps, {name}: signal {signal:.2f} of 1."

    def _alpha_bar(self, frame: Frame) -> float:
        return self._alphas_cumprod[frame.t] if frame.t >= 0 else 1.0


def sampling_scrubber(frames: Sequence[Frame], schedule: NoiseSchedule) -> None:
    """Show :class:`SamplingScrubber`, which documents the arguments."""
    widget = SamplingScrubber(frames, schedule)
    alt = (
        "Half-way from noise to an image: the four channels of the noisy latent, the latent "
        "decoded, and the clean image that the denoiser predicts from it."
    )
    caption = "The step in the middle. The predicted image is clearer than the latent."
    show_widget(widget, widget.render(len(frames) // 2), alt, caption, mime="image/jpeg")


def _grey(latent: Float[Tensor, "channels rows columns"]) -> Float[Tensor, "3 height width"]:
    """The channels of a latent as one grey image, with 8 x 8 pixels for each value."""
    grid = torch.from_numpy(tile_channels(latent)).float()
    return grid.repeat_interleave(8, 0).repeat_interleave(8, 1).expand(3, -1, -1)


def _add_bar(image: Image.Image, alpha_bar: float) -> Image.Image:
    """Add a bar below: the shares of signal (alpha bar) and noise in the variance."""
    canvas = Image.new("RGB", (image.width, image.height + _BAR_HEIGHT), PAPER)
    canvas.paste(image, (0, 0))
    draw = ImageDraw.Draw(canvas)
    top, bottom, split = image.height + 10, canvas.height, round(image.width * alpha_bar)
    draw.rectangle((0, top, image.width - 1, bottom - 1), fill=ORANGE, outline=FAINT)
    if split:
        draw.rectangle((0, top, split - 1, bottom - 1), fill=BLUE)
    middle, bold = (top + bottom) / 2, font(13, bold=True)
    if alpha_bar > 0.2:
        draw.text((8, middle), f"alpha bar {alpha_bar:.2f}", fill=PAPER, font=bold, anchor="lm")
    if alpha_bar < 0.75:
        noise = f"1 - alpha bar: {1 - alpha_bar:.2f}"
        draw.text((image.width - 8, middle), noise, fill=INK, font=bold, anchor="rm")
    return canvas
