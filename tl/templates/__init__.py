"""Prompt formats: how a conversation with tools is written for a model, and how its calls are parsed.

`table13` is the paper's; `chatml` and `llama3` are those of Qwen and Llama 3. `docs/templates.md`
compares them.
"""

import re
from typing import Literal

from tl.llama.tokenizer import Tokenizer
from tl.templates.chatml import QWEN_SYSTEM, ChatML
from tl.templates.llama3 import Llama3
from tl.templates.table13 import Table13
from tl.templates.template import Segment, Template

__all__ = ["TEMPLATE_HELP", "Segment", "Template", "TemplateName", "template_line", "template_of"]

TemplateName = Literal["auto", "table13", "chatml", "llama3"]
TEMPLATE_HELP = "prompt format; auto: the one saved with the model, otherwise inferred from its control tokens"

_OURS = re.compile(r"\{#- The prompt of tl/templates/(\w+)\.py ")  # how the chat templates that we save begin
_TOKENS = {"chatml": "<|im_start|>", "llama3": "<|start_header_id|>"}


def template_of(tokenizer: Tokenizer) -> Template:
    """The prompt format for this vocabulary. Raises TokenizerError if the vocabulary lacks a token of the format."""
    name = tokenizer.template if tokenizer.template != "auto" else _choose(tokenizer)[0]
    if name == "chatml":
        return ChatML(tokenizer, QWEN_SYSTEM if QWEN_SYSTEM in tokenizer.chat_template else None)
    return Llama3(tokenizer) if name == "llama3" else Table13(tokenizer)


def template_line(tokenizer: Tokenizer) -> str:
    """A line with the prompt format of a vocabulary and the reason for it."""
    name, why = (tokenizer.template, "--template") if tokenizer.template != "auto" else _choose(tokenizer)
    return f"prompt format       {name} ({why})"


def _choose(tokenizer: Tokenizer) -> tuple[str, str]:
    saved = _OURS.match(tokenizer.chat_template)
    if saved:
        return saved[1], "as saved with the model"
    for name, token in _TOKENS.items():
        if token in tokenizer.control_ids:
            return name, f"the vocabulary has {token}"
    why = f"the vocabulary has no {' and no '.join(_TOKENS.values())}"
    if tokenizer.chat_template:
        mark = " with [INST]" if "[INST]" in tokenizer.chat_template else ""
        why += f"; the checkpoint's chat template{mark} is not one of these and is not used"
    if tokenizer.path.suffix == ".model" and tokenizer.path.with_name("added_tokens.json").is_file():
        why += "; added_tokens.json is not read"
    return "table13", why
