"""Replaces widgets of the lessons with live demos."""

import html
import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Demo:
    """A demo: the name of its module in ``web/demos``, its accessible name ``label``, and options,
    which become ``data-`` attributes.
    """

    name: str
    label: str
    options: dict[str, str] = field(default_factory=dict)


# By the function that a cell calls to show its widget. Other widgets stay as still pictures.
DEMOS = {
    "kernel_editor": Demo("kernel-editor", "Try it: a kernel on a photo"),
    "scene_editor": Demo("five-levels", "Try it: five networks look at your scene"),
    "latent_walk": Demo("autoencoder", "Try it: a picture through the latent and back"),
    "forward_noise": Demo("noise", "Try it: add noise to an image and to its latent"),
    "sampling_scrubber": Demo("text-to-image", "Try it: from noise to a picture, step by step"),
    "type_to_image": Demo("one-step", "Try it: an image with every key press"),
    "word_maps": Demo("text-to-image", "Try it: which word looks where", {"view": "words"}),
}


def find_demo(source: str) -> Demo | None:
    """The demo that replaces the widget of a cell, if there is one."""
    for function, demo in DEMOS.items():
        if re.search(rf"^{function}\(", source, re.MULTILINE):
            return demo
    return None


def render(demo: Demo, still: str) -> str:
    """The demo's section. It shows the still image, an HTML figure, until the demo starts."""
    options = "".join(
        f' data-{name}="{html.escape(value)}"' for name, value in demo.options.items()
    )
    return (
        f'<section class="course-demo" data-demo="{demo.name}"{options}'
        f' aria-label="{html.escape(demo.label)}">{still}</section>'
    )
