"""Logs PPO's rollouts in the run's folder: metrics for metrics.jsonl, and the rollouts as text."""

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tl.irm import RewardCase
from tl.llama.tokenizer import Tokenizer
from tl.rl.calls import Experience
from tl.rollout.dialogue import StopReason
from tl.training.run import ROLLOUTS, ROLLOUTS_FILE


def case_key(case: RewardCase) -> str:
    """The key in metrics.jsonl of the share of a case among the calls of a step."""
    return f"case/{case.name.lower()}"


def rollout_metrics(rollouts: Sequence[Experience | None]) -> dict[str, float]:
    """Metrics of a step's rollouts. None stands for a rollout in which the executor failed; without others, the result
    is empty.

    * ``reward`` (without KL) and ``response_length`` (actions): means over the rollouts
    * ``case/…``: share of each case among the calls that have one
    * ``stop/…``: share of each stop reason
    * ``right_answers``: share of episodes with the right answer, if there are episodes
    * ``generation_seconds`` and ``tool_seconds``: sums
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
        **{case_key(case): cases[case] / max(cases.total(), 1) for case in RewardCase},
        **{f"stop/{why.value}": stops[why] / len(rollouts) for why in StopReason if why is not StopReason.POLICY},
        **({"right_answers": sum(judged) / len(judged)} if judged else {}),
        "generation_seconds": sum(e.generation_seconds for e in experiences),
        "tool_seconds": sum(e.tool_seconds for e in experiences),
    }


def log_rollouts(out: Path, step: int, experiences: Sequence[Experience], tokenizer: Tokenizer) -> None:
    """Writes rollouts of a step to a text file for people, and appends them to ROLLOUTS_FILE, one line each, for
    programs. A resumed run may repeat a step and append its rollouts again; the later lines count. Warns if they cannot
    be written."""
    records = [{"step": step} | rollout_record(experience, tokenizer) for experience in experiences]
    texts = map(rollout_text, records)
    try:
        (out / ROLLOUTS).mkdir(exist_ok=True)
        (out / ROLLOUTS / f"step-{step:08}.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
        with (out / ROLLOUTS_FILE).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    except OSError as error:
        warnings.warn(f"could not log rollouts: {error}", stacklevel=2)


def rollout_record(experience: Experience, tokenizer: Tokenizer) -> dict:
    """The prompt, and for each call its reward, case, golden call and feedback; the last three may be None."""
    calls = [asdict(call) | {"case": call.case and call.case.value} for call in experience.calls]
    prompt = tokenizer.decode(experience.ids[: experience.positions[0] + 1])
    return {"id": experience.id, "prompt": prompt, "calls": calls}


def rollout_text(record: dict) -> str:
    lines = [f"==== {record['id']}", record["prompt"]]
    for call in record["calls"]:
        lines.append(f" {call['text']}")
        lines.append(f"---- reward {call['reward']:+.2f}" + (f", {call['case']}" if call["case"] else ""))
        if call["golden"] is not None:
            lines.append(f"---- golden {call['golden']}")
        if call["feedback"] is not None:
            lines.append(f"Output: {call['feedback']}")
    return "\n".join(lines)
