"""PPO's rollouts in a run's folder: figures for metrics.jsonl, and the rollouts as text."""

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tl.irm import RewardCase
from tl.llama.tokenizer import Tokenizer
from tl.rl.steps import Experience
from tl.rollout.dialogue import StopReason
from tl.training.run import ROLLOUTS, ROLLOUTS_FILE


def rollout_metrics(rollouts: Sequence[Experience | None]) -> dict[str, float]:
    """The figures of a step's rollouts; empty if all are None, which stands for one in which the executor failed.

    * ``reward`` (without KL) and ``response_length`` (actions), means over the rollouts
    * ``case/…``: the share of each case among the calls that have one
    * ``stop/…``: the share of each reason for which a rollout ended
    * ``right_answers``: the share of the episodes that end in a right answer, if there are episodes
    * ``generation_seconds`` and ``tool_seconds``, sums
    """
    experiences = [experience for experience in rollouts if experience is not None]
    if not experiences:
        return {}
    cases = Counter(call.case for experience in experiences for call in experience.calls if call.case is not None)
    stops = Counter(experience.stop if experience else StopReason.EXECUTOR for experience in rollouts)
    judged = [e.right for e in experiences if e.right is not None]
    return {
        "reward": sum(sum(e.rewards) for e in experiences) / len(experiences),
        "response_length": sum(len(e.actions) for e in experiences) / len(experiences),
        **{f"case/{case.name.lower()}": cases[case] / max(cases.total(), 1) for case in RewardCase},
        **{f"stop/{why.value}": stops[why] / len(rollouts) for why in StopReason if why is not StopReason.POLICY},
        **({"right_answers": sum(judged) / len(judged)} if judged else {}),
        "generation_seconds": sum(e.generation_seconds for e in experiences),
        "tool_seconds": sum(e.tool_seconds for e in experiences),
    }


def log_rollouts(out: Path, step: int, experiences: Sequence[Experience], tokenizer: Tokenizer) -> None:
    """Writes some rollouts of a step to a text file for people, and appends them to ROLLOUTS_FILE, a line each, for
    programs. A resumed run may do a step again and then appends its rollouts again: the later lines count. Where they
    cannot be written, a warning says so."""
    records = [{"step": step} | rollout_record(experience, tokenizer) for experience in experiences]
    texts = [rollout_text(experience, tokenizer) for experience in experiences]
    try:
        (out / ROLLOUTS).mkdir(exist_ok=True)
        (out / ROLLOUTS / f"step-{step:08}.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        with (out / ROLLOUTS_FILE).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    except OSError as error:
        warnings.warn(f"could not log rollouts: {error}", stacklevel=2)


def rollout_record(experience: Experience, tokenizer: Tokenizer) -> dict:
    """The prompt, and each call with its reward, case, golden call and feedback, which may be None."""
    calls = [asdict(call) | {"case": call.case and call.case.value} for call in experience.calls]
    prompt = tokenizer.decode(experience.ids[: experience.positions[0] + 1])
    return {"id": experience.id, "prompt": prompt, "calls": calls}


def rollout_text(experience: Experience, tokenizer: Tokenizer) -> str:
    """The prompt, then each call with its reward, case, golden call and feedback."""
    prompt = tokenizer.decode(experience.ids[: experience.positions[0] + 1])
    lines = [f"==== {experience.id}", prompt]
    for call in experience.calls:
        lines.append(f" {call.text}")
        lines.append(f"---- reward {call.reward:+.2f}" + (f", {call.case.value}" if call.case else ""))
        if call.golden is not None:
            lines.append(f"---- golden {call.golden}")
        if call.feedback is not None:
            lines.append(f"Output: {call.feedback}")
    return "\n".join(lines)
