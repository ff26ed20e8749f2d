"""The widgets of lesson 7: tokenizing a prompt, attention maps of words, and guidance."""

import html
from collections.abc import Mapping

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.data.captioned import COLOURS, make_caption
from course_lib.diffusion import text_to_image
from course_lib.diffusion.attention_maps import AttentionRecord, maps_by_word, object_mask
from course_lib.diffusion.judge import Judge, Verdict
from course_lib.figures import figure_png
from course_lib.figures.images import jpeg_bytes, titled_images
from course_lib.figures.stable_diffusion.pipeline import TOKEN_COLOURS, token_boxes
from course_lib.figures.style import INK, MUTED, PAPER
from course_lib.figures.text import piece_text
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.tokenizer import Tokenizer
from course_lib.widgets import add_tooltip, control_row, picture_widget, show_widget

_SIDE = 320  # screen pixels of an image


class TokenizerDemo(widgets.VBox):
    """A text field, and the tokens of its text by several tokenizers.

    Args:
        tokenizers: by name.
        text: the initial text.
    """

    def __init__(
        self, tokenizers: Mapping[str, Tokenizer], text: str = "a red fox on a purple background"
    ) -> None:
        self._tokenizers = dict(tokenizers)
        self.text = add_tooltip(widgets.Text(text, description="prompt"), "the prompt to tokenize")
        self.text.layout.width = "95%"
        self.boxes = widgets.HTML()
        self.text.observe(self._update, "value")
        self._update()
        super().__init__([self.text, self.boxes])

    def _update(self, change: object = None) -> None:
        # While an emoji is typed, a browser can send the first half of its surrogate pair.
        typed = self.text.value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        paragraphs = []
        for name, tokenizer in self._tokenizers.items():
            ids = tokenizer.tokenize(typed)
            capacity = tokenizer.length - 2  # without the start and end tokens
            text = f"{html.escape(name)}: {len(ids)} tokens of at most {capacity}"
            if len(ids) > capacity:
                text += f"; the last {len(ids) - capacity} are truncated"
            boxes = _token_boxes(tokenizer, ids, capacity)
            paragraphs.append(f'<p style="margin:0.8em 0 0.2em">{text}</p>{boxes}')
        self.boxes.value = "".join(paragraphs)


def _token_boxes(tokenizer: Tokenizer, ids: list[int], capacity: int) -> str:
    """Tokens as HTML boxes; truncated tokens have a dashed border and no colour."""
    boxes = []
    for index, (piece, token_id) in enumerate(zip(tokenizer.pieces(ids), ids, strict=True)):
        text = html.escape(piece_text(piece).replace(" ", "·"))
        background, border = TOKEN_COLOURS[index % len(TOKEN_COLOURS)], "solid"
        if index >= capacity:
            background, border = PAPER, "dashed"
        style = (
            "display:inline-block;margin:2px;padding:2px 6px;text-align:center;"
            f"border:1px {border} {MUTED};background:{background};color:{INK}"
        )
        boxes.append(f'<span style="{style}">{text}<br><small>{token_id}</small></span>')
    return f"<div>{''.join(boxes)}</div>"


def tokenizer_demo(tokenizers: Mapping[str, Tokenizer]) -> None:
    """Show :class:`TokenizerDemo`, which documents the argument."""
    widget = TokenizerDemo(tokenizers)
    figure = token_boxes(next(iter(tokenizers.values())), [widget.text.value])
    image = figure_png(figure)
    plt.close(figure)
    alt = f"The prompt “{widget.text.value}” in coloured boxes, one per token, with the token ids."
    show_widget(widget, image, alt, "The tokens of a prompt. A dot marks the end of a word.")


class WordMaps(widgets.VBox):
    """Controls for a word and a sampling step, and the word's attention map in that step.

    Args:
        record: an image and its attention maps.
    """

    def __init__(self, record: AttentionRecord) -> None:
        self._record = record
        last = len(record.timesteps) - 1
        self._maps = [
            maps_by_word(record._replace(maps=record.maps[[step]])) for step in range(last + 1)
        ]
        words = list(self._maps[0])
        default = "fox" if "fox" in words else words[min(2, len(words) - 1)]
        self.word = add_tooltip(
            widgets.Dropdown(
                options=[(piece_text(word.strip()), word) for word in words],
                value=default,
                description="word",
            ),
            "word",
        )
        self.step = add_tooltip(
            widgets.IntSlider(last // 2, 0, last, description="step"), "step of the sampler"
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        for control in (self.word, self.step):
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(self.word, self.step), self.picture, self.message])

    def _update(self, change: object = None) -> None:
        step, word = self.step.value, piece_text(self.word.value.strip())
        weights = self._maps[step][self.word.value]
        low, high = float(weights.min()), float(weights.max())
        title = f"“{word}”, t = {self._record.timesteps[step]}: {low:.1%} to {high:.1%}"
        drawn = _with_outline(_to_rgb(weights), object_mask(self._record.image))
        images = {"the image": self._record.image, title: drawn}
        self.picture.value = jpeg_bytes(titled_images(images, _SIDE))
        self.message.value = (
            f"In this step “{html.escape(word)}” gets {float(weights.mean()):.1%} of the attention "
            f"weight: from {low:.1%} at its darkest position to {high:.1%} at its brightest."
        )


def word_maps(record: AttentionRecord) -> None:
    """Show :class:`WordMaps`, which documents the argument."""
    widget = WordMaps(record)
    alt = (
        "An image, and next to it the attention map of a word, from dark blue to bright yellow, "
        "with the outline of the object."
    )
    caption = (
        "One word in one step: bright where it has the highest weight. Above: the lowest and the "
        "highest weight. White: the outline of the object in the finished image."
    )
    show_widget(widget, widget.picture.value, alt, caption, "image/jpeg")


class GuidanceSlider(widgets.VBox):
    """Controls for prompt, guidance and seed; the generated image and the judge's classification.

    Args:
        model: generates the images.
        judge: classifies their object and colour.
        steps: sampling steps.
    """

    def __init__(
        self, model: StableDiffusion, judge: Judge, steps: int = text_to_image.STEPS
    ) -> None:
        self._model, self._judge, self._steps = model, judge, steps
        self._cache: dict[tuple[str, str, float, int], tuple[Tensor, Verdict]] = {}
        self.object = add_tooltip(
            widgets.Dropdown(options=text_to_image.OBJECTS, value="fox", description="object"),
            "object",
        )
        self.colour = add_tooltip(
            widgets.Dropdown(options=list(COLOURS), value="purple", description="background"),
            "background colour",
        )
        # The sliders update on release, because generation is too slow to follow dragging.
        self.guidance = add_tooltip(
            widgets.FloatSlider(
                text_to_image.GUIDANCE,
                min=0,
                max=12,
                step=0.5,
                description="guidance",
                continuous_update=False,
            ),
            "guidance",
        )
        self.seed = add_tooltip(
            widgets.IntSlider(0, 0, 20, description="seed", continuous_update=False),
            "seed of the noise",
        )
        self.picture = picture_widget()
        self.message = widgets.HTML()
        controls = (self.object, self.colour, self.guidance, self.seed)
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        super().__init__([control_row(*controls), self.picture, self.message])

    def _update(self, change: object = None) -> None:
        guidance, seed = self.guidance.value, self.seed.value
        prompt = make_caption(self.object.value, self.colour.value)
        key = self.object.value, self.colour.value, guidance, seed
        if key not in self._cache:
            (image,) = self._model.generate(
                prompt,
                sampler=text_to_image.SAMPLER,
                steps=self._steps,
                guidance=guidance,
                seed=seed,
            )
            self._cache[key] = image, self._judge.classify(image[None])[0]
        image, verdict = self._cache[key]
        self.picture.value = jpeg_bytes(titled_images({f"guidance {guidance:g}": image}, _SIDE))
        self.message.value = (
            f"“{prompt}”, seed {seed}. The judge sees: {verdict.name}, {verdict.colour}."
        )


def guidance_slider(model: StableDiffusion, judge: Judge, steps: int = text_to_image.STEPS) -> None:
    """Show :class:`GuidanceSlider`, which documents the arguments."""
    widget = GuidanceSlider(model, judge, steps)
    alt = f"An image generated for the prompt “{make_caption('fox', 'purple')}”."
    caption = f"The result for the prompt at guidance {text_to_image.GUIDANCE:g}."
    show_widget(widget, widget.picture.value, alt, caption, "image/jpeg")


def _to_rgb(weights: Float[Tensor, "rows columns"]) -> Float[Tensor, "3 rows columns"]:
    """An attention map in colours, scaled from its lowest to its highest value."""
    low, high = float(weights.min()), float(weights.max())
    scaled = (weights - low) / (high - low) if high - low > 1e-9 else torch.zeros_like(weights)
    rgb = plt.get_cmap("cividis")(scaled.numpy())[..., :3].astype(np.float32)
    return torch.from_numpy(rgb).permute(2, 0, 1)


def _with_outline(
    rgb: Float[Tensor, "3 rows columns"], mask: Bool[Tensor, "height width"]
) -> Float[Tensor, "3 height width"]:
    """A map enlarged to the mask's size, with the mask's outline in white."""
    large = F.interpolate(rgb[None], mask.shape, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    inside = mask.float()[None]
    edge = F.max_pool2d(inside, 3, stride=1, padding=1) != inside
    return torch.where(edge, 1.0, large)
