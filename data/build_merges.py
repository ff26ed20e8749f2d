"""Build data/clip/merges.txt.bz2: the merges of CLIP's tokenizer, in the format of the published
merges.txt.

Run in the checkout: python data/build_merges.py WHEEL
WHEEL is the file that this command downloads; data/LICENSES.md has authors and licence.

    pip download --no-deps open_clip_torch==3.3.0
"""

import bz2
import gzip
import sys
import zipfile
from pathlib import Path

MERGES = Path(__file__).parent / "clip" / "merges.txt.bz2"
# CLIP uses no more: 49,408 tokens, minus the 256 bytes with and without the end of a word, minus
# the two special tokens.
COUNT = 48_894


def main(wheel: str) -> None:
    compressed = zipfile.ZipFile(wheel).read("open_clip/bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(compressed).decode().split("\n")
    text = "\n".join(["#version: 0.2", *lines[1 : COUNT + 1]]) + "\n"
    MERGES.parent.mkdir(exist_ok=True)
    MERGES.write_bytes(bz2.compress(text.encode(), 9))
    print(f"{MERGES}: {MERGES.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
