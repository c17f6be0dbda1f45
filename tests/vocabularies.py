"""Small byte-level vocabularies, made with the library that reads them."""

import json
from pathlib import Path

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"]
TEXT = 'System: User: Assistant: Output: search_news(query="cats", limit=3)\nOutput: finish(answer="Größe 2026")\n'
KINDS = ("gpt2", "llama3", "qwen")
LLAMA3_CONTROL = ["<|begin_of_text|>", "<|start_header_id|>", "<|eot_id|>", "<|end_header_id|>"]


def make_vocabulary(folder: Path, kind: str, size: int = 330, control: list[str] = CONTROL) -> Path:
    """A folder with tokenizer.json, tokenizer_config.json and a config.json that says no more than what ends a text.

    Kinds: "gpt2" splits as GPT-2 does and SmolLM2; "llama3" puts a token before every text and takes whole words
    without merging; "qwen" normalises to NFC and has tags that are no special tokens.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind != "gpt2":
        words = Regex(r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+\n*|\s*\n+|\s+(?!\S)|\s+")
        split = pre_tokenizers.Split(words, "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    if kind == "qwen":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(control) - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 20, trainer)
    tokenizer.add_special_tokens(control)
    if kind == "qwen":
        tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in ("<tool_call>", "</tool_call>")])
    if kind == "llama3":
        first = (control[0], tokenizer.token_to_id(control[0]))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{control[0]} $A", special_tokens=[first])
        tokenizer.model.ignore_merges = True
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": control[0], "eos_token": control[2]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ends = [tokenizer.token_to_id(piece) for piece in (control[2], control[0])]
    (folder / "config.json").write_text(json.dumps({"eos_token_id": ends}))
    return folder
