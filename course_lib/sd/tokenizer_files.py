"""Reads a published ``tokenizer/``: merges, ids, added words and settings.

transformers writes ``merges.txt`` and ``vocab.json`` up to version 4, and ``tokenizer.json`` from
version 5 on: https://huggingface.co/docs/tokenizers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_START, _END = "<|startoftext|>", "<|endoftext|>"
# Settings, and the values that they have in Stable Diffusion 1.x.
_FIXED = {
    "add_prefix_space": False,
    "bos_token": _START,
    "do_lower_case": True,
    "eos_token": _END,
    "pad_token": _END,
}
_FIXED_MODEL = {
    "byte_fallback": (False, None),
    "continuing_subword_prefix": ("", None),
    "dropout": (None, 0),
    "end_of_word_suffix": ("</w>",),
    "ignore_merges": (False, None),
    "type": ("BPE", None),
}
_NORMALIZERS = ["NFC", "Replace", "Lowercase"]
# From this value on, transformers' model_max_length means "unknown".
_NO_LENGTH = 10**9


@dataclass(frozen=True)
class AddedWord:
    """An added token (transformers: ``AddedToken``).

    ``case_insensitive``: whether the prompt is lower-cased before matching, the default in
    transformers.
    """

    content: str
    token_id: int
    case_insensitive: bool = True


@dataclass(frozen=True)
class TokenizerFiles:
    """The contents of a tokenizer's files.

    Attributes:
        merges: the pairs of tokens, by rank.
        vocab: the id of each token, without the added words; None if there is no such table.
        added: the added words; may include start and end token.
        length: ``model_max_length``; None if it is unknown.
    """

    merges: list[tuple[str, ...]]
    vocab: dict[str, int] | None = None
    added: tuple[AddedWord, ...] = ()
    length: int | None = None


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """The files of a published tokenizer.

    Raises:
        ValueError: if files are missing or damaged, or a setting differs from CLIP's tokenizer;
            the message names file and setting, or the folder if a value has the wrong type.
    """
    try:
        return _read_files(folder)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(
            f"{folder} is not CLIP's tokenizer: a value has the wrong type. Download the "
            f"tokenizer's files again. ({error!r})"
        ) from error


def _read_files(folder: Path) -> TokenizerFiles:
    single_file = folder / "tokenizer.json"
    added: dict[str, AddedWord] = {}
    try:
        if (folder / "merges.txt").is_file() or not single_file.is_file():
            lines = (folder / "merges.txt").read_text("utf-8-sig").split("\n")[1:]
            merges = [tuple(line.split(" ")) for line in lines if line]
            vocab = _load(folder / "vocab.json")
        else:
            merges, vocab = _read_model(single_file)
    except OSError as error:
        raise ValueError(
            f"{folder}: a tokenizer's folder holds merges.txt and vocab.json, or tokenizer.json. "
            f"Download the missing files. ({error})"
        ) from error
    if single_file.is_file():
        _collect(added, single_file, _load(single_file).get("added_tokens") or [])
    settings = _read_settings(folder)
    decoder = settings.get("added_tokens_decoder") or {}
    if isinstance(decoder, dict):
        entries = [{"id": token_id, **entry} for token_id, entry in decoder.items()]
        _collect(added, folder / "tokenizer_config.json", entries)
    if (folder / "added_tokens.json").is_file():
        words = _load(folder / "added_tokens.json")
        entries = [{"id": token_id, "content": word} for word, token_id in words.items()]
        _collect(added, folder / "added_tokens.json", entries)
    return TokenizerFiles(merges, vocab, tuple(added.values()), settings.get("model_max_length"))


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except (RecursionError, ValueError) as error:
        raise ValueError(
            f"{file} is not valid JSON: download the tokenizer's files again. ({error})"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} should hold a dictionary: download the tokenizer's files again.")
    return content


def _read_model(file: Path) -> tuple[list[tuple[str, ...]], dict[str, int]]:
    """Merges and vocabulary of a ``tokenizer.json``."""
    content = _load(file)
    model = content["model"]
    for key, allowed in _FIXED_MODEL.items():
        if model.get(key) not in allowed:
            _reject(file, f"model.{key}", model.get(key), allowed[0])
    parts = [part["type"] for part in content["normalizer"].get("normalizers", [])]
    if parts != _NORMALIZERS:
        _reject(file, "normalizer", parts, _NORMALIZERS)
    # A merge is a string with a space up to version 0.19 of tokenizers, a list from 0.20 on.
    merges = [
        tuple(merge.split(" ") if isinstance(merge, str) else map(str, merge))
        for merge in model["merges"]
    ]
    return merges, model["vocab"] | {}  # a TypeError if it is not a dictionary


def _read_settings(folder: Path) -> dict[str, Any]:
    """``tokenizer_config.json`` and ``special_tokens_map.json``, checked."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = folder / name
        if not file.is_file():
            continue
        content = _load(file)
        for key, expected in _FIXED.items():
            value = content.get(key, expected)
            value = value.get("content") if isinstance(value, dict) else value
            if value != expected:
                _reject(file, key, value, expected)
        settings |= content
        length = settings.get("model_max_length")
        if isinstance(length, int | float) and length >= _NO_LENGTH:
            settings["model_max_length"] = None
        elif length is not None and type(length) is not int:
            _reject(file, "model_max_length", length, 77)
    return settings


def _collect(added: dict[str, AddedWord], file: Path, entries: list[Any]) -> None:
    """Check added words, and add the new ones to ``added``."""
    for entry in entries:
        try:
            content, token_id = entry["content"], int(entry["id"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file}: an added word without content or id: {error!r}.") from error
        if not isinstance(content, str) or not content.strip():
            _reject(file, "content of an added word", content, "<word>")
        if content in (_START, _END):
            added.setdefault(content, AddedWord(content, token_id, False))
            continue
        for key in ("lstrip", "rstrip", "single_word"):
            if entry.get(key):
                _reject(file, f"{key} of the added word {content!r}", entry[key], False)
        known = added.setdefault(
            content, AddedWord(content, token_id, bool(entry.get("normalized", True)))
        )
        if known.token_id != token_id:
            raise ValueError(
                f"{file}: {content!r} has the id {token_id}, elsewhere {known.token_id}. Use the "
                "files of one model."
            )


def _reject(file: Path, key: str, value: Any, expected: Any) -> None:
    raise ValueError(
        f"{file} is not the tokenizer of Stable Diffusion 1.x: {key} is {str(value)[:100]!r}, "
        f"expected {str(expected)!r}."
    )
