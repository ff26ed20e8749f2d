"""Pictures of the pages: WebP and AVIF files in two densities, named by their content."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageSequence

QUALITY = 62  # of lossy WebP at the displayed size
# Of AVIF at a higher pixel density, where artefacts are less visible. With these values it takes
# four fifths of the bytes of WebP at quality 40, and is 1.2 dB closer to the original.
DENSE_QUALITY, DENSE_SPEED = 40, 6
_LOSSLESS_LIMIT = 1.15  # lossless may be this much larger: charts and enlarged pixels stay sharp
_FORMAT = 7  # of the files in the cache: raise it when the encoding changes
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
        """Write a picture in the width that the page shows, and in its own width if that is larger.

        Args:
            image: an image file that Pillow can read; an animation stays one.
            width: CSS pixels; the image's own width if it is None.
        """
        with Image.open(io.BytesIO(image)) as opened:
            shown = min(width or opened.width, opened.width)
            height = round(opened.height * shown / opened.width)
            key = hashlib.sha256(image + f"{_FORMAT} {shown}".encode()).hexdigest()[:12]
            if getattr(opened, "is_animated", False):
                moving = self._keep(key, lambda: _animation(opened))
                still = self._keep(f"{key}-still", lambda: _encode(_last_frame(opened)))
                return Picture(((moving, opened.width),), shown, height, still)
            files = []
            for pixels in sorted({shown, opened.width}):
                dense = pixels > shown
                stem = f"{key}-{pixels}" + "-dense" * dense
                encode = partial(_resized, opened, pixels, dense)
                files.append((self._keep(stem, encode), pixels))
        return Picture(tuple(files), shown, height)

    def _keep(self, stem: str, encode: Callable[[], bytes]) -> str:
        """Write a file into the folder, from the cache or newly encoded; returns its name."""
        paths = [self.cache / f"{stem}.{kind}" for kind in ("webp", "avif")]
        cached = next(filter(Path.exists, paths), None)
        if cached is None:
            contents = encode()
            cached = paths[contents[4:12] == b"ftypavif"]
            partial = cached.with_suffix(".part")
            partial.write_bytes(contents)
            partial.replace(cached)
        (self.folder / cached.name).write_bytes(cached.read_bytes())
        return cached.name


def _resized(image: Image.Image, width: int, dense: bool) -> bytes:
    if width == image.width:
        return _encode(image, dense)
    height = round(image.height * width / image.width)
    resized = image.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS)
    return _encode(resized, dense)


def _encode(image: Image.Image, dense: bool = False) -> bytes:
    """Lossless where that costs little, as for charts; else lossy."""
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    lossless, lossy = io.BytesIO(), io.BytesIO()
    image.save(lossless, "WEBP", lossless=True, quality=60, method=4)
    if dense:
        image.save(lossy, "AVIF", quality=DENSE_QUALITY, speed=DENSE_SPEED)
    else:
        image.save(lossy, "WEBP", quality=QUALITY, method=5)
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
