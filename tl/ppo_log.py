"""What PPO's rollouts look like: their numbers for the log, and themselves as text."""

from collections import Counter
from collections.abc import Sequence

from tl.experience import Experience
from tl.irm import RewardCase
from tl.tokenizer import Tokenizer


def rollout_metrics(experiences: Sequence[Experience], failed: int) -> dict[str, float]:
    """Mean reward of a rollout (without KL), the share of each case among the calls that have one, mean number of
    actions. ``failed`` rollouts could not be scored and are in none of it."""
    cases = Counter(call.case for experience in experiences for call in experience.calls if call.case is not None)
    return {
        "reward": sum(sum(e.rewards) for e in experiences) / len(experiences),
        **{f"share of {case.value}": cases[case] / max(cases.total(), 1) for case in RewardCase},
        "response_length": sum(len(e.actions) for e in experiences) / len(experiences),
        "failed_rollouts": failed,
    }


def rollout_text(experience: Experience, tokenizer: Tokenizer) -> str:
    """A rollout to be read: the prompt, then each call with its reward, case, golden call and feedback."""
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
