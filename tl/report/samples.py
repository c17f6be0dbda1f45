"""Samples as one self-contained web page. Everything that comes from data is escaped and never becomes markup."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from typing import NamedTuple

from tl.files import visible
from tl.report.views import SampleView, TokenView, TurnView

WEIGHT_SCALE = 9.0  # the weight that gets the full colour
LOSS_SCALE = 5.0  # the loss in nats that gets the full colour

# In Table 13's format and in ChatML: the system part of a prompt, and its end, which `turn` writes itself.
_SYSTEM = re.compile(r"System: .*?(?=\nUser: )|<\|im_start\|>system\n.*?(?=<\|im_start\|>user\n)", re.DOTALL)
_ANSWER = re.compile(r"(\nAssistant:|<\|im_start\|>assistant\n)\Z")


class Article(NamedTuple):
    """An entry of the page; ``lists``: name of a filter -> values under which the article is found."""

    lists: Mapping[str, set[str]]
    html: str


def page(samples: Sequence[SampleView], title: str) -> str:
    """The page, coloured by loss if the samples have one, otherwise by weight."""
    has_loss = any(view.loss is not None for view in samples)
    articles = [sample(view) for view in samples]
    parts = {
        "title": text(title),
        "count": str(len(samples)),
        "scale": "loss" if has_loss else "weight",
        "loss_option": '<option value="loss" selected>loss</option>' if has_loss else "",
        "categories": choices(articles, "categories"),
        "tools": choices(articles, "tools"),
        "samples": "\n".join(made.html for made in articles),
    }
    return fill(resource("page.html"), parts | {"style": resource("page.css"), "script": resource("page.js")})


def resource(name: str) -> str:
    """The content of a text file in this package."""
    return files("tl.report").joinpath(name).read_text(encoding="utf-8")


def fill(template: str, parts: dict[str, str]) -> str:
    """The template with its `{{names}}` replaced in one pass, so names inside the parts are left alone."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def text(data: str) -> str:
    """Data as HTML text or attribute value."""
    return escape(visible(data), quote=True)


def choices(articles: Sequence[Article], name: str) -> str:
    """The options of the filter `name`, each with its number of articles, the most frequent first."""
    counts = Counter(entry for made in articles for entry in made.lists[name] if entry)
    return "".join(f'<option value="{text(entry)}">{text(entry)} ({n})</option>' for entry, n in counts.most_common())


def article(lists: Mapping[str, set[str]], title: str, facts: str, body: str) -> Article:
    data = "".join(f' data-{name}="{text(chr(10).join(sorted(entries)))}"' for name, entries in lists.items())
    html = f"<article{data}>\n<h2>{text(title)}</h2><p class=facts>{text(facts)}</p>\n{body}</article>"
    return Article(lists, html)


def sample(view: SampleView, **lists: set[str]) -> Article:
    """A training sample: tokens coloured by weight or loss, masked calls greyed."""
    calls = [turn for turn in view.turns if turn.is_call]
    body = "".join(turn(part) if isinstance(part, TurnView) else context(part) for part in view.parts)
    lists = {"categories": {turn.category for turn in calls}, "tools": {turn.tool for turn in calls}} | lists
    return article(lists, view.id, " · ".join(view.facts()), body)


def context(prompt: str) -> str:
    """Text that the model only reads. The system part, which lists the tools, is folded."""
    prompt = _ANSWER.sub("", prompt).strip()
    system = _SYSTEM.match(prompt)
    if not system:
        return f"<pre>{text(prompt)}</pre>\n"
    fold = f"<details><summary>System: the tools</summary><pre>{text(system[0])}</pre></details>"
    return f"{fold}\n<pre>{text(prompt[system.end() :].strip())}</pre>\n"


def turn(view: TurnView) -> str:
    kind, badge = "trained", ""
    if not view.trained:
        kind, badge = "masked", f"<b class=badge>✗ masked: {text(view.category)}</b>"
    *said, stop = view.tokens
    if said:  # so that the space after the colon has no colour; a call may be cut before any text
        said[0] = replace(said[0], text=said[0].text.removeprefix(" "))
    tokens = "".join(map(token, said)) + token(stop, "stop")
    return f'<div class="turn {kind}"><span class=role>Assistant: </span>{tokens}{badge}</div>\n'


def token(view: TokenView, kind: str = "") -> str:
    """A token with its numbers as attributes and, for the colour scale, as percentages."""
    shares = f"--w:{min(view.weight / WEIGHT_SCALE, 1):.0%}"
    numbers = f"data-id={view.id} data-weight={view.weight:.4g}"
    if view.loss is not None:
        shares += f";--l:{min(view.loss / LOSS_SCALE, 1):.0%}"
        numbers += f" data-loss={view.loss:.3f}"
    kinds = " ".join(filter(None, ["t", "key" if view.is_key else "", kind]))
    # A token without text is the rest of a character of several bytes.
    return f'<span class="{kinds}" style="{shares}" {numbers}>{text(view.text) or "·"}</span>'
