"""Do our prompt formats write what the models' own chat templates write? Records what tests/test_templates.py compares.

    python -m benchmarks.templates PUBLISHED                       compares, and writes nothing
    python -m benchmarks.templates PUBLISHED --record              and writes tests/data/conversations.jsonl.gz
    python -m benchmarks.templates PUBLISHED --vocabulary FOLDER …    compares token by token as well

PUBLISHED is a folder with the chat templates of Qwen2.5-Instruct, Qwen3 and Llama-3.1-Instruct as their makers publish
them: qwen2.5.jinja, qwen3.jinja and llama3.jinja. Nothing of them is kept here: of what transformers renders with them
for 200 conversations, a hash is recorded.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.side_by_side import with_peers
from tl.llama.tokenizer import Tokenizer
from tl.synthesis import synthesize
from tl.templates import Template
from tl.templates.chatml import QWEN_SYSTEM, ChatML
from tl.templates.llama3 import Llama3
from tl.trajectory import Trajectory

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "data" / "conversations.jsonl.gz"
COUNT = 200
PUBLISHED = ("qwen2.5", "qwen3", "llama3")
ASIDE = [
    {"role": "assistant", "content": "Which of them do you mean?"},
    {"role": "user", "content": "Der größte, bitte — «the first».\n\nThank you 🙏"},
]


def conversations() -> Iterator[dict]:
    """Conversations of our own making: every fourth with a system message, every fifth with a turn in plain words,
    every second without its last turn. Arguments are objects, as chat templates want them."""
    for number, trajectory in enumerate(synthesize(COUNT, seed=19)):
        record = trajectory.to_openai()
        messages = record["messages"]
        for message in messages:
            message["content"] = message["content"] or ""
            for made in message.get("tool_calls", ()):
                made["function"]["arguments"] = json.loads(made["function"]["arguments"])
        if number % 5 == 0:
            messages[1:1] = ASIDE
        if number % 4 == 0:
            messages.insert(0, {"role": "system", "content": f"Today is day {number}. Answer in one sentence."})
        yield record | {"messages": messages[: -1 if number % 2 else None]}


class AnyTokenizer:
    """Enough of a vocabulary to write text with: it has every control token that a form needs."""

    control_ids = {token: 0 for form in (ChatML, Llama3) for token in form.needs}


def form_of(published: str, tokenizer: Tokenizer | AnyTokenizer) -> Template:
    """Ours that is to agree with the published one."""
    if published == "llama3":
        return Llama3(tokenizer)
    return ChatML(tokenizer, QWEN_SYSTEM if published == "qwen2.5" else None)


def fits(published: str, tokenizer: Tokenizer) -> bool:
    needs = Llama3.needs if published == "llama3" else ChatML.needs
    return set(needs) <= tokenizer.control_ids.keys()


def asked(published: str, record: dict) -> list[dict]:
    """The messages that are compared. Qwen 3 puts empty thoughts before a last turn; it is compared without one."""
    ends = record["messages"][-1]["role"] == "assistant"
    return record["messages"][: -1 if ends and published == "qwen3" else None]


def pieces(published: str, record: dict) -> tuple[str, ...]:
    """What our form makes of a conversation, with the end of a last turn."""
    form = form_of(published, AnyTokenizer())
    trajectory = Trajectory.from_openai(record | {"messages": asked(published, record)})
    segments = form.segments(trajectory.tools, trajectory.messages)
    return (*(piece for s in segments for piece in s.pieces), *(form.after if segments[-1].turn else ()))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recorded() -> list[dict]:
    """The conversations, each with the hashes of what the published templates make of it."""
    with gzip.open(RECORDED, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=Path, help="folder with qwen2.5.jinja, qwen3.jinja and llama3.jinja")
    parser.add_argument("--record", action="store_true", help=f"write the recorded comparison to {RECORDED.name}")
    parser.add_argument("--vocabulary", nargs="*", default=[], help="folders with a tokenizer.json to compare with")
    options = parser.parse_args()
    with_peers("benchmarks.templates", transformers="5.24.0", jinja2="3.1.6")
    from tokenizers import Tokenizer as Library
    from transformers.utils.chat_template_utils import render_jinja_template

    records = [record | {"published": {}} for record in conversations()]
    for published in PUBLISHED:
        jinja = (options.published / f"{published}.jinja").read_text(encoding="utf-8")
        alike = 0
        for record in records:
            messages = asked(published, record)
            settings = {"add_generation_prompt": messages[-1]["role"] != "assistant", "bos_token": ""}
            settings |= {"date_string": "26 Jul 2024"}  # for Llama 3.2, which would write today's
            [text], _ = render_jinja_template([messages], record["tools"], chat_template=jinja, **settings)
            alike += text == "".join(pieces(published, record))
            record["published"][published] = digest(text)
        print(f"{published:<10}{alike} of {len(records)} texts are alike")
        for folder in options.vocabulary:
            tokenizer = Tokenizer(folder)
            if not fits(published, tokenizer):
                continue
            library, form = Library.from_file(str(tokenizer.path)), form_of(published, tokenizer)
            ours = [pieces(published, record) for record in records]
            theirs = [library.encode("".join(text), add_special_tokens=False).ids for text in ours]
            alike = sum(form.encode(text) == ids for text, ids in zip(ours, theirs, strict=True))
            print(f"{'':<10}{alike} of {len(records)} in all their ids, with {folder}")
    if options.record:
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        RECORDED.write_bytes(gzip.compress(lines.encode(), mtime=0))


if __name__ == "__main__":
    main()
