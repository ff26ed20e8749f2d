"""CLIP's tokenizer: a prompt becomes 77 token ids.

Byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, section 3.2, as in CLIP, Radford et
al. (2021), arXiv:2103.00020, section 2.4: a word starts as its bytes, and the pair that was learned
first is merged first.
"""

import bz2
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import regex
import torch
from jaxtyping import Int64
from torch import Tensor

from course_lib.assets import paths
from course_lib.sd.tokenizer_files import AddedWord, TokenizerFiles, read_tokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_SPECIAL = r"<\|(?:start|end)oftext\|>"
_WORD = r"'(?:[stmd]|re|ve|ll)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
# Compiled, because the words of every prompt are split by them.
_WORDS = regex.compile(_WORD)
_SPANS = regex.compile(f"{_SPECIAL}|{_WORD}")
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
    the start token and the end token; then words that were added later, as by textual inversion
    (Gal et al., 2022, arXiv:2208.01618), each with a single id.

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
            vocab_size: the number of ids; below the default, the last merges are left out. With a
                folder, the most that it may have: the vectors of the text encoder.
            length: the number of ids that a prompt becomes, start and end included. With a folder,
                the most that it may say.
            folder: a published ``tokenizer/`` whose files replace the course's own merges.

        Raises:
            ValueError: if there are fewer merges, or the folder is not CLIP's tokenizer.
        """
        files = read_tokenizer(Path(folder)) if folder else _own_files(vocab_size)
        self.merges = files.merges
        chars = list(_BYTE_TO_CHAR.values())
        self.tokens = [
            *chars,
            *(char + WORD_END for char in chars),
            *map("".join, self.merges),
            START,
            END,
        ]
        self._byte_tokens = len(self.tokens)
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if files.vocab not in (None, self.ids) or len(self.ids) != len(self.tokens):
            raise ValueError(
                f"{folder}: its {len(files.vocab or {}):,} ids are not those that its "
                f"{len(self.merges):,} merges give. Give a folder with CLIP's own ids."
            )
        added = _check_added(files.added, self.ids, folder)
        self.tokens += [word.content for word in added]
        self.ids |= {word.content: word.number for word in added}
        right_size = vocab_size >= len(self.ids) if folder else vocab_size == len(self.ids)
        if not right_size or length < 3:
            raise ValueError(
                f"{vocab_size:,} ids, prompts of {length} ids, {folder or 'own merges'}: there are "
                f"{len(self.ids):,} ids. Give a vocab_size of 514 to 49,408, a length of at least "
                "3, and a folder with CLIP's own ids."
            )
        if files.length is not None and not 3 <= files.length <= length:
            raise ValueError(
                f"{folder}/tokenizer_config.json: model_max_length is {files.length}, but the text "
                f"encoder's max_position_embeddings is {length}. Use the files of one model."
            )
        self.length = files.length or length
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._split = _WordSplitter(added)
        self._cache = {token: [self.ids[token]] for token in (START, END)}
        self._cache |= {self._split.key(word): [word.number] for word in added}

    def tokenize(self, prompt: str) -> list[int]:
        """The ids of a whole prompt, without start and end; case and extra spaces are lost."""
        return [
            number
            for word in self._split(prompt)
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
        if number >= self._byte_tokens:
            return self.tokens[number].encode() + b" "
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


def _own_files(vocab_size: int) -> TokenizerFiles:
    """The course's own merges, the first ones."""
    packed = paths.data_path("clip", "merges.txt.bz2").read_bytes()
    lines = bz2.decompress(packed).decode().split("\n")[1 : max(vocab_size - 513, 1)]
    return TokenizerFiles([tuple(line.split(" ")) for line in lines if line])


def _check_added(
    added: Sequence[AddedWord], ids: dict[str, int], folder: str | Path | None
) -> list[AddedWord]:
    """The added words in the order of their ids, which must follow those of the merges."""
    new = sorted((word for word in added if word.content not in ids), key=lambda word: word.number)
    moved = [word for word in added if ids.get(word.content, word.number) != word.number]
    gaps = [word for number, word in enumerate(new, len(ids)) if word.number != number]
    if moved or gaps:
        word = (moved or gaps)[0]
        raise ValueError(
            f"{folder}: the added word {word.content!r} has the id {word.number:,}. CLIP's own ids "
            f"end at {len(ids) - 1:,}, and those of added words follow without a gap."
        )
    return new


class _WordSplitter:
    """Text to words, single digits, runs of signs, and the tokens that stay whole."""

    def __init__(self, added: Sequence[AddedWord]) -> None:
        exact = [regex.escape(word.content) for word in added if not word.any_case]
        self._whole = "|".join([_SPECIAL, *sorted(exact, key=len, reverse=True)])
        keys = sorted((self.key(word) for word in added if word.any_case), key=len, reverse=True)
        # Among words that begin at the same letter the longest one counts.
        self._added = "|".join(r"\s+".join(map(regex.escape, key.split(" "))) for key in keys)

    @staticmethod
    def key(word: AddedWord) -> str:
        """How the splitter returns an added word."""
        if not word.any_case:
            return word.content
        return regex.sub(r"\s+", " ", _normalise(word.content))

    def __call__(self, prompt: str) -> Iterator[str]:
        """In lower case, except for start and end tokens and exact words, which stay as typed."""
        for part in regex.split(f"({self._whole})", prompt):
            if regex.fullmatch(self._whole, part):
                yield part
            elif self._added:
                for piece in regex.split(f"({self._added})", _normalise(part)):
                    if regex.fullmatch(self._added, piece):
                        yield regex.sub(r"\s+", " ", piece)
                    else:
                        yield from _split_words(piece)
            else:
                yield from _split_words(_normalise(part))


def _normalise(text: str) -> str:
    # Character by character: str.lower on the whole text would treat a final sigma differently.
    return "".join(map(str.lower, unicodedata.normalize("NFC", text)))


def _split_words(text: str) -> Iterator[str]:
    for span in _SPANS.findall(text):
        # What becomes such a token only in lower case is three words.
        yield from _WORDS.findall(span)
