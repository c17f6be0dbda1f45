"""The tokenizer: encodes one segment at a time, with the same ids for training and generation."""

import io
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import sentencepiece

from tl.llama.adapter import base_folder
from tl.llama.byte_level import ByteLevelVocabulary
from tl.llama.stored import read_json
from tl.llama.vocabulary import SentencePieceVocabulary, TokenizerError

__all__ = ["TOKENIZER_FILE", "TOKENIZER_JSON", "Tokenizer", "TokenizerError", "find_vocabulary", "train_vocabulary"]

TOKENIZER_FILE = "tokenizer.model"
TOKENIZER_JSON = "tokenizer.json"
SETTINGS_FILE = "tokenizer_config.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"


class Tokenizer:
    """A vocabulary and its encoding: sentencepiece (Llama 2), or byte-level.

    Text is encoded segment by segment, so that a token never crosses two roles and a span's ids are known without
    searching for them. These ids are trained, sampled and scored. With sentencepiece they equal those of the whole
    text when every segment but the first either starts with a newline or follows a single space that is left out of
    both (`"\nAssistant:"`, then `"search(x=1)"`, for the text `"\nAssistant: search(x=1)"`); a byte-level vocabulary
    may have a token across a boundary, such as `")` and a newline, which is then not used.

    Control tokens (`</s>`, `<|im_end|>`) have ids only: the same characters inside a text are encoded as plain text.

    Args:
        path: a `tokenizer.model` or `tokenizer.json`, or a checkpoint folder with one (the first, if both).
        template: the prompt format to write with it, see `tl.templates`.

    Raises:
        TokenizerError: no such file, not a vocabulary, or not one that keeps text as it is.
    """

    def __init__(self, path: str | os.PathLike, template: str = "auto") -> None:
        self.path = _find(Path(path))
        self.template = template
        kind = ByteLevelVocabulary if self.path.suffix == ".json" else SentencePieceVocabulary
        self.vocabulary: ByteLevelVocabulary | SentencePieceVocabulary = kind(self.path)
        self.vocab_size = self.vocabulary.vocab_size  # all ids are below it
        self.bos_id = self.vocabulary.bos_id  # -1 if texts begin without such a token
        self.eos_id = self.vocabulary.eos_id
        self.control_ids = self.vocabulary.control_ids  # of the tokens that no text is encoded to

    @cached_property
    def chat_template(self) -> str:
        """The chat template stored with the vocabulary for other programs; empty if there is none."""
        file, settings = self.path.with_name(CHAT_TEMPLATE_FILE), self.path.with_name(SETTINGS_FILE)
        if file.is_file():
            return file.read_text(encoding="utf-8")
        content = read_json(settings, TokenizerError) if settings.is_file() else {}
        template = content.get("chat_template") or ""
        if isinstance(template, list) and all(isinstance(t, dict) for t in template):  # of several by name
            template = next((t.get("template") for t in template if t.get("name") == "default"), "")
        if not isinstance(template, str):
            raise TokenizerError(f"{settings}: `chat_template` must be a text, not {template!r:.80}. Fetch it again")
        return template

    def start(self) -> list[int]:
        """The ids that every text begins with: `<s>`, or none if the vocabulary has no such token."""
        return [self.bos_id] if self.bos_id >= 0 else []

    def encode(self, segment: str) -> list[int]:
        """Ids of one segment, without bos and eos.

        With sentencepiece, a segment that starts with a newline is encoded as the continuation of what comes before
        it; any other one gets a dummy prefix, as if a space stood before it. A byte-level vocabulary adds nothing.

        Raises:
            ValueError: the text has half a surrogate pair, which no encoding of Unicode can hold.
        """
        try:
            return self.vocabulary.encode(segment)
        except (RuntimeError, TypeError, UnicodeEncodeError) as error:
            raise ValueError(f"text is not valid Unicode and cannot be encoded: {segment[:80]!a}") from error

    def decode(self, ids: list[int]) -> str:
        """The text of one segment: `decode(encode(s)) == normalise(s)`, except that `▁` (U+2581, sentencepiece's space
        mark) becomes a space.

        Control ids have no text. Ids past the vocabulary (a model may have more rows than there are pieces) read as
        an unknown piece, so that whatever a model samples can be shown.
        """
        return self.vocabulary.decode(ids)

    def continuation(self, ids: list[int]) -> str:
        """The text that these ids add to an earlier text: as `decode`, but a leading space is kept."""
        return self.decode([*self.encode("\n"), *ids])[1:]

    def normalise(self, text: str) -> str:
        """The text after encoding and decoding: unchanged, unless the vocabulary normalises it (Qwen's: NFC) or
        has no piece for one of its bytes (SmolLM2's: a few control characters)."""
        return self.vocabulary.normalise(text)

    def piece(self, id: int) -> str:
        """The vocabulary's spelling of an id, such as `▁search` or `Ġsearch`. IndexError for an id it does not have."""
        return self.vocabulary.piece(id)

    def bytes_of(self, id: int) -> bytes:
        """The part of a text, in UTF-8, that an id stands for; the spelling of a control token."""
        return self.vocabulary.bytes_of(id)


def find_vocabulary(folder: Path) -> Path | None:
    """The vocabulary's file in a checkpoint folder. For an adapter without one, that of its base model. A
    tokenizer.model of either comes before a tokenizer.json, which is then made from it."""
    files = (path / name for name in (TOKENIZER_FILE, TOKENIZER_JSON) for path in (folder, base_folder(folder)))
    return next(filter(Path.is_file, files), None)


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise TokenizerError(f"{path}: no such file or folder; expected a {TOKENIZER_FILE} or a {TOKENIZER_JSON}")
    if found := find_vocabulary(path):
        return found
    raise TokenizerError(
        f"{path}: no {TOKENIZER_FILE} and no {TOKENIZER_JSON} in this folder. Copy it from the original checkpoint"
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
        raise ValueError(f"cannot train a vocabulary of {size:,} pieces on these texts: {error}") from error
    Path(path).write_bytes(model.getvalue())
