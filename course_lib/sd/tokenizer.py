"""CLIP's tokenizer: a prompt becomes 77 token ids.

Byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, section 3.2, as in CLIP, Radford et
al. (2021), arXiv:2103.00020, section 2.4: a word starts as its bytes, and the adjacent pair of the
lowest rank is merged first.
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
# Compiled, because they split every prompt.
_WORDS = regex.compile(_WORD)
_SPANS = regex.compile(f"{_SPECIAL}|{_WORD}")
# Merges are stored as text: non-printable bytes are written as U+0100 and up. The order of the
# characters is the order of their ids.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_BYTE_TO_CHAR = {byte: chr(byte) for byte in _PRINTABLE}
_BYTE_TO_CHAR |= {
    byte: chr(256 + n) for n, byte in enumerate(sorted(set(range(256)) - set(_PRINTABLE)))
}
_CHAR_TO_BYTE = {char: byte for byte, char in _BYTE_TO_CHAR.items()}


class Tokenizer:
    """Text to token ids and back.

    The ids are, in this order: the 256 bytes, the 256 bytes at the end of a word, one id per merge,
    the start token and the end token; then added words, such as those of textual inversion (Gal et
    al., 2022, arXiv:2208.01618), one id each.

    Attributes:
        tokens: the token of each id.
        ids: the id of each token.
        length: the context length: the number of ids per prompt, with start and end token.
        merges: the pairs of tokens that are merged, by rank.
    """

    def __init__(
        self, vocab_size: int = 49_408, length: int = 77, folder: str | Path | None = None
    ) -> None:
        """
        Args:
            vocab_size: the number of ids; below the default, the last merges are left out. With
                ``folder``, the upper limit: the number of token embeddings of the text encoder.
            length: the context length, with start and end token. With ``folder``, the upper limit
                of its ``model_max_length``.
            folder: a published ``tokenizer/`` that replaces the bundled CLIP merges.

        Raises:
            ValueError: if ``vocab_size`` or ``length`` is out of range, or the folder does not hold
                CLIP's tokenizer.
        """
        files = read_tokenizer(Path(folder)) if folder else _bundled_files(vocab_size)
        self.merges = files.merges
        chars = list(_BYTE_TO_CHAR.values())
        self.tokens = [
            *chars,
            *(char + WORD_END for char in chars),
            *map("".join, self.merges),
            START,
            END,
        ]
        self._first_added_id = len(self.tokens)
        self.ids = {token: token_id for token_id, token in enumerate(self.tokens)}
        if files.vocab not in (None, self.ids) or len(self.ids) != len(self.tokens):
            raise ValueError(
                f"{folder}: vocabulary and merges do not match ({len(files.vocab or {}):,} ids, "
                f"{len(self.merges):,} merges). Use the files of one model."
            )
        added = _check_added(files.added, self.ids, folder)
        self.tokens += [word.content for word in added]
        self.ids |= {word.content: word.token_id for word in added}
        if length < 3:
            raise ValueError(f"length is {length}: give at least 3.")
        if folder and vocab_size < len(self.ids):
            raise ValueError(
                f"{folder}: there are {len(self.ids):,} ids, but the text encoder's vocab_size is "
                f"{vocab_size:,}. Use the files of one model."
            )
        if not folder and vocab_size != len(self.ids):
            raise ValueError(f"vocab_size is {vocab_size:,}: give 514 to 49,408.")
        if files.length is not None and not 3 <= files.length <= length:
            raise ValueError(
                f"{folder}/tokenizer_config.json: model_max_length is {files.length}, but the text "
                f"encoder's max_position_embeddings is {length}. Use the files of one model."
            )
        self.length = files.length or length
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._split = _WordSplitter(added)
        self._cache = {token: [self.ids[token]] for token in (START, END)}
        self._cache |= {self._split.key(word): [word.token_id] for word in added}

    def tokenize(self, prompt: str) -> list[int]:
        """The ids of the lower-cased prompt, not truncated, without start and end token."""
        return [
            token_id
            for word in self._split(prompt)
            for token_id in self._cache.get(word) or self._bpe(word)
        ]

    def encode(
        self, prompts: str | Sequence[str]
    ) -> tuple[Int64[Tensor, "batch length"], list[int]]:
        """The text encoder's input, and for each prompt the number of truncated ids.

        A row is the start token, the ids, and end tokens as padding up to ``length``.
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
        """The text of each id. The end of a word is a space; an incomplete character is U+FFFD."""
        return [self._bytes(int(token_id)).decode(errors="replace") for token_id in ids]

    def decode(self, ids: Sequence[int] | Int64[Tensor, " ids"]) -> str:
        """The text of all ids together, without start and end token."""
        inner = (int(n) for n in ids if self.tokens[int(n)] not in (START, END))
        return b"".join(map(self._bytes, inner)).decode(errors="replace").strip()

    def _bytes(self, token_id: int) -> bytes:
        token = self.tokens[token_id]
        if token_id >= self._first_added_id:
            return token.encode() + b" "
        chars = token.removesuffix(WORD_END)
        return bytes(_CHAR_TO_BYTE[char] for char in chars) + b" " * (chars != token)

    def _bpe(self, word: str) -> list[int]:
        """The ids of a word: merge the pair of the lowest rank until no adjacent pair has one."""
        pieces = [_BYTE_TO_CHAR[byte] for byte in word.encode()]
        pieces[-1] += WORD_END
        no_rank = len(self.merges)
        while (
            rank := min(
                (self._ranks.get(pair, no_rank) for pair in pairwise(pieces)), default=no_rank
            )
        ) < no_rank:
            left, right = self.merges[rank]
            merged = pieces[:1]
            for piece in pieces[1:]:  # all occurrences, left to right
                if piece == right and merged[-1] == left:
                    merged[-1] += piece
                else:
                    merged.append(piece)
            pieces = merged
        self._cache[word] = [self.ids[piece] for piece in pieces]
        return self._cache[word]


def _bundled_files(vocab_size: int) -> TokenizerFiles:
    """The first of the bundled CLIP merges."""
    packed = paths.data_path("clip", "merges.txt.bz2").read_bytes()
    # 512 byte tokens and 2 special tokens have no merge; line 0 is a header.
    lines = bz2.decompress(packed).decode().split("\n")[1 : max(vocab_size - 513, 1)]
    return TokenizerFiles([tuple(line.split(" ")) for line in lines if line])


def _check_added(
    added: Sequence[AddedWord], ids: dict[str, int], folder: str | Path | None
) -> list[AddedWord]:
    """The added words by id; their ids must directly follow CLIP's own."""
    new = sorted((w for w in added if w.content not in ids), key=lambda word: word.token_id)
    moved = [word for word in added if ids.get(word.content, word.token_id) != word.token_id]
    gaps = [word for token_id, word in enumerate(new, len(ids)) if word.token_id != token_id]
    if moved or gaps:
        word = (moved or gaps)[0]
        raise ValueError(
            f"{folder}: the added word {word.content!r} has the id {word.token_id:,}. CLIP's own "
            f"ids end at {len(ids) - 1:,}; ids of added words must follow without a gap."
        )
    return new


class _WordSplitter:
    """Text to words, single digits, runs of punctuation and symbols, and special or added tokens,
    which are never split.
    """

    def __init__(self, added: Sequence[AddedWord]) -> None:
        exact = [regex.escape(word.content) for word in added if not word.case_insensitive]
        self._unsplit = "|".join([_SPECIAL, *sorted(exact, key=len, reverse=True)])
        keys = sorted((self.key(w) for w in added if w.case_insensitive), key=len, reverse=True)
        # Longest match first, among added words that match at the same position.
        self._added = "|".join(r"\s+".join(map(regex.escape, key.split(" "))) for key in keys)

    @staticmethod
    def key(word: AddedWord) -> str:
        """The form in which the splitter yields an added word."""
        if not word.case_insensitive:
            return word.content
        return regex.sub(r"\s+", " ", _normalise(word.content))

    def __call__(self, prompt: str) -> Iterator[str]:
        """Yield the pieces in lower case, except special tokens and case-sensitive added words."""
        for part in regex.split(f"({self._unsplit})", prompt):
            if regex.fullmatch(self._unsplit, part):
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
        # Special tokens match exactly: "<|StartOfText|>" is ordinary text, three pieces.
        yield from _WORDS.findall(span)
