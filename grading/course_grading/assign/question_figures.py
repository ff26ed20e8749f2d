"""The figure of a hotspot question: an expression in the lesson's source is rendered as a PNG.

The expression returns a PIL image, or the path of a PNG as a string. It may use the values of
``:params:``, ``course_lib`` with its modules, ``PIL.Image`` and ``PIL.ImageDraw``. A path is
relative to the checkout, the folder above ``solutions/``.

Notebooks and question banks must be reproducible byte for byte, and zlib's output depends on its
implementation. So a PIL image is stored uncompressed, with a palette if it has at most 256 colours.
A PNG above ``MAX_BYTES`` is refused: its author saves it as a compressed file.
"""

import ast
import functools
import importlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

from course_grading.assign.lesson import QuestionTemplate

MAX_BYTES = 200_000  # of a PNG, which is embedded in the notebook and the question bank
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def depends_on(template: QuestionTemplate) -> bool:
    """Whether the figure of a question uses its parameters."""
    return bool(_used_names(_source(template)) & _assigned_names(template))


def evaluate(template: QuestionTemplate, names: dict[str, Any]) -> bytes:
    """Evaluate the figure's expression and return PNG bytes.

    Args:
        template: the question, with a figure.
        names: the values of its parameters.

    Raises:
        ValueError: if it is not an image, is too large, or lies outside the checkout.
        Exception: any exception of the author's expression.
    """
    source, root = _source(template), template.path.resolve().parent.parent
    if depends_on(template):
        return _to_png(_run(source, names), root)
    return _evaluate_once(source, root)


@functools.lru_cache(maxsize=64)
def _evaluate_once(source: str, root: Path) -> bytes:
    return _to_png(_run(source, {}), root)


def _source(template: QuestionTemplate) -> str:
    assert template.figure is not None
    return template.figure.expression.source


def _assigned_names(template: QuestionTemplate) -> set[str]:
    trees = [ast.parse(row.source.strip()) for row in template.params]
    return {
        node.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _used_names(source: str) -> set[str]:
    tree = ast.parse(source, mode="eval")
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _run(source: str, names: dict[str, Any]) -> Any:
    from PIL import Image, ImageDraw

    tree = ast.parse(source, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            _import_module(ast.unparse(node))
    # Unlike :params:, a figure may use all built-in functions.
    scope = {
        **names,
        "__builtins__": __builtins__,
        "course_lib": importlib.import_module("course_lib"),
        "Image": Image,
        "ImageDraw": ImageDraw,
    }
    return eval(compile(tree, "<the figure>", "eval"), scope)


def _import_module(name: str) -> None:
    """Import a module that an expression names, such as ``course_lib.figures.unet``."""
    if not name.startswith("course_lib.") or not name.replace(".", "").isidentifier():
        return
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # a dependency of the module is missing


def _to_png(figure: Any, root: Path) -> bytes:
    from PIL import Image

    if isinstance(figure, str | Path):
        path = (root / figure).resolve()
        if not path.is_relative_to(root):
            raise ValueError(f"{figure} is outside the checkout")
        png = path.read_bytes()
        if not png.startswith(_SIGNATURE):
            raise ValueError(f"{figure} is not a PNG: save it in that format")
    elif isinstance(figure, Image.Image):
        png = _encode_png(figure)
    else:
        raise ValueError(
            f"it returns a {type(figure).__name__}: give a PIL image or the path of a PNG"
        )
    if len(png) > MAX_BYTES:
        raise ValueError(
            f"the PNG has {len(png):,} bytes, more than {MAX_BYTES:,}: make it smaller, or save it "
            "as a compressed PNG in the checkout and give its path"
        )
    return png


def _encode_png(image) -> bytes:
    """An image as an uncompressed PNG (https://www.w3.org/TR/png-3/)."""
    rgb = image.convert("RGB")
    width, height = rgb.size
    colours = rgb.getcolors(256)
    chunks = []
    if colours:
        palette = sorted(colour for _, colour in colours)
        index_of = {bytes(colour): index for index, colour in enumerate(palette)}
        data = rgb.tobytes()
        pixels = bytes(index_of[data[start : start + 3]] for start in range(0, len(data), 3))
        chunks.append((b"PLTE", b"".join(bytes(colour) for colour in palette)))
        colour_type, stride = 3, width
    else:
        pixels, colour_type, stride = rgb.tobytes(), 2, 3 * width
    # every scanline begins with its filter type: 0, none
    starts = range(0, len(pixels), stride)
    scanlines = b"".join(b"\0" + pixels[start : start + stride] for start in starts)
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *chunks, (b"IDAT", _zlib_stored(scanlines)), (b"IEND", b"")]
    png = io.BytesIO(_SIGNATURE)
    png.seek(0, io.SEEK_END)
    for name, data in chunks:
        png.write(struct.pack(">I", len(data)) + name + data)
        png.write(struct.pack(">I", zlib.crc32(name + data)))
    return png.getvalue()


def _zlib_stored(data: bytes) -> bytes:
    """A zlib stream of stored blocks (RFC 1950 and RFC 1951, section 3.2.4)."""
    blocks = [data[start : start + 65_535] for start in range(0, len(data), 65_535)]
    stream = b"\x78\x01"
    for number, block in enumerate(blocks, 1):
        stream += struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF)
        stream += block
    return stream + struct.pack(">I", zlib.adler32(data))
