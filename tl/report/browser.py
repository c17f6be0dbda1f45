"""PPO's rollouts and the answers of evaluations, as articles of the page."""

from collections.abc import Mapping
from typing import Any

from tl.report.runs import Run
from tl.report.samples import Article, article, context, text
from tl.report.views import called_name
from tl.trajectory import Trajectory

UNJUDGED = "no case"  # shown for a call without a golden call to compare with


def rollouts(run: Run, most: int) -> list[Article]:
    """The last rollouts of a PPO run, with reward, case, golden call and feedback of each call."""
    return [_rollout(rollout, run.name) for rollout in reversed(run.rollouts[-most:] if most else [])]


def _rollout(rollout: Mapping[str, Any], run: str) -> Article:
    calls = rollout["calls"]
    categories, tools = {call["case"] or UNJUDGED for call in calls}, {called_name(call["text"]) for call in calls}
    total = sum(call["reward"] or 0 for call in calls)
    facts = f"{run} · step {rollout['step']} · {len(calls)} calls · reward {total:+.2f}"
    body = context(rollout["prompt"]) + "".join(map(_rollout_call, calls))
    return article(_lists(run, "rollout", categories, tools), rollout["id"], facts, body)


def _rollout_call(call: Mapping[str, Any]) -> str:
    reward = call["reward"]
    good = reward is not None and reward > 0
    html = _turn(
        call["text"], f"{'no reward' if reward is None else f'{reward:+.2f}'} · {call['case'] or UNJUDGED}", good
    )
    if call["golden"] is not None and not good:
        html += f"<pre class=golden>golden: {text(call['golden'])}</pre>\n"
    if call["feedback"] is not None:
        html += f"<pre>Output: {text(call['feedback'])}</pre>\n"
    return html


def answers(run: Run, most: int) -> list[Article]:
    """The first items of each suite on which a run was evaluated."""
    return [
        (_episode if "trajectory" in item else _answer)(item, suite["title"], run.name)
        for suite in run.suites.values()
        for item in suite["items"][:most]
    ]


def _answer(item: Mapping[str, Any], title: str, run: str) -> Article:
    """A single turn: the prediction, the accepted answers, and the reason for its scores."""
    said = item["prediction"]
    texts = said if isinstance(said, list) else [said]
    right = [name.upper() for name, value in item["scores"]["strict"].items() if value]
    verdict = "CF" if "CF" in right else f"{right[-1]} only" if right else "wrong tool or no call"
    badge = " ".join([*right, *([] if "CF" in right else [item["reason"]])])
    body = _turn("\n".join(texts), badge, "CF" in right)
    for answer in item["answers"]:
        body += f"<pre class=golden>accepted: {text(chr(10).join(answer))}</pre>\n"
    lists = _lists(run, title, {f"evaluation: {verdict}"}, set(map(called_name, texts)))
    return article(lists, item["id"], f"{run} · {title}", body)


def _episode(item: Mapping[str, Any], title: str, run: str) -> Article:
    """A whole episode, turn by turn with its feedback."""
    body, tools = "", set()
    for message in Trajectory.from_openai(item["trajectory"]).messages:
        if message.role == "assistant":
            body += _turn(message.content, "", True)
            tools |= {called_name(message.content)} if message.is_call else set()
        else:
            body += f"<pre>{'Output' if message.role == 'tool' else 'User'}: {text(message.content)}</pre>\n"
    verdict = "true answer" if item["right"] else "real answer" if item.get("real", item["valid"]) else "no real answer"
    if item["truth"]:
        body += f"<pre class=golden>true answer: {text(item['truth'])}</pre>\n"
    lists = _lists(run, title, {f"evaluation: {verdict}"}, tools)
    return article(lists, item["id"], f"{run} · {title} · {verdict}", body)


def _turn(said: str, badge: str, good: bool) -> str:
    mark = f"<b class=badge>{text(badge)}</b>" if badge else ""
    kind = "good" if good else "poor"
    return f"<div class='turn {kind}'><span class=role>Assistant: </span>{text(said.strip())}{mark}</div>\n"


def _lists(run: str, kind: str, categories: set[str], tools: set[str]) -> dict[str, set[str]]:
    return {"categories": categories, "tools": tools, "runs": {run}, "kinds": {kind}}
