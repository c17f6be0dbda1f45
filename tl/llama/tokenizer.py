"""The Llama tokenizer: sentencepiece, segment by segment, so that training and generation get the same ids."""

import io
import os
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

TOKENIZER_FILE = "tokenizer.model"


class TokenizerError(ValueError):
    """A vocabulary that cannot be used; the message names the file, what is wrong and what to do."""


class Tokenizer:
    """A Llama-style sentencepiece vocabulary.

    Text is encoded segment by segment, so that a token never straddles two roles and a span's ids are known without
    looking for them. The ids of a text are those of its segments, one after the other, when every segment but the
    first either starts with a newline or follows a single space that is left out of both
    (`"\\nAssistant:"`, then `"search(x=1)"`, for the text `"\\nAssistant: search(x=1)"`).

    Control pieces (`<s>`, `</s>`) have ids only: the same characters inside a text are encoded as plain text.

    Args:
        path: a `tokenizer.model` file, or a checkpoint folder that holds one.

    Raises:
        TokenizerError: no such file, not a sentencepiece model, or not one that works as Llama's does.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = _find(Path(path))
        self._sp = _read(self.path)
        self.vocab_size: int = self._sp.vocab_size()
        self.bos_id: int = self._sp.bos_id()
        self.eos_id: int = self._sp.eos_id()
        _check(self)

    def encode(self, segment: str) -> list[int]:
        """Ids of one segment, without bos and eos.

        A segment that starts with a newline is encoded as the continuation of what comes before it; any other one
        gets sentencepiece's dummy prefix, as if a space stood before it.

        Raises:
            ValueError: the text has half a surrogate pair, which no encoding of Unicode can hold.
        """
        try:
            if segment.startswith("\n"):
                # Alone, "\n…" would begin with a stray "▁". The guard newline takes it, and both are cut off.
                return self._sp.encode("\n" + segment)[2:]
            return self._sp.encode(segment)
        except RuntimeError as error:
            raise ValueError(f"text is not valid Unicode and cannot be encoded: {segment[:80]!a}") from error

    def decode(self, ids: list[int]) -> str:
        """The text of one segment: `decode(encode(s)) == s`, except that `▁` (U+2581, the space mark) becomes a space.

        Control ids have no text. Ids past the vocabulary (a model may have more rows than there are pieces) read as
        the unknown piece, so that whatever a model samples can be shown.
        """
        unknown = self._sp.unk_id()
        return self._sp.decode([i if i < self.vocab_size else unknown for i in ids])

    def piece(self, id: int) -> str:
        """The vocabulary's spelling of an id, such as `▁search` or `<0x0A>`. IndexError for an id it does not have."""
        return self._sp.id_to_piece(id)


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise TokenizerError(f"{path}: no such file or folder; expected a sentencepiece {TOKENIZER_FILE}")
    if (path / TOKENIZER_FILE).is_file():
        return path / TOKENIZER_FILE
    there = (path / "tokenizer.json").is_file()
    hint = "; tokenizer.json, which is there, is another format and cannot be read" if there else ""
    raise TokenizerError(f"{path}: no {TOKENIZER_FILE} in this folder{hint}. Copy it from the original checkpoint")


def _read(path: Path) -> sentencepiece.SentencePieceProcessor:
    content = path.read_bytes()
    problem = f"{path}: not a sentencepiece model ({len(content):,} bytes); the file may be damaged or half downloaded"
    if not content:
        raise TokenizerError(problem)
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise TokenizerError(problem) from error


def _check(tokenizer: Tokenizer) -> None:
    """Refuse a vocabulary for which segment-wise encoding would not be exact, or that cannot end a text."""
    for name, id in (("bos", tokenizer.bos_id), ("eos", tokenizer.eos_id)):
        if id < 0:
            raise TokenizerError(f"{tokenizer.path}: the vocabulary has no {name} piece; a Llama vocabulary is needed")
    probe = "\n  a\tb  \u00e9 \n\n"
    first = [tokenizer.piece(id) for id in tokenizer.encode(probe)[:1]]
    if first != ["<0x0A>"] or tokenizer.decode(tokenizer.encode(probe)) != probe:
        raise TokenizerError(
            f"{tokenizer.path}: does not keep text as it is (newlines as the byte piece <0x0A>, white space and "
            "accents unchanged, a dummy prefix); a Llama vocabulary is needed"
        )


def train_vocabulary(texts: Iterable[str], path: str | os.PathLike, size: int) -> None:
    """Train a vocabulary of `size` pieces with Llama's settings and write it to `path`.

    Byte-pair encoding with byte fallback, single digits, no normalisation. The same texts give the same file.

    Raises:
        ValueError: `size` is too small for the characters of the texts, or more than the texts can fill.
    """
    # Newlines are kept out of training: then they stay byte pieces, and no piece spans two lines.
    lines = (line for text in texts for line in text.split("\n") if line)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines,
            model_writer=model,
            model_type="bpe",
            vocab_size=size,
            character_coverage=0.99995,
            byte_fallback=True,
            split_digits=True,
            allow_whitespace_only_pieces=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=True,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            max_sentence_length=1 << 20,  # bytes; a longer line would be left out without a word
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"no vocabulary of {size:,} pieces can be made from these texts: {error}") from error
    Path(path).write_bytes(model.getvalue())
