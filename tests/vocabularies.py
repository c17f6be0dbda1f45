"""Small byte-level vocabularies, made with the library that reads them."""

import json
from pathlib import Path

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"]
TEXT = 'System: User: Assistant: Output: search_news(query="cats", limit=3)\nOutput: finish(answer="Größe 2026")\n'
KINDS = ("gpt2", "llama3", "qwen")


def make_vocabulary(folder: Path, kind: str, size: int = 330) -> Path:
    """A folder with tokenizer.json, tokenizer_config.json and a config.json that says no more than what ends a text.

    Kinds: "gpt2" splits as GPT-2 does and SmolLM2; "llama3" puts a token before every text and takes whole words
    without merging; "qwen" normalises to NFC and has a tag that is no special token.
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
        vocab_size=size - len(CONTROL) - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 20, trainer)
    tokenizer.add_special_tokens(CONTROL)
    if kind == "qwen":
        tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    if kind == "llama3":
        first = (CONTROL[0], tokenizer.token_to_id(CONTROL[0]))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{CONTROL[0]} $A", special_tokens=[first])
        tokenizer.model.ignore_merges = True
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": CONTROL[0], "eos_token": CONTROL[2]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ends = [tokenizer.token_to_id(piece) for piece in (CONTROL[2], CONTROL[0])]
    (folder / "config.json").write_text(json.dumps({"eos_token_id": ends}))
    return folder
