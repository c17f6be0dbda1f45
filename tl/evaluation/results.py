"""The result of one suite: its scores, its part of report.json, and its printed tables."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from tl.calls import format_call
from tl.evaluation import paper
from tl.evaluation.error_analysis import ASPECTS, Diagnosis, analyse, diagnose
from tl.evaluation.predictions import some
from tl.evaluation.suites import EpisodeSuite, Suite, each, strict_score
from tl.forms import Prediction
from tl.mae import ErrorCategory
from tl.metrics import (
    CallScore,
    EpisodeOutcome,
    EpisodeScores,
    Interval,
    Question,
    cluster_of,
    percent,
    score_episodes,
    share_interval,
)
from tl.rollout.answers import FORCED, REFUSALS
from tl.rollout.episodes import CUT_OFF, Request, Rollout, outcome

WIDTH = 34  # of the first column of a table
LINE = 118  # to which notes are wrapped
REWARD = "IRM's mean, in percent of that of a right call; at worst -200"
HEADER = f"  {'':{WIDTH}}{'n':>5}" + "".join(f"  {name:^22}" for name in ("TS", "PI", "CF")).rstrip()


@dataclass
class SingleTurnResult:
    """Predictions for a suite and their scores. Items without a prediction are `missing` and not counted.

    Items with one id are one request with noise in different places. They, and the calls of one trajectory, are a
    cluster for the intervals."""

    suite: Suite
    questions: list[Question]
    predictions: list[Prediction]
    missing: list[str]
    scores: dict[str, list[CallScore | None]] = field(default_factory=dict)  # scoring -> one per prediction
    diagnoses: list[Diagnosis] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)  # one per prediction, or empty if the suite has none

    @classmethod
    def of(
        cls, suite: Suite, predictions: Sequence[Prediction | None], tokens: Callable[[str], Sequence]
    ) -> SingleTurnResult:
        """Scores the predictions for the first questions of a suite. `tokens` splits the name of a tool."""
        asked = list(zip(suite.questions, predictions, strict=False))
        pairs = [(question, prediction) for question, prediction in asked if prediction is not None]
        result = cls(suite, [q for q, _ in pairs], [p for _, p in pairs], [q.id for q, p in asked if p is None])
        scorings = {**suite.scorings, "strict": each(strict_score)}
        result.scores = {name: scoring(pairs) for name, scoring in scorings.items()}
        result.diagnoses = [diagnose(question, prediction, tokens) for question, prediction in pairs]
        result.rewards = [suite.reward(question, prediction) for question, prediction in pairs] if suite.reward else []
        return result

    def to_json(self) -> dict:
        """Its part of report.json, under ["suites"][name]."""
        groups = sorted({question.group for question in self.questions})
        return {
            "scorings": list(self.scores),
            **{scoring: summary(scores) for scoring, scores in self.scores.items()},
            "intervals": {scoring: intervals(self.ids, scores) for scoring, scores in self.scores.items()},
            "title": self.suite.title,
            "notes": list(self.suite.notes),
            "missing": self.missing,
            "groups": {group: self._group(group) for group in groups if group},
            "errors": analyse(self.diagnoses),
            **({"irm": {"n": len(self.rewards), "reward": 100 * fmean(self.rewards)}} if self.rewards else {}),
            "items": [self._item(i) for i in range(len(self.questions))],
        }

    def _group(self, group: str) -> dict:
        inside = [i for i, question in enumerate(self.questions) if question.group == group]
        return {scoring: summary([scores[i] for i in inside]) for scoring, scores in self.scores.items()}

    @property
    def ids(self) -> list[str]:
        return [question.id for question in self.questions]

    def _item(self, i: int) -> dict:
        question, prediction = self.questions[i], self.predictions[i]
        return {
            "id": question.id,
            "group": question.group,
            "prediction": list(prediction.texts) if len(prediction.texts) != 1 else prediction.texts[0],
            "calls": [{"name": call.name, "arguments": call.arguments} for call in prediction.calls],
            "answers": [[format_call(call) for call in answer] for answer in question.answers],
            "scores": {scoring: (score := scores[i]) and score._asdict() for scoring, scores in self.scores.items()},
            "reason": self.diagnoses[i].reason,
            **({"reward": self.rewards[i]} if self.rewards else {}),
        }

    def lines(self) -> list[str]:
        """The table of scores with the paper's rows, the groups, and the error analysis."""
        lines = [self.suite.title, *_wrapped(self.suite.notes)]
        if self.missing:
            lines.append(f"  {len(self.missing)} items got no answer and are not counted: {some(self.missing)}")
        if len(self.questions) + len(self.missing) < len(self.suite.questions):
            lines.append(f"  only the first {len(self.questions) + len(self.missing)} items")
        lines.append(HEADER)
        lines += [_score_line(scoring, self.ids, scores) for scoring, scores in self.scores.items() if any(scores)]
        if self.suite.paper:
            for model, row in paper.single_turn_rows(self.suite.paper).items():
                lines.append(_row(f"paper: {model}", "", [f"{value:6.2f}" for value in row]))
        if self.rewards:
            lines.append(f"  {'reward':<{WIDTH}}{len(self.rewards):>5}{100 * fmean(self.rewards):8.2f}  {REWARD}")
        lines += self._group_lines()
        return [*lines, *self._error_lines()]

    def _group_lines(self) -> list[str]:
        groups = Counter(question.group for question in self.questions)
        if len(groups) < 2:
            return []
        scoring, scores = next(iter(self.scores.items()))
        inside = {
            group: [(q.id, score) for q, score in zip(self.questions, scores, strict=True) if q.group == group]
            for group in groups
        }
        return [_score_line(f"{group} ({scoring})", *zip(*pairs, strict=True)) for group, pairs in inside.items()]

    def _error_lines(self) -> list[str]:
        """Table 1, with the paper's two models if the items are the paper's."""
        errors = analyse(self.diagnoses)
        if not any(diagnosis.faults for diagnosis in self.diagnoses):
            return []
        lines = [f"  errors (strict)     no call, or a different number of calls: {errors['Format']['n']} items"]
        compare = self.suite.paper == "RoTBench"  # except "Others", which the paper counts differently
        if compare:
            lines[0] += "     paper, Table 1: ToolLLaMA-2 7B v2, NexusRaven-2 13B"
        for aspect, faults in ASPECTS.items():
            for fault in faults if errors[aspect]["n"] or compare else ():
                share = errors[aspect][fault.value]
                ours = f"{share:7.2f} %" if share is not None else "      - "
                line = f"    {aspect:<11}{fault.value:<15}{ours} of {errors[aspect]['n']}"
                theirs = paper.TABLE_1.get((aspect, fault.value)) if compare else None
                lines.append(line + (f"{theirs[0]:16.2f} %{theirs[1]:8.2f} %" if theirs else ""))
        return lines


@dataclass
class EpisodeResult:
    """Episodes of a suite and their scores. Aborted ones are `missing` and not counted."""

    suite: EpisodeSuite
    rollouts: list[Rollout | None]  # of the first requests
    refusals: Sequence[str] = REFUSALS  # phrases that make an answer a refusal

    @property
    def missing(self) -> list[str]:
        return [r.id for r, rollout in zip(self.suite.requests, self.rollouts, strict=False) if rollout is None]

    @cached_property
    def outcomes(self) -> list[tuple[Request, Rollout, EpisodeOutcome]]:
        """The episodes that were not aborted."""
        pairs = zip(self.suite.requests, self.rollouts, strict=False)
        return [(request, made, outcome(request, made, self.refusals)) for request, made in pairs if made is not None]

    @cached_property
    def scores(self) -> EpisodeScores:
        return score_episodes([counted for _, _, counted in self.outcomes])

    def to_json(self) -> dict:
        """Its part of report.json. Scores that mean nothing without a backend are null."""
        items = []
        for request, rollout, counted in self.outcomes:
            judged = {name: getattr(counted, name) for name in ("servable", "valid", "real", "right")}
            items.append({"id": request.id, **judged, "truth": request.truth, **rollout.to_json()})
        scores = self.scores._asdict()
        if not self.suite.has_backend:
            scores |= {"ce": None, "va": None, "real": None}
        return {
            "n": len(items),
            **scores,
            "title": self.suite.title,
            "notes": list(self.suite.notes),
            "missing": self.missing,
            "categories": self._categories(),
            "refusals": list(self.refusals),
            "items": items,
        }

    def _categories(self) -> dict[str, float]:
        """The shares of the error categories in the erroneous calls (Figure 1), in percent."""
        categories = (c for rollout in self.rollouts if rollout for c in rollout.categories)
        found = Counter(c.value for c in categories if c and c is not ErrorCategory.ALL_RIGHT)
        return {name: 100 * n / found.total() for name, n in found.most_common()}

    def lines(self) -> list[str]:
        scores = self.scores
        lines = [self.suite.title, *_wrapped(self.suite.notes)]
        if self.missing:
            lines.append(f"  {len(self.missing)} requests got no answer and are not counted: {some(self.missing)}")
        if len(self.rollouts) < len(self.suite.requests):
            lines.append(f"  only the first {len(self.rollouts)} requests")
        played = [rollout.trajectory for _, rollout, _ in self.outcomes]
        if cut := sum(any(feedback == CUT_OFF.text for _, feedback in episode.calls()) for episode in played):
            lines.append(f"  {cut} episodes have a call that was cut off at the token limit (--max_new_tokens)")
        shares = [("DE", "de", scores.n_calls, "calls with a documentation error")]
        if self.suite.has_backend:
            shares += [
                ("CE", "ce", scores.n_calls, "calls with another error"),
                ("VA", "va", scores.n_servable, f'servable requests with an answer, other than "{FORCED}"'),
                ("real", "real", scores.n_servable, "servable requests with an answer that is not a refusal"),
                ("answers", "answer_accuracy", scores.n_answerable, "servable requests with the correct answer"),
                ("refusals", "refusal_accuracy", scores.n_refusals, "other requests that were refused"),
            ]
        shares.append(("finish", "finished", len(self.outcomes), "episodes that ended with finish"))
        lines += [
            f"  {name:<10}{_with_interval(getattr(scores, key), scores.intervals[key])}  of {of} {what}"
            for name, key, of, what in shares
        ]
        if self.suite.paper:
            lines.append(f"  {'':{WIDTH}}{'DE':>10}{'CE':>10}{'VA':>10}")
            for model, row in paper.TABLE_4.items():
                lines.append(f"  {'paper: ' + model:<{WIDTH}}" + "".join(f"{value:10.2f}" for value in row))
        if categories := self._categories():
            lines.append(
                "  erroneous calls: " + ", ".join(f"{name} {share:.1f} %" for name, share in categories.items())
            )
        if self.suite.has_backend:
            lines += _wrapped([f"phrases that mark a refusal (--refusals): {', '.join(self.refusals)}"])
        return lines


def summary(scores: Sequence[CallScore | None]) -> dict[str, float | int]:
    """{"n", "ts", "pi", "cf"}, in percent; 0 without items. "n_cf" if the content of fewer items is scored."""
    n, n_cf = len(_counted(scores, "ts")), len(_counted(scores, "cf"))
    shares = {}
    for name in CallScore._fields:
        values = [value for _, value in _counted(scores, name)]
        shares[name] = percent(sum(values), len(values)) or 0.0
    return {"n": n, **shares, **({"n_cf": n_cf} if n_cf != n else {})}


def intervals(ids: Sequence[str], scores: Sequence[CallScore | None]) -> dict[str, Interval]:
    """Intervals of TS, PI and CF, in percent, by clusters (see `SingleTurnResult`)."""
    found = {}
    for name in CallScore._fields:
        clusters: dict[str, tuple[int, int]] = {}
        for i, value in _counted(scores, name):
            cluster = cluster_of(ids[i])
            right, n = clusters.get(cluster, (0, 0))
            clusters[cluster] = right + value, n + 1
        found[name] = share_interval([*clusters.values()])
    return found


def _counted(scores: Sequence[CallScore | None], name: str) -> list[tuple[int, bool]]:
    """(number, whether it is right) of each item that counts for a metric."""
    return [(i, value) for i, s in enumerate(scores) if s is not None and (value := getattr(s, name)) is not None]


def family_lines(results: Sequence[SingleTurnResult]) -> list[str]:
    """A table for each family of which more than one suite was evaluated, such as the environments of section 6.1."""
    lines = []
    for family in dict.fromkeys(result.suite.family for result in results if result.suite.family):
        members = [result for result in results if result.suite.family == family]
        for scoring in members[0].scores if len(members) > 1 else ():
            lines += [f"{family}, {scoring}", HEADER]
            lines += [_score_line(member.suite.variant, member.ids, member.scores[scoring]) for member in members]
    return lines


def _wrapped(notes: Sequence[str]) -> list[str]:
    return [line for note in notes for line in textwrap.wrap(note, LINE, initial_indent="  ", subsequent_indent="    ")]


def _score_line(name: str, ids: Sequence[str], scores: Sequence[CallScore | None]) -> str:
    shares, between = summary(scores), intervals(ids, scores)
    cells = [_with_interval(shares[key], between[key]) for key in CallScore._fields]
    if "n_cf" in shares:
        cells[-1] = f"{cells[-1]} of {shares['n_cf']}" if shares["n_cf"] else "     -"
    return _row(name, str(shares["n"]), cells)


def _row(name: str, n: str, cells: Sequence[str]) -> str:
    return f"  {name:<{WIDTH}}{n:>5}" + "".join(f"  {cell:<22}" for cell in cells).rstrip()


def _with_interval(share: float | None, interval: Interval) -> str:
    """A percentage with its 95 % interval."""
    if share is None:
        return f"{'-':>6}" + " " * 17
    return f"{share:6.2f} [{interval[0]:6.2f}, {interval[1]:6.2f}]"
