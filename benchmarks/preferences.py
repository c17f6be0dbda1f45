"""Is our DPO TRL's? Records the losses, margins and accuracy that tests/test_dpo_loss.py compares with.

    python -m benchmarks.preferences            # compares, and writes nothing
    python -m benchmarks.preferences --record   # and writes tests/data/trl_dpo.json

The log-probabilities of some answers' tokens are given; TRL's own trainer method makes the loss of them. TRL has label
smoothing in its loss "aot", which for one pair at a time is conservative DPO.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks.side_by_side import with_peers
from tl.losses import dpo_loss, dpo_rewards

RECORDED = Path(__file__).parent.parent / "tests" / "data" / "trl_dpo.json"
LENGTHS = [[3, 5, 1, 4], [2, 6, 4, 4]]  # tokens of the chosen and of the rejected answers
BETAS, SMOOTHINGS = (0.1, 0.5), (0.0, 0.1)


def trl_loss(
    logps: torch.Tensor, ref: torch.Tensor, lengths: list[int], loss: str, beta: float, smoothing: float
) -> tuple[float, dict[str, float]]:
    """(loss, metrics) of TRL's DPOTrainer for the log-probabilities [2P, T] of the answers' tokens and those [2P] of
    the reference's answers: first the chosen ones, then the rejected ones."""
    from trl import DPOTrainer

    mask = torch.arange(-1, logps.shape[1]) < torch.tensor(lengths)[:, None]
    mask[:, 0] = False  # the prompt
    chosen, rejected = ref.chunk(2)
    outputs = SimpleNamespace(log_probs=logps, entropy=0 * logps, mean_logits=0 * logps, is_top1=logps == 0)
    alone = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x, device="cpu")
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True), accelerator=alone, aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[loss], loss_weights=[1.0], beta=beta,
        label_smoothing=smoothing, use_weighting=False, _metrics={"train": defaultdict(list)}, _total_train_tokens=0,
        _tp_size=1,
    )  # fmt: skip
    inputs = {"input_ids": mask.long(), "attention_mask": mask.long(), "completion_mask": mask.long()}
    inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    value = DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    return value.item(), {name: values[-1] for name, values in trainer._metrics["train"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"write {RECORDED.name}")
    options = parser.parse_args()
    with_peers("benchmarks.preferences", trl="1.16.0")
    import trl

    generator = torch.Generator().manual_seed(0)
    lengths = [n for side in LENGTHS for n in side]
    valid = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    draws = [torch.rand(valid.shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    logps, ref = (torch.where(valid, (draw * -3).round(decimals=4), 0.0) for draw in draws)
    answers, reference = logps.sum(1), ref.sum(1)
    results, pairs = [], len(lengths) // 2
    for beta in BETAS:
        for smoothing in SMOOTHINGS:
            ours = dpo_loss(*answers.chunk(2), *reference.chunk(2), beta, smoothing).item()
            rewards = dpo_rewards(*answers.chunk(2), *reference.chunk(2), beta)
            _, metrics = trl_loss(logps, reference, lengths, "sigmoid", beta, 0.0)
            rows = [[i, i + pairs] for i in range(pairs)]
            each = [
                trl_loss(logps[row], reference[row], [lengths[i] for i in row], "aot", beta, smoothing)[0]
                for row in rows
            ]
            theirs = sum(each) / pairs
            if not smoothing:
                assert abs(theirs - trl_loss(logps, reference, lengths, "sigmoid", beta, 0.0)[0]) < 1e-9
            margin = metrics["rewards/margins"]
            print(f"β {beta}, ε {smoothing}: loss {theirs:.9f}, ours {ours - theirs:+.1e} off")
            assert abs((rewards[0] - rewards[1]).mean().item() - margin) < 1e-9
            kept = {"loss": theirs, "margin": margin, "accuracy": metrics["rewards/accuracies"]}
            results.append({"beta": beta, "label_smoothing": smoothing} | kept)
    if options.record:
        sides = dict(zip(("policy_chosen", "policy_rejected"), answers.view(2, -1).tolist(), strict=True))
        sides |= dict(zip(("ref_chosen", "ref_rejected"), reference.view(2, -1).tolist(), strict=True))
        made_with = f"TRL {trl.__version__}, torch {torch.__version__}, float64"
        RECORDED.write_text(json.dumps({"made_with": made_with} | sides | {"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
