"""What there is to read: training samples as they are trained on, PPO's rollouts, answers of evaluations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tl.report.runs import Run, as_list, is_number
from tl.report.samples import article, context, options, text
from tl.report.views import SampleView, called_name

Lists = Mapping[str, set[str]]  # what an article can be filtered by -> its entries
Article = tuple[Lists, str]
UNJUDGED = "no case"  # of a call without a golden one to hold it against


def samples(views: Iterable[SampleView], run: str) -> list[Article]:
    """Training samples: tokens coloured by weight, masked calls greyed."""
    made = []
    for view in views:
        calls = [turn for turn in view.turns if turn.is_call]
        lists = {"categories": {turn.category for turn in calls}, "tools": {turn.tool for turn in calls}}
        made.append((lists | _about(run, "training sample"), article(view, runs=run, kinds="training sample")))
    return made


def rollouts(run: Run, most: int) -> list[Article]:
    """The last rollouts of a PPO run, call by call with reward, case, golden call and feedback."""
    made = []
    for rollout in reversed(run.rollouts[-most:] if most else []):
        calls = [call for call in as_list(rollout.get("calls")) if isinstance(call, dict)]
        lists = {
            "categories": {str(call.get("case") or UNJUDGED) for call in calls},
            "tools": {called_name(str(call.get("text", ""))) for call in calls},
        }
        total = sum(call["reward"] for call in calls if is_number(call.get("reward")))
        facts = f"{run.name} · step {rollout.get('step')} · {len(calls)} calls · reward {total:+.2f}"
        body = context(str(rollout.get("prompt", ""))) + "".join(map(_rollout_call, calls))
        made.append(_article(lists | _about(run.name, "rollout"), str(rollout.get("id")), facts, body))
    return made


def _rollout_call(call: Mapping[str, Any]) -> str:
    reward = call.get("reward")
    good = is_number(reward) and reward > 0
    said = f"{reward:+.2f}" if is_number(reward) else "no reward"
    html = _turn(str(call.get("text", "")), f"{said} · {call.get('case') or UNJUDGED}", good)
    if call.get("golden") is not None and not good:
        html += f"<pre class=golden>golden: {text(str(call['golden']))}</pre>\n"
    if call.get("feedback") is not None:
        html += f"<pre>Output: {text(str(call['feedback']))}</pre>\n"
    return html


def answers(run: Run, most: int) -> list[Article]:
    """The first items of each suite that a run was evaluated on."""
    made = []
    for suite in run.suites.values():
        title = str(suite.get("title", ""))
        for item in [item for item in as_list(suite.get("items")) if isinstance(item, dict)][:most]:
            made.append((_episode if "trajectory" in item else _answer)(item, title, run.name))
    return made


def _answer(item: Mapping[str, Any], title: str, run: str) -> Article:
    """A single turn: what was said, the accepted answers, and the reason for its scores."""
    said = item.get("prediction")
    texts = [str(part) for part in said] if isinstance(said, list) else [str(said)]
    scores = next((item[s] for s in ("strict", "official") if isinstance(item.get(s), dict)), {})
    right = [name.upper() for name, value in scores.items() if value is True]
    verdict = "CF" if "CF" in right else f"{right[-1]} only" if right else "wrong tool or no call"
    badge = " ".join(right) + ("" if "CF" in right else f" {item.get('reason') or ''}")
    body = _turn("\n".join(texts), badge.strip() or verdict, "CF" in right)
    for answer in as_list(item.get("answers")):
        body += f"<pre class=golden>accepted: {text(chr(10).join(map(str, as_list(answer))))}</pre>\n"
    lists = {"categories": {f"evaluation: {verdict}"}, "tools": {called_name(part) for part in texts}}
    return _article(lists | _about(run, title), str(item.get("id")), f"{run} · {title}", body)


def _episode(item: Mapping[str, Any], title: str, run: str) -> Article:
    """A whole episode, turn by turn with its feedback."""
    body, tools = "", set()
    trajectory = item["trajectory"] if isinstance(item["trajectory"], dict) else {}
    for message in [m for m in as_list(trajectory.get("messages")) if isinstance(m, dict)]:
        said = str(message.get("content") or "")
        for call in [c for c in as_list(message.get("tool_calls")) if isinstance(c, dict)]:
            function = call.get("function") if isinstance(call.get("function"), dict) else {}
            tools.add(str(function.get("name", "")))
            body += _turn(f"{function.get('name', '')} {function.get('arguments', '')}", "", True)
        if said and message.get("role") == "assistant":
            body += _turn(said, "", True)
        elif said:
            body += f"<pre>{'Output' if message.get('role') == 'tool' else 'User'}: {text(said)}</pre>\n"
    valid, right = ("real answer" if item.get("valid") else "no real answer"), item.get("right")
    verdict = "true answer" if right else valid
    if item.get("truth"):
        body += f"<pre class=golden>true answer: {text(str(item['truth']))}</pre>\n"
    lists = {"categories": {f"evaluation: {verdict}"}, "tools": tools}
    return _article(lists | _about(run, title), str(item.get("id")), f"{run} · {title} · {verdict}", body)


def _turn(said: str, badge: str, good: bool) -> str:
    mark = f"<b class=badge>{text(badge)}</b>" if badge else ""
    kind = "good" if good else "poor"
    return f"<div class='turn {kind}'><span class=role>Assistant: </span>{text(said.strip())}{mark}</div>\n"


def _article(lists: Lists, title: str, facts: str, body: str) -> Article:
    data = "".join(f' data-{name}="{text(chr(10).join(sorted(entries)))}"' for name, entries in lists.items())
    return lists, f"<article{data}>\n<h2>{text(title)}</h2><p class=facts>{text(facts)}</p>\n{body}</article>"


def _about(run: str, kind: str) -> dict[str, set[str]]:
    return {"runs": {run}, "kinds": {kind}}


def choices(articles: Sequence[Article], name: str) -> str:
    """The options of the filter by `name`, with the number of articles that have each."""
    return options(Counter(entry for lists, _ in articles for entry in lists[name] if entry))
