"""Pictures of the pages: WebP files in two densities, named by their content."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageSequence

# The quality of lossy WebP at the displayed size, and at a higher pixel density, where artefacts
# are less visible.
QUALITY, DENSE_QUALITY = 70, 40
_LOSSLESS_LIMIT = 1.15  # lossless may be this much larger: charts and enlarged pixels stay sharp
_FORMAT = 6  # of the files in the cache: raise it when the encoding changes
_STEP, _HOLD = 180, 1200  # milliseconds of an animation's frames, and of its last


@dataclass(frozen=True)
class Picture:
    """A picture as a page shows it.

    ``files`` are pairs of a file name and its width in pixels, in ascending order; ``width`` and
    ``height`` are the size on the page in CSS pixels. ``still`` is the last frame of an animation,
    for readers who asked for reduced motion; empty for a picture that does not move.
    """

    files: tuple[tuple[str, int], ...]
    width: int
    height: int
    still: str = ""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.files] + ([self.still] if self.still else [])


class PictureStore:
    """Writes pictures into the site's folder, and keeps them in a cache for the next build."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        for path in (folder, cache):
            path.mkdir(parents=True, exist_ok=True)

    def add(self, image: bytes, width: int | None = None) -> Picture:
        """Write a picture as WebP, in the width in which the page shows it and in its own if that
        is larger.

        Args:
            image: an image file that Pillow can read; an animation stays one.
            width: CSS pixels; the image's own width if it is None.
        """
        with Image.open(io.BytesIO(image)) as opened:
            shown = min(width or opened.width, opened.width)
            height = round(opened.height * shown / opened.width)
            key = hashlib.sha256(image + f"{_FORMAT} {shown}".encode()).hexdigest()[:12]
            if getattr(opened, "is_animated", False):
                moving = self._keep(f"{key}.webp", lambda: _animation(opened))
                still = self._keep(f"{key}-still.webp", lambda: _encode(_last_frame(opened)))
                return Picture(((moving, opened.width),), shown, height, still)
            files = []
            for pixels in sorted({shown, opened.width}):
                name = f"{key}-{pixels}.webp"
                quality = QUALITY if pixels == shown else DENSE_QUALITY
                encode = partial(_resized, opened, pixels, quality)
                files.append((self._keep(name, encode), pixels))
        return Picture(tuple(files), shown, height)

    def _keep(self, name: str, encode: Callable[[], bytes]) -> str:
        """Write a file of this name into the folder, from the cache or newly encoded."""
        cached = self.cache / name
        if not cached.exists():
            partial = cached.with_suffix(".part")
            partial.write_bytes(encode())
            partial.replace(cached)
        (self.folder / name).write_bytes(cached.read_bytes())
        return name


def _resized(image: Image.Image, width: int, quality: int) -> bytes:
    if width == image.width:
        return _encode(image, quality)
    height = round(image.height * width / image.width)
    resized = image.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS)
    return _encode(resized, quality)


def _encode(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Lossless where that costs little, as for charts; else lossy."""
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    lossless, lossy = io.BytesIO(), io.BytesIO()
    image.save(lossless, "WEBP", lossless=True, quality=60, method=4)
    image.save(lossy, "WEBP", quality=quality, method=5)
    small_enough = len(lossless.getvalue()) <= _LOSSLESS_LIMIT * len(lossy.getvalue())
    return (lossless if small_enough else lossy).getvalue()


def _animation(image: Image.Image) -> bytes:
    """The animation, played once in under five seconds: a longer one would need a pause button
    (WCAG 2.2.2).
    """
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    step = min(_STEP, (4900 - _HOLD) // max(1, len(frames) - 1))
    durations = [step] * (len(frames) - 1) + [_HOLD]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=1,
        quality=50,
        method=6,
    )
    return buffer.getvalue()


def _last_frame(image: Image.Image) -> Image.Image:
    image.seek(getattr(image, "n_frames", 1) - 1)
    return image.convert("RGB")
