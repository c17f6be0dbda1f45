"""Are our models those of transformers? Records the logits that tests/test_model_reference.py compares with.

    python -m benchmarks.families            # compares, and writes nothing
    python -m benchmarks.families --record   # and writes tests/data/llama_logits.json
    python -m benchmarks.families --model FOLDER   # compares logits and greedy text of a real model, on 30 requests

For each family of models, small and with weights that anyone can make (`fill`): transformers saves a model, ours reads
it and writes it back, transformers opens that. All three give the same logits.
"""

import argparse
import itertools
import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.side_by_side import with_peers
from tl.llama import Tokenizer, generate, load_model, save_model
from tl.prompt import encode_prompt
from tl.synthesis import synthesize

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "data" / "llama_logits.json"
TOKENS = [1, 11, 4, 11, 1, 5, 23, 24, 8, 6, 18, 13, 22, 14, 20, 9, 12, 29, 29, 12]
SMALL = {
    "model_type": "llama",
    "vocab_size": 31,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-05,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


def rope(theta: float, kind: str = "default", **scaling: float) -> dict:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **scaling}}


QWEN2 = {"model_type": "qwen2", "rms_norm_eps": 1e-06, "head_dim": None, **rope(1e6)}
QWEN3 = {"model_type": "qwen3", "rms_norm_eps": 1e-06, "head_dim": 16, **rope(1e6)}
CASES = {
    "CodeLLaMA: theta of a million, one key head for each query head": {"num_key_value_heads": 4, **rope(1e6)},
    "TinyLlama: grouped queries": rope(1e4),
    "head size other than hidden size by heads": {"head_dim": 12, **rope(1e4)},
    "linear scaling": rope(1e6, "linear", factor=4.0),
    "Llama 3.2: llama3 scaling, tied head": {"tie_word_embeddings": True, **rope(100.0, "llama3", **LLAMA3)},
    "SmolLM2: three key heads of nine, tied head": {
        "hidden_size": 36,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 4,
        "tie_word_embeddings": True,
        **rope(1e5),
    },
    "Mistral": {"model_type": "mistral", "sliding_window": None, **rope(1e6)},
    "Mistral, text within the window": {"model_type": "mistral", "sliding_window": 20, **rope(1e4)},
    "Qwen 2.5: bias on q, k, v": QWEN2,
    "Qwen 2.5, small: tied head": {"tie_word_embeddings": True, **QWEN2},
    "Qwen 3: norms on q and k": QWEN3,
    "Qwen 3, small: tied head": {"tie_word_embeddings": True, **QWEN3},
}


@torch.no_grad()
def fill(parameters: Iterable[tuple[str, Tensor]]) -> None:
    """Weights that anyone can make: a quadratic sequence modulo a prime, another for each parameter by sorted name."""
    for k, (_, parameter) in enumerate(sorted(parameters, key=lambda named: named[0])):
        i = torch.arange(parameter.numel())
        values = ((31 * i * i + 7919 * i + 104729 * k) % 2003) / 2003 - 0.5
        parameter.copy_(values.view(parameter.shape) * 0.5 + (parameter.dim() == 1))


@torch.no_grad()
def compare(config: dict) -> tuple[Tensor, float, float]:
    """transformers' logits, and by how much they differ from those of the model read, and of the one written back."""
    from transformers import AutoConfig, AutoModelForCausalLM

    ids = torch.tensor([TOKENS])
    eager = {"attn_implementation": "eager", "dtype": torch.float32}
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), **eager).eval()
    fill(theirs.named_parameters())
    logits = theirs(ids).logits[0]
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(f"{folder}/theirs")
        ours = load_model(f"{folder}/theirs")
        save_model(ours, f"{folder}/ours")
        again = AutoModelForCausalLM.from_pretrained(f"{folder}/ours", **eager).eval()
    assert type(again) is type(theirs)
    return logits, *(float((other - logits).abs().max()) for other in (ours(ids)[0], again(ids).logits[0]))


@torch.no_grad()
def compare_model(folder: str, count: int = 30, new_tokens: int = 40) -> str:
    """By how much the logits of a real model differ from transformers' on ``count`` requests, and its greedy texts."""
    from transformers import AutoModelForCausalLM

    ours, tokenizer = load_model(folder, dtype=torch.float32).eval(), Tokenizer(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    requests = [trajectory.messages[:1] for trajectory in itertools.islice(synthesize(), count)]
    prompts = [encode_prompt((), request, tokenizer) for request in requests]
    worst, same = 0.0, 0
    for prompt, drawn in zip(prompts, generate(ours, prompts, new_tokens), strict=True):
        ids = torch.tensor([prompt])
        worst = max(worst, float((ours(ids) - theirs(ids).logits).abs().max()))
        stops = [ours.config.eos_token_id, *ours.config.other_eos_token_ids]
        text = theirs.generate(
            ids, max_new_tokens=new_tokens, do_sample=False, eos_token_id=stops, pad_token_id=stops[0]
        )
        same += text[0, len(prompt) :].tolist() == drawn
    return (
        f"{count} requests: logits differ by {worst:.1e} at most, {same} greedy texts of {new_tokens} tokens are equal"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"write the recorded comparison to {RECORDED.name}")
    parser.add_argument("--model", metavar="FOLDER", help="compare on this checkpoint instead of random ones")
    options = parser.parse_args()
    with_peers("benchmarks.families", transformers="5.24.0")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    if options.model:
        return print(compare_model(options.model))
    cases = []
    for name, changes in CASES.items():
        config = {key: value for key, value in (SMALL | changes).items() if key != "head_dim" or value}
        logits, read, written = compare(config)
        print(f"{name:<66}read {read:.1e}   written back {written:.1e}")
        rounded = [[float(f"{x:.7g}") for x in row] for row in logits.tolist()]
        cases.append({"name": name, "config": config, "input_ids": TOKENS, "logits": rounded})
    if options.record:
        versions = f"transformers {transformers.__version__}, torch {torch.__version__}, float32, eager attention"
        RECORDED.write_text(dump({"made_with": versions, "cases": cases}))


def dump(content: dict) -> str:
    """JSON with a list of numbers on one line."""
    text = json.dumps(content, indent=1)
    return re.sub(r"\[\s+([-+.,e\d\s]+?)\s+\]", lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"


if __name__ == "__main__":
    main()
