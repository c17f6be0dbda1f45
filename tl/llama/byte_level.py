"""Byte-level vocabularies (Llama 3, Qwen, SmolLM2): a tokenizer.json, read by the optional package `tokenizers`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl.llama.adapter import base_folder
from tl.llama.stored import read_json
from tl.llama.vocabulary import PROBE, TokenizerError

if TYPE_CHECKING:
    import tokenizers

# A piece has a letter for each byte: its own where that can be seen, else one from U+0100 on.
_SEEN = {*range(33, 127), *range(161, 173), *range(174, 256)}
_HIDDEN = sorted(set(range(256)) - _SEEN)
_BYTES = {chr(byte): byte for byte in _SEEN} | {chr(256 + n): byte for n, byte in enumerate(_HIDDEN)}


class ByteLevelVocabulary:
    """A `tokenizer.json` of byte-pair encoding over bytes. The config.json beside it says which token ends a text."""

    adds_space = False

    def __init__(self, path: Path) -> None:
        content = read_json(path, TokenizerError)
        model = content.get("model") or {}
        if model.get("type") != "BPE" or not _mentions(content.get("decoder"), "ByteLevel"):
            raise TokenizerError(
                f"{path}: not a byte-level vocabulary, which Llama 3 and Qwen have. That of Llama 2 and Mistral is "
                "read from its tokenizer.model: copy it from the original checkpoint"
            )
        self._library = _library(path, content)
        added = {token["content"]: token for token in content.get("added_tokens") or ()}
        self.control_ids = {piece: token["id"] for piece, token in added.items()}
        self._silent = {token["id"] for token in added.values() if token["special"]}
        self._pieces = {id: piece for piece, id in (model["vocab"] | self.control_ids).items()}
        self.vocab_size = max(self._pieces) + 1
        self._lost = bytes(byte for letter, byte in _BYTES.items() if letter not in model["vocab"])
        self.bos_id, self.eos_id = self._start(path), self._end(path)
        changed = [piece for piece, id in self.control_ids.items() if id in self.encode(piece)]
        if changed or self.decode(self.encode(PROBE)) != self.normalise(PROBE):
            raise TokenizerError(
                f"{path}: does not keep {changed[0] if changed else 'white space'} in a text as it is; take the "
                "tokenizer.json of the original checkpoint"
            )

    def encode(self, segment: str) -> list[int]:
        return self._library.encode(segment, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        return b"".join(self.bytes_of(id) for id in ids if id not in self._silent).decode(errors="replace")

    def piece(self, id: int) -> str:
        if id not in self._pieces:
            raise IndexError(f"the vocabulary has no id {id}")
        return self._pieces[id]

    def bytes_of(self, id: int) -> bytes:
        piece = self._pieces.get(id, "\ufffd")
        if piece in self.control_ids or id not in self._pieces:
            return piece.encode()
        return bytes(_BYTES[letter] for letter in piece)

    def normalise(self, text: str) -> str:
        if self._library.normalizer is not None:
            text = self._library.normalizer.normalize_str(text)
        # A vocabulary may lack bytes of rare characters, as SmolLM2's does: the library leaves them out.
        return text.encode().translate(None, self._lost).decode(errors="replace") if self._lost else text

    def _start(self, path: Path) -> int:
        """The id that the file puts before every text; -1 if there is none."""
        ids = self._library.encode("").ids
        if len(ids) > 1:
            raise TokenizerError(
                f"{path}: adds {len(ids)} tokens to a text; a Llama tokenizer adds at most one, at the beginning"
            )
        return ids[0] if ids else -1

    def _end(self, path: Path) -> int:
        """The first token that the model's config.json names as the end of a text, or else the one of
        tokenizer_config.json."""
        model = base_folder(path.parent)  # an adapter's folder has no config.json
        files = (model / "config.json", model / "generation_config.json", path.with_name("tokenizer_config.json"))
        for file in files:
            content = read_json(file, TokenizerError) if file.is_file() else {}
            end = content.get("eos_token_id", content.get("eos_token"))
            end = end[0] if isinstance(end, list) and end else end
            end = end["content"] if isinstance(end, dict) else end
            id = self.control_ids.get(end) if isinstance(end, str) else end
            if isinstance(id, int) and id in self._pieces:
                return id
        raise TokenizerError(
            f"{path}: no config.json in the same folder names the token that ends a text (eos_token_id)"
        )


def _mentions(decoder: dict[str, Any] | None, kind: str) -> bool:
    parts = [decoder or {}, *(decoder or {}).get("decoders", ())]
    return any(part.get("type") == kind for part in parts)


def _library(path: Path, content: dict[str, Any]) -> "tokenizers.Tokenizer":
    """The library's tokenizer without the added tokens: it would find them within a text."""
    try:
        import tokenizers
    except ImportError as error:
        raise TokenizerError(f"{path}: reading it needs the package tokenizers: pip install tokenizers") from error
    bare: dict[str, Any] = {"added_tokens": [], "truncation": None, "padding": None}
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(content | bare))
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(f"{path}: not a tokenizer.json that the library reads: {error}") from error
