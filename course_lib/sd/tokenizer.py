"""CLIP's tokenizer: a sentence becomes 77 numbers, one for each piece of a word that the text
encoder knows.

Byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, section 3.2, for CLIP, Radford et al.
(2021), arXiv:2103.00020, section 2.4: a word starts as its bytes; the pair that was learned first
is joined first.
"""

import bz2
import json
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import regex
import torch
from jaxtyping import Int64
from torch import Tensor

from course_lib.assets import paths

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_SPECIAL = r"<\|(?:start|end)oftext\|>"
_WORD = r"'(?:[stmd]|re|ve|ll)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
# Lists of merges are text, so bytes that do not print are written as U+0100 and on. The order is
# that of the ids.
_PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
_LETTERS = {byte: chr(byte) for byte in _PRINTED}
_LETTERS |= {byte: chr(256 + n) for n, byte in enumerate(sorted(set(range(256)) - set(_PRINTED)))}
_BYTES = {letter: byte for byte, letter in _LETTERS.items()}


class Tokenizer:
    """Text to ids and back. Ids: 256 bytes, the same at a word's end, one for each merge, start and
    end of a text.
    """

    def __init__(
        self, vocab_size: int = 49_408, length: int = 77, folder: str | Path | None = None
    ) -> None:
        """
        Args:
            vocab_size: how many ids there are; with fewer than the default's, the last merges are
                left out.
            length: how many ids a prompt becomes, start and end included.
            folder: a published ``tokenizer/`` whose ``merges.txt`` and ``vocab.json`` replace the
                course's own file.

        Raises:
            ValueError: if there are not that many merges, or the folder's files are not those of
                CLIP's tokenizer.
        """
        try:
            packed = None if folder else paths.data("clip", "merges.txt.bz2").read_bytes()
            text = (
                bz2.decompress(packed).decode()
                if packed
                else (Path(folder) / "merges.txt").read_text("utf-8")
            )
            given = json.loads((Path(folder) / "vocab.json").read_text("utf-8")) if folder else None
        except (OSError, ValueError) as error:
            raise ValueError(
                f"A tokenizer's folder holds merges.txt and vocab.json. Here: {error}."
            ) from error
        lines = text.split("\n")[1 : max(vocab_size - 513, 1)]  # line 0 is a heading
        self._merges = [tuple(line.split(" ")) for line in lines if line]
        letters = list(_LETTERS.values())
        self.tokens = [
            *letters,
            *(letter + WORD_END for letter in letters),
            *map("".join, self._merges),
            START,
            END,
        ]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self.ids) != vocab_size or length < 3 or given not in (None, self.ids):
            raise ValueError(
                f"{vocab_size:,} ids, {length} a prompt, {folder or 'own merges'}: there are {len(self.ids):,} ids. "
                "Give a vocab_size of 514 to 49,408, a length of at least 3, and a folder of CLIP's own ids."
            )
        self.length = length
        self._ranks = {pair: rank for rank, pair in enumerate(self._merges)}
        self._known = {START: [self.ids[START]], END: [self.ids[END]]}  # the words seen so far

    def tokenize(self, prompt: str) -> list[int]:
        """The ids of a whole prompt, without start and end. Upper case and the number of spaces are
        lost.
        """
        return [
            number
            for word in _words(prompt)
            for number in self._known.get(word) or self._join(word)
        ]

    def encode(
        self, prompts: str | Sequence[str]
    ) -> tuple[Int64[Tensor, "batch length"], list[int]]:
        """What the text encoder takes, start, ids and end, filled up with ends; and how many ids of
        each were cut.
        """
        found = [
            self.tokenize(prompt) for prompt in ([prompts] if isinstance(prompts, str) else prompts)
        ]
        rows = torch.full((len(found), self.length), self.ids[END])
        rows[:, 0] = self.ids[START]
        for row, ids in zip(rows, found, strict=True):
            row[1:-1][: len(ids)] = torch.tensor(ids[: self.length - 2])
        return rows, [max(len(ids) - (self.length - 2), 0) for ids in found]

    def pieces(self, ids: Sequence[int] | Int64[Tensor, " ids"]) -> list[str]:
        """The text of each id. A word's end is a space; a part of a character is U+FFFD."""
        return [self._text(int(number)).decode(errors="replace") for number in ids]

    def decode(self, ids: Sequence[int] | Int64[Tensor, " ids"]) -> str:
        """The text of all ids together, without start and end."""
        inner = (int(number) for number in ids if self.tokens[int(number)] not in (START, END))
        return b"".join(map(self._text, inner)).decode(errors="replace").strip()

    def _text(self, number: int) -> bytes:
        letters = self.tokens[number].removesuffix(WORD_END)
        return bytes(map(_BYTES.get, letters)) + b" " * (letters != self.tokens[number])

    def _join(self, word: str) -> list[int]:
        pieces = [_LETTERS[byte] for byte in word.encode()]
        pieces[-1] += WORD_END
        none = len(self._merges)
        while (
            first := min((self._ranks.get(pair, none) for pair in pairwise(pieces)), default=none)
        ) < none:
            (left, right), joined = self._merges[first], pieces[:1]
            for piece in pieces[1:]:  # every such pair of the word, from its start
                if piece == right and joined[-1] == left:
                    joined[-1] += piece
                else:
                    joined.append(piece)
            pieces = joined
        self._known[word] = [self.ids[piece] for piece in pieces]
        return self._known[word]


def _words(prompt: str) -> Iterator[str]:
    """Words, single digits and runs of signs, in lower case; start and end tokens stay what they
    are.
    """
    for part in regex.split(f"({_SPECIAL})", prompt):
        # Letter by letter: str.lower of all of it would write a Greek word's last sigma in another
        # way.
        text = "".join(map(str.lower, unicodedata.normalize("NFC", part)))
        for span in [part] if part in (START, END) else regex.findall(f"{_SPECIAL}|{_WORD}", text):
            # What is such a token in lower case only is three words.
            yield from [part] if part == span else regex.findall(_WORD, span)
