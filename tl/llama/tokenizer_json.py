"""A sentencepiece vocabulary as tokenizer.json, the format of Hugging Face's `tokenizers` library.

Written beside tokenizer.model because transformers 5 builds its tokenizer from the pieces alone when it finds no
tokenizer.json: it ignores their scores, and then splits indentation otherwise (Llama-2's runs of spaces have early ids
but the lowest scores), so that every prompt with a tool in it would be read as other ids than it was trained with.
"""

from typing import Any

import sentencepiece

from tl.llama.tokenizer import Tokenizer


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The contents of a tokenizer.json that gives the ids of sentencepiece for any text but one that spells a control
    token: `tokenizers` takes `</s>` in a text for the token, where sentencepiece and this project read its letters."""
    sp = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path))
    ids = range(sp.vocab_size())
    is_special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [id for id in ids if sp.is_control(id) or sp.is_unknown(id)]
    bos = sp.id_to_piece(sp.bos_id())
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": sp.id_to_piece(id), **is_special} for id in special],
        # Not the pre-tokenizer Metaspace, which leaves out the word mark where a text begins with a space.
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": bos, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": bos, "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {bos: {"id": bos, "ids": [sp.bos_id()], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "unk_token": sp.id_to_piece(sp.unk_id()),
            "byte_fallback": True,
            "fuse_unk": True,
            "vocab": {sp.id_to_piece(id): id for id in ids},
            "merges": merges_of({sp.id_to_piece(id): sp.get_score(id) for id in ids if id not in special}),
        },
    }


def merges_of(scores: dict[str, float]) -> list[list[str]]:
    """Every pair of pieces that makes another piece, the best first.

    sentencepiece merges whichever neighbours make the piece with the highest score; `tokenizers` goes by the order of
    this list. Pieces of one score (Llama-2's runs of spaces) are merged from the left: the longest left part first.
    """
    pairs = [
        (piece[:cut], piece[cut:])
        for piece in scores
        for cut in range(1, len(piece))
        if piece[:cut] in scores and piece[cut:] in scores
    ]
    pairs.sort(key=lambda pair: (-scores[pair[0] + pair[1]], -len(pair[0])))
    return [list(pair) for pair in pairs]
