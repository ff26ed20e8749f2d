"""Binary files as scripts: the only kind of file that a page may load from ``file://``.

Each file is gzipped, written in base64, and cut into pieces, so that a page can show progress.
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
    """Write the pieces of all files and ``manifest.js`` into a folder. The same bytes every time.

    Args:
        files: contents by name.
        folder: ``_static/assets`` of the site; created if it does not exist.

    Returns:
        For each file the number of bytes that its gzipped contents have.
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
