"""CLIP's tokenizer: a prompt becomes 77 token ids.

Byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, section 3.2, as in CLIP, Radford et
al. (2021), arXiv:2103.00020, section 2.4: a word starts as its bytes, and the pair that was learned
first is merged first.
"""

import bz2
import json
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex
import torch
from jaxtyping import Int64
from torch import Tensor

from course_lib.assets import paths

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_SPECIAL = r"<\|(?:start|end)oftext\|>"
_WORD = r"'(?:[stmd]|re|ve|ll)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
# Merges are stored as text: bytes that do not print are written as U+0100 and up. The order is that
# of the ids.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_BYTE_TO_CHAR = {byte: chr(byte) for byte in _PRINTABLE}
_BYTE_TO_CHAR |= {
    byte: chr(256 + n) for n, byte in enumerate(sorted(set(range(256)) - set(_PRINTABLE)))
}
_CHAR_TO_BYTE = {char: byte for byte, char in _BYTE_TO_CHAR.items()}


class Tokenizer:
    """Text to token ids and back.

    The ids are, in this order: the 256 bytes, the 256 bytes at the end of a word, one id per merge,
    the start token and the end token.

    Attributes:
        tokens: the token of each id.
        ids: the id of each token.
        length: the number of ids that a prompt becomes.
        merges: the pairs of tokens that are merged, in the order of their ids.
    """

    def __init__(
        self, vocab_size: int = 49_408, length: int = 77, folder: str | Path | None = None
    ) -> None:
        """
        Args:
            vocab_size: the number of ids; below the default, the last merges are left out.
            length: the number of ids that a prompt becomes, start and end included.
            folder: a published ``tokenizer/`` whose ``merges.txt`` and ``vocab.json`` replace the
                course's own merges.

        Raises:
            ValueError: if there are fewer merges, or the folder is not CLIP's tokenizer.
        """
        try:
            merges, vocab = _read_merges(folder)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"A tokenizer's folder holds merges.txt and vocab.json. Here: {error}."
            ) from error
        lines = merges.split("\n")[1 : max(vocab_size - 513, 1)]  # line 0 is a header
        self.merges = [tuple(line.split(" ")) for line in lines if line]
        chars = list(_BYTE_TO_CHAR.values())
        self.tokens = [
            *chars,
            *(char + WORD_END for char in chars),
            *map("".join, self.merges),
            START,
            END,
        ]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self.ids) != vocab_size or length < 3 or vocab not in (None, self.ids):
            raise ValueError(
                f"{vocab_size:,} ids, prompts of {length} ids, {folder or 'own merges'}: there are "
                f"{len(self.ids):,} ids. Give a vocab_size of 514 to 49,408, a length of at least "
                "3, and a folder with CLIP's own ids."
            )
        self.length = length
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._cache = {START: [self.ids[START]], END: [self.ids[END]]}

    def tokenize(self, prompt: str) -> list[int]:
        """The ids of a whole prompt, without start and end; case and extra spaces are lost."""
        return [
            number
            for word in _split_words(prompt)
            for number in self._cache.get(word) or self._merge(word)
        ]

    def encode(
        self, prompts: str | Sequence[str]
    ) -> tuple[Int64[Tensor, "batch length"], list[int]]:
        """The text encoder's input, and for each prompt the number of ids that were cut off.

        A row is the start token, the ids, and end tokens up to ``length``.
        """
        prompts = [prompts] if isinstance(prompts, str) else prompts
        tokenized = [self.tokenize(prompt) for prompt in prompts]
        capacity = self.length - 2
        rows = torch.full((len(tokenized), self.length), self.ids[END])
        rows[:, 0] = self.ids[START]
        for row, ids in zip(rows, tokenized, strict=True):
            row[1:-1][: len(ids)] = torch.tensor(ids[:capacity])
        return rows, [max(len(ids) - capacity, 0) for ids in tokenized]

    def pieces(self, ids: Sequence[int] | Int64[Tensor, " ids"]) -> list[str]:
        """The text of each id. The end of a word is a space; part of a character is U+FFFD."""
        return [self._bytes(int(number)).decode(errors="replace") for number in ids]

    def decode(self, ids: Sequence[int] | Int64[Tensor, " ids"]) -> str:
        """The text of all ids together, without start and end."""
        inner = (int(number) for number in ids if self.tokens[int(number)] not in (START, END))
        return b"".join(map(self._bytes, inner)).decode(errors="replace").strip()

    def _bytes(self, number: int) -> bytes:
        chars = self.tokens[number].removesuffix(WORD_END)
        return bytes(_CHAR_TO_BYTE[char] for char in chars) + b" " * (chars != self.tokens[number])

    def _merge(self, word: str) -> list[int]:
        """The ids of a word: the pair of the lowest rank is merged until none is left."""
        pieces = [_BYTE_TO_CHAR[byte] for byte in word.encode()]
        pieces[-1] += WORD_END
        none = len(self.merges)
        while (
            rank := min((self._ranks.get(pair, none) for pair in pairwise(pieces)), default=none)
        ) < none:
            left, right = self.merges[rank]
            merged = pieces[:1]
            for piece in pieces[1:]:  # every such pair of the word, from its start
                if piece == right and merged[-1] == left:
                    merged[-1] += piece
                else:
                    merged.append(piece)
            pieces = merged
        self._cache[word] = [self.ids[piece] for piece in pieces]
        return self._cache[word]


def _read_merges(folder: str | Path | None) -> tuple[str, Any]:
    """The text of merges.txt, and what vocab.json holds; without a folder the course's merges."""
    if not folder:
        packed = paths.data_path("clip", "merges.txt.bz2").read_bytes()
        return bz2.decompress(packed).decode(), None
    merges = (Path(folder) / "merges.txt").read_text("utf-8")
    return merges, json.loads((Path(folder) / "vocab.json").read_text("utf-8"))


def _split_words(prompt: str) -> Iterator[str]:
    """Words, single digits and runs of signs, in lower case; start and end tokens stay as typed."""
    for part in regex.split(f"({_SPECIAL})", prompt):
        # Character by character: str.lower on the whole text would treat a final sigma differently.
        text = "".join(map(str.lower, unicodedata.normalize("NFC", part)))
        for span in [part] if part in (START, END) else regex.findall(f"{_SPECIAL}|{_WORD}", text):
            # What becomes such a token only in lower case is three words.
            yield from [part] if part == span else regex.findall(_WORD, span)
