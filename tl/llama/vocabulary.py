"""Sentencepiece vocabularies (Llama 2, Mistral), one of the two kinds that a `Tokenizer` can have."""

import re
from pathlib import Path

import sentencepiece

from tl.errors import UserError

PROBE = "\n  a\tb  \u00e9 \n\n"
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenizerError(UserError, ValueError):
    """A vocabulary that cannot be used; the message names the file, what is wrong and what to do."""


class SentencePieceVocabulary:
    """A `tokenizer.model` with Llama's settings: a dummy prefix, bytes for what has no piece, no normalisation."""

    adds_space = True  # `encode` treats a segment as if a space stood before it, unless it begins with a newline

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        problem = (
            f"{path}: not a sentencepiece model ({len(content):,} bytes); the file may be damaged or half downloaded"
        )
        if not content:
            raise TokenizerError(problem)
        try:
            self._sp = sentencepiece.SentencePieceProcessor(model_proto=content)
        except RuntimeError as error:
            raise TokenizerError(problem) from error
        self.vocab_size = self._sp.vocab_size()
        self.bos_id, self.eos_id = self._sp.bos_id(), self._sp.eos_id()
        self.control_ids = {self.piece(id): id for id in range(self.vocab_size) if self._sp.is_control(id)}
        for name, id in (("bos", self.bos_id), ("eos", self.eos_id)):
            if id < 0:
                raise TokenizerError(f"{path}: the vocabulary has no {name} piece; a Llama vocabulary is needed")
        first = [self.piece(id) for id in self.encode(PROBE)[:1]]
        if first != ["<0x0A>"] or self.decode(self.encode(PROBE)) != PROBE:
            raise TokenizerError(
                f"{path}: does not keep text as it is (newlines as the byte piece <0x0A>, white space and accents "
                "unchanged, a dummy prefix); a Llama vocabulary is needed"
            )

    def encode(self, segment: str) -> list[int]:
        if segment.startswith("\n"):
            # Alone, "\n…" would begin with a stray "▁". The guard newline takes it, and both are cut off.
            return self._sp.encode("\n" + segment)[2:]
        return self._sp.encode(segment)

    def decode(self, ids: list[int]) -> str:
        unknown = self._sp.unk_id()
        return self._sp.decode([i if i < self.vocab_size else unknown for i in ids])

    def piece(self, id: int) -> str:
        return self._sp.id_to_piece(id)

    def bytes_of(self, id: int) -> bytes:
        piece = self.piece(id)
        byte = _BYTE_PIECE.fullmatch(piece)
        return bytes.fromhex(byte[1]) if byte else piece.replace("▁", " ").encode()

    def normalise(self, text: str) -> str:
        return text
