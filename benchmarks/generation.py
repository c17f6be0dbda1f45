"""Greedy generation, side by side with the other ways of getting the same tokens.

    python -m benchmarks.generation            # all three comparisons; installs transformers into benchmarks/.venv
    python -m benchmarks.generation cache      # the KV cache, against a pass over the whole text for every token
    python -m benchmarks.generation turns      # an episode of 5 calls, against encoding the whole history at every turn
    python -m benchmarks.generation peer       # against transformers' generate

The weights are random, since the time does not depend on them, and no text ends early.
"""

import argparse

import torch

from benchmarks.models import MEDIUM, NEVER, SMALL, random_checkpoint, random_model, random_texts
from benchmarks.side_by_side import Comparison, compare, with_peers
from tl.llama import Llama, generate, load_model
from tl.llama.sampling import Sampler


@torch.no_grad()
def uncached(model: Llama, prompts: list[list[int]], new_tokens: int) -> list[list[int]]:
    """Greedy decoding that reads all texts anew for each token, without padding, and projects only their ends."""
    texts = [list(prompt) for prompt in prompts]
    for _ in range(new_tokens):
        lengths = torch.tensor([len(text) for text in texts])
        ids = torch.tensor([[i for text in texts for i in text]])
        last = model(ids, lengths=lengths.tolist(), return_hidden=True)[0, lengths.cumsum(0) - 1]
        for text, drawn in zip(texts, model.lm_head(last).argmax(-1).tolist(), strict=True):
            text.append(drawn)
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


def against_no_cache(rounds: int, batch: int = 16, new_tokens: int = 64) -> Comparison:
    model, prompts = random_model(SMALL), random_texts(SMALL, batch, 450, 550)
    return compare(
        lambda: generate(model, prompts, new_tokens, eos_id=NEVER, batch_size=batch),
        lambda: uncached(model, prompts, new_tokens),
        rounds,
    )


def against_rereading(rounds: int, turns: int = 5, documentation: int = 2000, new_tokens: int = 32) -> Comparison:
    """Both sides have a cache within a turn; ours keeps it over the turns, too."""
    model = random_model(MEDIUM)
    prompt = random_texts(MEDIUM, 1, documentation, documentation)[0]
    feedback = random_texts(MEDIUM, turns, 50, 50, seed=1)

    def episode(keep: bool) -> None:
        history, sampler = list(prompt), Sampler(model, 1, eos_id=NEVER)
        for turn in range(turns):
            sampler = sampler if keep else Sampler(model, 1, eos_id=NEVER)
            history += sampler.complete([history], new_tokens)[0].ids + feedback[turn]

    return compare(lambda: episode(True), lambda: episode(False), rounds)


def against_transformers(rounds: int, batch: int = 8, new_tokens: int = 64) -> Comparison:
    """On the same weights; also says how many of the tokens are the same."""
    from transformers import AutoModelForCausalLM

    prompts = random_texts(MEDIUM, batch, 200, 300)
    with random_checkpoint(MEDIUM) as folder:
        model = load_model(folder)
        peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    peer.generation_config.eos_token_id = None
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])

    def ours() -> list[list[int]]:
        return generate(model, prompts, new_tokens, eos_id=NEVER, batch_size=batch)

    def theirs() -> list[list[int]]:
        out = peer.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=new_tokens, pad_token_id=0)
        return out[:, longest:].tolist()

    same = sum(a == b for x, y in zip(ours(), theirs(), strict=True) for a, b in zip(x, y, strict=True))
    print(f"  {same} of {batch * new_tokens} tokens are the same as transformers'")
    return compare(ours, theirs, rounds)


WORK = {
    "cache": ("KV cache against none, small model, 16 x ~500 tokens, 64 new", against_no_cache),
    "turns": ("5 turns against reading the history again, 2,000 tokens of documentation", against_rereading),
    "peer": ("against transformers generate, 56 M, 8 x 200-300 tokens, 64 new", against_transformers),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", choices=[*WORK, "all"], default="all", help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements (default: %(default)s)")
    options = parser.parse_args()
    chosen = list(WORK) if options.work == "all" else [options.work]
    if "peer" in chosen:
        with_peers("benchmarks.generation", transformers="5.23.0")
    for name in chosen:
        what, work = WORK[name]
        print(f"{what} ({torch.get_num_threads()} threads)", flush=True)
        print(f"  {work(options.rounds)}", flush=True)


if __name__ == "__main__":
    main()
