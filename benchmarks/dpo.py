"""Is our DPO TRL's, and how long does a step take beside TRL's?

    python -m benchmarks.dpo            # compares both; installs TRL into benchmarks/.venv
    python -m benchmarks.dpo --record   # writes tests/data/trl_dpo.json, which tests/test_preferences.py compares with

The loss: for given log-probabilities of some answers' tokens, TRL's own trainer method makes the loss of them. TRL has
label smoothing in its loss "aot", which for one pair at a time is conservative DPO.

The step: forward, backward, clipping, AdamW on the embedded model in float32, 16 pairs of a golden call of the tool
library and an invented answer, the same tokens on both sides. TRL's has its collator, its fused head and its loss, with
the reference's log-probabilities computed before, and none of its trainer's bookkeeping. It reads a pair's history
twice; we read it once.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.side_by_side import compare, descend, with_peers
from tl.assets import TINY
from tl.calls import Call
from tl.datasets.preferences import Pair
from tl.llama import Llama, Tokenizer
from tl.losses import dpo_loss, dpo_rewards
from tl.prompt import EncodingOptions, Example
from tl.rl.dpo import DPOConfig, reference_logp, train_step
from tl.rl.preferences import TokenPair, encode_pair
from tl.rl.update import Learner
from tl.schema import FINISH
from tl.synthesis import prompts
from tl.training import distributed
from tl.training.optimizer import make_optimizer

RECORDED = Path(__file__).parent.parent / "tests" / "data" / "trl_dpo.json"
LENGTHS = [3, 5, 1, 4, 2, 6, 4, 4]  # tokens of four chosen and of four rejected answers
BETAS, SMOOTHINGS = (0.1, 0.5), (0.0, 0.1)
PAIRS = 16


def trl_loss(
    model: Callable[..., Any], inputs: dict[str, Any], loss: str, beta: float, smoothing: float
) -> tuple[torch.Tensor, dict[str, float]]:
    """(loss, metrics) of TRL's DPOTrainer for what its collator has made, by a trainer that is nothing but settings."""
    from trl import DPOTrainer

    alone = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x, device="cpu")
    metrics: dict[str, list[float]] = defaultdict(list)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True), accelerator=alone, aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[loss], loss_weights=[1.0], beta=beta,
        label_smoothing=smoothing, use_weighting=False, _metrics={"train": metrics}, _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip
    value = DPOTrainer._compute_loss(trainer, model, inputs, False)
    return value, {name: values[-1] for name, values in metrics.items()}


def given(logps: torch.Tensor, ref: torch.Tensor, lengths: list[int]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A model that says these log-probabilities [2P, T], and inputs with as many tokens a row; ref [2P]."""
    outputs = SimpleNamespace(log_probs=logps, entropy=0 * logps, mean_logits=0 * logps, is_top1=logps == 0)
    mask = (torch.arange(-1, logps.shape[1]) < torch.tensor(lengths)[:, None]).long()
    mask[:, 0] = 0  # the prompt
    chosen, rejected = ref.chunk(2)
    inputs = {"input_ids": mask, "attention_mask": mask, "completion_mask": mask}
    return lambda **_: outputs, inputs | {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}


def losses() -> dict[str, Any]:
    """Answers, and what TRL makes of them; ours is checked against it."""
    generator = torch.Generator().manual_seed(0)
    valid = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    draws = [torch.rand(valid.shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    logps, ref_logps = (torch.where(valid, (draw * -3).round(decimals=4), 0.0) for draw in draws)
    ref, pairs = ref_logps.sum(1), len(LENGTHS) // 2
    sides = (*logps.sum(1).chunk(2), *ref.chunk(2))
    results = []
    for beta, smoothing in [(beta, smoothing) for beta in BETAS for smoothing in SMOOTHINGS]:
        theirs = 0.0
        for row in ([i, i + pairs] for i in range(pairs)):
            one = given(logps[row], ref[row], [LENGTHS[i] for i in row])
            theirs += trl_loss(*one, "aot", beta, smoothing)[0].item() / pairs
        plain, metrics = trl_loss(*given(logps, ref, LENGTHS), "sigmoid", beta, 0.0)
        assert smoothing or abs(theirs - plain.item()) < 1e-9
        ours, rewards = dpo_loss(*sides, beta, smoothing).item(), dpo_rewards(*sides, beta)
        margin = metrics["rewards/margins"]
        print(f"β {beta}, ε {smoothing}: TRL's loss {theirs:.6f}, ours {ours - theirs:+.0e}; ", end="")
        print(f"margin {margin:.6f}, ours {(rewards[0] - rewards[1]).mean().item() - margin:+.0e}")
        kept = {"loss": theirs, "margin": margin, "accuracy": metrics["rewards/accuracies"]}
        results.append({"beta": beta, "label_smoothing": smoothing} | kept)
    names = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
    return {name: side.tolist() for name, side in zip(names, sides, strict=True)} | {"results": results}


# ---- a step

CONFIG = DPOConfig(learning_rate=1e-5, micro_tokens=4096, batch_size=PAIRS)


def token_pairs() -> list[TokenPair]:
    """Golden calls of the tool library over an invented answer."""
    invented, options = Call(FINISH.name, {"answer": "It is done: 42."}), EncodingOptions(False, False)
    questions = prompts(size=4 * PAIRS)[::4]
    sides = ((question.solved(), replace(question, answers=((invented,),)).solved()) for question in questions)
    made = [encode_pair(Pair(*pair), Tokenizer(TINY), options) for pair in sides]
    return [pair for pair in made if pair is not None]


def our_step(pairs: list[TokenPair], world: distributed.World) -> Callable[[], float]:
    """The product's own step on a model loaded as `python -m tl dpo` loads it."""
    model = distributed.load(Llama, TINY, world)
    reference = reference_logp(model, pairs, CONFIG.micro_tokens, world)
    policy = Learner(model, make_optimizer(model, CONFIG.learning_rate, CONFIG), CONFIG.max_grad_norm)
    return lambda: train_step(policy, pairs, reference, CONFIG, world)["loss"]


def their_step(pairs: list[TokenPair], world: distributed.World) -> Callable[[], float]:
    from transformers import AutoModelForCausalLM
    from trl.trainer.dpo_trainer import DataCollatorForPreference
    from trl.trainer.utils import add_fused_lm_head

    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32).train()
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    optimizer = torch.optim.AdamW(model.parameters(), CONFIG.learning_rate, (0.9, CONFIG.beta2), fused=True)
    start = distributed.load(Llama, TINY, world)
    rows = []
    for pair, logp in zip(pairs, reference_logp(start, pairs, CONFIG.micro_tokens, world), strict=True):
        prompt = pair.chosen.input_ids[: pair.history + 1].tolist()
        chosen, rejected = (answer(side, len(prompt)) for side in (pair.chosen, pair.rejected))
        refs = [part.sum().item() for part in logp.split([len(chosen), len(rejected)])]
        rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
        rows[-1] |= dict(zip(("ref_chosen_logps", "ref_rejected_logps"), refs, strict=True))
    inputs = DataCollatorForPreference(pad_token_id=0)(rows)

    def step() -> float:
        loss, _ = trl_loss(model, inputs, "sigmoid", CONFIG.beta, 0.0)
        return descend(loss, model, optimizer, CONFIG.max_grad_norm)

    return step


def answer(side: Example, prompt: int) -> list[int]:
    """The ids of an answer with the token that ends it."""
    return [*side.input_ids[prompt:].tolist(), int(side.targets[-1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"write {RECORDED.name}, and time nothing")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with_peers("benchmarks.dpo", trl="1.16.0")
    import trl

    values = losses()
    if options.record:
        made_with = f"TRL {trl.__version__}, torch {torch.__version__}, float64"
        RECORDED.write_text(json.dumps({"made_with": made_with} | values, indent=1) + "\n")
        return
    pairs = token_pairs()
    lengths = [len(side) for pair in pairs for side in (pair.chosen, pair.rejected)]
    print(f"DPO step, the embedded model, {len(pairs)} pairs ({torch.get_num_threads()} threads)")
    padded = max(lengths) * len(lengths)
    print(f"  tokens: ours {sum(map(len, pairs)):,}, other {sum(lengths):,}, with padding {padded:,}")
    with distributed.process_group() as world:
        steps = [make(pairs, world) for make in (our_step, their_step)]
        for _ in range(2):
            print("  loss: ours {:.6f}, other {:.6f}".format(*(step() for step in steps)), flush=True)
        print(f"  {compare(*steps, options.rounds, uncounted=0)}")


if __name__ == "__main__":
    main()
