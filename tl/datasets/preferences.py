"""Pairs of a chosen and a rejected completion of one prompt, for preference training."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tl.datasets import OnBadData, note_signs
from tl.datasets.companions import Companions, joined_records
from tl.datasets.files import parsed
from tl.datasets.readers import trl
from tl.datasets.report import BadRecord, ReadReport
from tl.mae import call_categories
from tl.trajectory import Note, Notes, Trajectory


class Pair(NamedTuple):
    """Two conversations with the same tools and the same beginning. They first differ in an assistant turn."""

    chosen: Trajectory
    rejected: Trajectory

    @property
    def history(self) -> int:
        """Number of messages that both begin with."""
        both = zip(self.chosen.messages, self.rejected.messages, strict=False)
        return next((n for n, (a, b) in enumerate(both) if a != b), min(len(side.messages) for side in self))

    def to_line(self, made_with: dict) -> str:
        """A line of a preference file in TRL's layout; ``made_with`` holds the settings that made it."""
        chosen, rejected = (side.to_openai() for side in self)
        n, record = self.history, {"id": chosen["id"], "tools": chosen["tools"], "made_with": made_with}
        sides = {"chosen": chosen["messages"][n:], "rejected": rejected["messages"][n:]}
        return json.dumps(record | {"prompt": chosen["messages"][:n]} | sides, ensure_ascii=False) + "\n"


def read_pairs(
    paths: Sequence[str], on_bad: OnBadData = "error", check: Callable[[Pair], object] | None = None
) -> tuple[list[Pair], ReadReport]:
    """All pairs of one or more files. `on_bad`, `check` and DataError are those of `tl.datasets.read`."""
    pairs, report = [], ReadReport()
    for path in paths:
        companions = Companions(Path(path))
        for place, raw in joined_records(companions.path):
            notes: Notes = Counter()
            try:
                pair = _pair(companions.completed(trl.in_trls_layout(parsed(raw)), notes), f"{path}, {place}", notes)
                if check is not None:
                    check(pair)
                pairs.append(pair)
            except (ValueError, RecursionError) as error:
                report.bad.append(BadRecord(str(path), place, str(error)))
            else:
                report.add(notes, f"{path}, {place}")
    report.read = len(pairs)
    if on_bad == "error":
        report.check()
    return pairs, report


def _pair(raw: object, default_id: str, notes: Notes) -> Pair:
    if not isinstance(raw, dict) or "chosen" not in raw or "rejected" not in raw:
        has = f"has {', '.join(map(str, raw)) or 'nothing'}" if isinstance(raw, dict) else "is not an object"
        raise ValueError(f"a pair needs `chosen` and `rejected`, this record {has}")
    pair = Pair(
        *(Trajectory.from_openai(side(raw, notes), default_id, notes) for side in (trl.preferred, trl.rejected))
    )
    if pair.chosen.messages == pair.rejected.messages:
        raise ValueError("`chosen` and `rejected` are the same")
    if pair.chosen.tools != pair.rejected.tools:
        raise ValueError("the record has no `tools`, and `chosen` and `rejected` call different ones")
    if pair.history == 0:
        raise ValueError("`chosen` and `rejected` begin differently: put the history that they share into `prompt`")
    after = [side.messages[pair.history :] for side in pair]
    if not all(messages and messages[0].role == "assistant" for messages in after):
        raise ValueError(
            "`chosen` and `rejected` must first differ in an assistant turn, and neither may contain the other"
        )
    if not all(any(m.trained for m in messages if m.role == "assistant") for messages in after):
        raise ValueError("every turn of `chosen` or `rejected` has weight 0")
    notes[Note.WEIGHT_0] = sum(not message.trained for messages in after for message in messages)  # history never is
    note_signs(pair.chosen, notes)
    shared = sum(message.is_call for message in pair.chosen.messages[: pair.history])
    notes[Note.CHOSEN_ERRORS] += sum(category.is_error for category in call_categories(pair.chosen)[shared:])
    return pair
