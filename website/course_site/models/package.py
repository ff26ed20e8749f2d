"""Package binary files as scripts, because a page opened from ``file://`` can't fetch files.

Each file is gzipped, written as text, and split into pieces, so that a page can show progress. The
text is UTF-16 with 15 bits in each character: 7 % more bytes than the gzipped file, where base64
has 33 % more. A byte order mark tells the encoding, whatever the host's headers say (Encoding
Standard, "BOM sniff"). ``web/runtime/assets.js`` reads the files.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PIECE = 500_000  # characters; a multiple of 8, so that each piece holds whole bytes
# All 2^15 characters from here on are letters: none is a quote, a line break or half a pair.
_FIRST = 0x4000
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)  # the second for numbers


def write_assets(files: Mapping[str, bytes], folder: Path) -> dict[str, int]:
    """Write the pieces of all files and ``manifest.js`` into a folder, reproducibly.

    Args:
        files: contents by name.
        folder: ``_static/assets`` of the site; created if it does not exist.

    Returns:
        The gzipped size of each file in bytes, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest, sizes = {}, {}
    for name, contents in sorted(files.items()):
        packed = _compress(contents)
        text = _to_text(packed)
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        for index, piece in enumerate(pieces):
            script = f'\ufeffcourseAsset({json.dumps(name)},{index},"{piece}")\n'
            (folder / f"{name}.{index}.js").write_bytes(script.encode("utf-16-le"))
        manifest[name] = {
            "version": hashlib.sha256(contents).hexdigest()[:12],
            "bytes": len(packed),
            "pieces": [len(piece) for piece in pieces],
        }
        sizes[name] = len(packed)
    text = json.dumps(manifest, separators=(",", ":"))
    (folder / "manifest.js").write_text(f"courseManifest({text})\n", encoding="utf-8")
    return sizes


def _compress(contents: bytes) -> bytes:
    """The smallest gzip file of several strategies."""
    files = []
    for strategy in _STRATEGIES:
        packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, strategy)
        files.append(packer.compress(contents) + packer.flush())
    return min(files, key=len)


def _to_text(packed: bytes) -> str:
    """Bytes as characters of 15 bits each, the most significant first; the last may be padded."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    rows = np.pad(bits, (0, -len(bits) % 15)).reshape(-1, 15)
    values = np.packbits(np.pad(rows, ((0, 0), (1, 0))), axis=1).view(">u2")
    return (values + np.uint16(_FIRST)).astype("<u2").tobytes().decode("utf-16-le")
