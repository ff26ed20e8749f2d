"""What lesson 7 lets you touch: the cutting of a sentence, the maps of its words, and guidance."""

import html
import io
import re
from collections.abc import Mapping

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from course_lib.compression.codecs import whole_bytes
from course_lib.data.captioned import COLOURS, sentence
from course_lib.diffusion import judge, text_to_image
from course_lib.diffusion.attention_maps import Looked, summed
from course_lib.figures import png
from course_lib.figures.stable_diffusion.pipeline import TINTS, tokens
from course_lib.figures.style import INK, PAPER
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.tokenizer import Tokenizer
from course_lib.widgets import font, named, show_widget

_SIDE = 320  # pixels of a picture on the screen
_GAP, _TITLE = 20, 26


class Cutter(widgets.VBox):
    """A field for a sentence, and its tokens by each of several tokenizers.

    Args:
        tokenizers: by name.
        text: to begin with.
    """

    def __init__(
        self, tokenizers: Mapping[str, Tokenizer], text: str = "a red fox on a purple background"
    ) -> None:
        self._tokenizers = dict(tokenizers)
        self.text = named(widgets.Text(text, description="sentence"), "the sentence to cut")
        self.text.layout.width = "95%"
        self.boxes = widgets.HTML()
        self.text.observe(self._update, "value")
        self._update()
        super().__init__([self.text, self.boxes])

    def _update(self, change: object = None) -> None:
        parts = []
        for name, tokenizer in self._tokenizers.items():
            ids = tokenizer.tokenize(self.text.value)
            cut = max(len(ids) - (tokenizer.length - 2), 0)
            told = f"{html.escape(name)}: {len(ids)} tokens in {tokenizer.length - 2} places"
            told += f"; the last {cut} are cut off" if cut else ""
            parts.append(
                f'<p style="margin:0.8em 0 0.2em">{told}</p>{_row(tokenizer, ids, len(ids) - cut)}'
            )
        self.boxes.value = "".join(parts)


def _row(tokenizer: Tokenizer, ids: list[int], kept: int) -> str:
    """Boxes in HTML, those that are cut off with a dashed frame and no ground."""
    cells = []
    for index, (piece, number) in enumerate(zip(tokenizer.pieces(ids), ids, strict=True)):
        text = html.escape(re.sub("\ufffd+", "bytes", piece).replace(" ", "·"))
        ground = TINTS[index % len(TINTS)] if index < kept else PAPER
        frame = "1px solid #5B6470" if index < kept else "1px dashed #5B6470"
        style = f"display:inline-block;margin:2px;padding:2px 6px;border:{frame};background:{ground};color:{INK}"
        cells.append(
            f'<span style="{style};text-align:center">{text}<br><small>{number}</small></span>'
        )
    return "<div>" + "".join(cells) + "</div>"


def cutter(tokenizers: Mapping[str, Tokenizer]) -> None:
    """Show the field; the argument is that of :class:`Cutter`."""
    widget = Cutter(tokenizers)
    figure = tokens(next(iter(tokenizers.values())), [widget.text.value])
    image = png(figure)
    plt.close(figure)
    alt = f"The sentence “{widget.text.value}” in coloured boxes, one for each token, with the token's number."
    show_widget(widget, image, alt, "The tokens of a sentence. A dot marks the end of a word.")


class WordMaps(widgets.VBox):
    """Controls for a word and a step, and where the places of the picture looked at that word in
    that step.

    Args:
        looked: a picture and its maps.
    """

    def __init__(self, looked: Looked) -> None:
        self._looked = looked
        self._summed = [
            summed(looked._replace(maps=looked.maps[[step]])) for step in range(len(looked.times))
        ]
        words = [(name.strip(), name) for name in self._summed[0]]
        start = next(
            name for name in ("fox", words[min(2, len(words) - 1)][1]) if name in self._summed[0]
        )
        self.word = named(
            widgets.Dropdown(options=words, value=start, description="word"), "which word"
        )
        last = len(looked.times) - 1
        self.step = named(
            widgets.IntSlider(last // 2, 0, last, description="step"), "which step of the sampler"
        )
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        for control in (self.word, self.step):
            control.observe(self._update, "value")
        self._update()
        super().__init__([widgets.HBox([self.word, self.step]), self.picture, self.message])

    def _update(self, change: object = None) -> None:
        step, word = self.step.value, self.word.value
        one = self._summed[step][word]
        titles = ("the picture", f"“{word.strip()}”, t = {self._looked.times[step]}")
        sheet = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE + _TITLE), PAPER)
        for index, (image, title) in enumerate(
            zip((self._looked.image, _coloured(one)), titles, strict=True)
        ):
            _place(sheet, image, title, index * (_SIDE + _GAP))
        self.picture.value = _as_jpeg(sheet)
        self.message.value = (
            f"Of the weight of all places in this step, {float(one.mean()):.1%} went to “{word.strip()}”: from "
            f"{float(one.min()):.1%} at its darkest place to {float(one.max()):.1%} at its brightest."
        )


def word_maps(looked: Looked) -> None:
    """Show the maps; the argument is that of :class:`WordMaps`."""
    widget = WordMaps(looked)
    alt = "A picture, and beside it a map of where its places looked at a word, from dark blue to bright yellow."
    show_widget(
        widget,
        widget.picture.value,
        alt,
        "One word in one step: bright where it has most weight.",
        "image/jpeg",
    )


class GuidanceSlider(widgets.VBox):
    """Controls for object, ground, guidance and seed; the picture that comes of them, and the
    judge's opinion.

    Args:
        model: which draws.
        seen_by: which names what it sees.
        steps: of the sampler.
    """

    def __init__(
        self, model: StableDiffusion, seen_by: judge.Judge, steps: int = text_to_image.STEPS
    ) -> None:
        self._model, self._seen_by, self._steps, self._drawn = model, seen_by, steps, {}
        self.object = named(
            widgets.Dropdown(options=text_to_image.OBJECTS, value="fox", description="object"),
            "which object",
        )
        self.colour = named(
            widgets.Dropdown(options=list(COLOURS), value="purple", description="ground"),
            "which ground",
        )
        # They answer when they are let go: drawing takes longer than a mouse needs for its next
        # step.
        options = {"continuous_update": False}
        self.guidance = named(
            widgets.FloatSlider(
                text_to_image.GUIDANCE, min=0, max=12, step=0.5, description="guidance", **options
            ),
            "guidance",
        )
        self.seed = named(
            widgets.IntSlider(0, 0, 20, description="seed", **options), "seed of the noise"
        )
        self.picture = widgets.Image(
            format="jpeg", layout=widgets.Layout(align_self="flex-start", max_width="100%")
        )
        self.message = widgets.HTML()
        controls = (self.object, self.colour, self.guidance, self.seed)
        for control in controls:
            control.observe(self._update, "value")
        self._update()
        row = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([row, self.picture, self.message])

    def _update(self, change: object = None) -> None:
        asked = self.object.value, self.colour.value, self.guidance.value, self.seed.value
        if asked not in self._drawn:
            name, colour, guidance, seed = asked
            options = {
                "sampler": text_to_image.SAMPLER,
                "steps": self._steps,
                "guidance": guidance,
                "seed": seed,
            }
            (image,) = self._model.generate(sentence(name, colour), **options)
            self._drawn[asked] = image, judge.verdicts(self._seen_by, image[None])[0]
        image, seen = self._drawn[asked]
        sheet = Image.new("RGB", (_SIDE, _SIDE + _TITLE), PAPER)
        _place(sheet, image, f"guidance {self.guidance.value:g}", 0)
        self.picture.value = _as_jpeg(sheet)
        self.message.value = f"“{sentence(*asked[:2])}”, seed {asked[3]}. The judge sees: {seen.name}, {seen.colour}."


def guidance_slider(
    model: StableDiffusion, seen_by: judge.Judge, steps: int = text_to_image.STEPS
) -> None:
    """Show the controls; the arguments are those of :class:`GuidanceSlider`."""
    widget = GuidanceSlider(model, seen_by, steps)
    alt = f"A picture that the model drew for the sentence “{sentence('fox', 'purple')}”."
    caption = f"What comes of the sentence at guidance {text_to_image.GUIDANCE:g}."
    show_widget(widget, widget.picture.value, alt, caption, "image/jpeg")


def _coloured(one: Float[Tensor, "rows columns"]) -> Float[Tensor, "3 rows columns"]:
    """A map in colours, from its lowest to its highest value."""
    span = float(one.max() - one.min())
    share = (one - one.min()) / span if span > 1e-9 else torch.zeros_like(one)
    return torch.from_numpy(
        plt.get_cmap("cividis")(share.numpy())[..., :3].astype(np.float32)
    ).permute(2, 0, 1)


def _place(
    sheet: Image.Image, image: Float[Tensor, "3 height width"], title: str, left: int
) -> None:
    """A picture enlarged, below its title."""
    ImageDraw.Draw(sheet).text(
        (left, _TITLE / 2), title, fill=INK, font=font(14, bold=True), anchor="lm"
    )
    large = F.interpolate(image[None], (_SIDE, _SIDE), mode="bilinear", align_corners=False)[0]
    sheet.paste(Image.fromarray(whole_bytes(large)), (left, _TITLE))


def _as_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90, subsampling=0)
    return buffer.getvalue()
