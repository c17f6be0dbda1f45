"""The prompt forms, each with a small vocabulary of the kind that it is for."""

from pathlib import Path

import pytest
from vocabularies import CONTROL, LLAMA3_CONTROL, make_vocabulary

from tl.llama import Tokenizer
from tl.templates import Template, template_of

FORMS = {  # -> kind of vocabulary (None: sentencepiece), its control tokens, the form that is asked for
    "table13": (None, [], "auto"),
    "table13, byte-level": ("gpt2", CONTROL, "table13"),
    "chatml": ("qwen", CONTROL, "auto"),
    "chatml, tags as text": ("gpt2", CONTROL, "auto"),
    "llama3": ("llama3", LLAMA3_CONTROL, "auto"),
}


def make_tokenizer(name: str, sentencepiece: Tokenizer, folder: Path) -> Tokenizer:
    kind, control, asked = FORMS[name]
    if kind is None:
        return sentencepiece
    pytest.importorskip("tokenizers", reason="needs the package that reads tokenizer.json")
    return Tokenizer(make_vocabulary(folder, kind, control=control), asked)


def make_form(name: str, sentencepiece: Tokenizer, folder: Path) -> Template:
    return template_of(make_tokenizer(name, sentencepiece, folder))
