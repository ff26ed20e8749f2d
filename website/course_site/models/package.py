"""Package binary files as scripts, because a page opened from ``file://`` can't fetch files.

Each file is gzipped, base64-encoded, and split into pieces, so that a page can show progress.
Hosts compress scripts, so base64 costs next to nothing on the network. ``web/runtime/assets.js``
reads them.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

PIECE = 1_000_000  # characters of base64; a multiple of 4, so that each piece is valid by itself


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
        packed = gzip.compress(contents, 9, mtime=0)
        text = base64.b64encode(packed).decode()
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        for index, piece in enumerate(pieces):
            script = f"courseAsset({json.dumps(name)},{index},{json.dumps(piece)})\n"
            (folder / f"{name}.{index}.js").write_text(script, encoding="utf-8")
        manifest[name] = {
            "version": hashlib.sha256(contents).hexdigest()[:12],
            "bytes": len(contents),
            "pieces": [len(piece) for piece in pieces],
        }
        sizes[name] = len(packed)
    text = json.dumps(manifest, separators=(",", ":"))
    (folder / "manifest.js").write_text(f"courseManifest({text})\n", encoding="utf-8")
    return sizes
