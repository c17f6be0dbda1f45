"""The text that the embedded base model is trained on, made from a seed: `document(seed)`.

Most documents are pages of a made-up library: signatures with docstrings in one of several styles, then examples, each
a sentence, the call that does what it says, what the call prints, and often a second call that uses the first one's
result. The rest is text in which things recur: records as JSON and as sentences, lists and logs, word lists of
synonyms. Names, values and identifiers are random, so that a model gains little by remembering them and much by
matching a sentence with a docstring and by copying.

There are no conversations in it, no roles such as "User:", and no functions of the tool library.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from random import Random
from typing import Any

from tl.assets.tiny import values
from tl.assets.tiny.functions import (
    Function,
    call_text,
    choose_arguments,
    make_family,
    make_function,
    make_result,
    make_thing,
    request_phrase,
    sentence_case,
)
from tl.assets.tiny.words import ASPECTS, NOUNS, VERBS

COPIES = 8  # of a document's words without spaces, in the text that the vocabulary is trained on
PYTHON_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list"}


@dataclass(frozen=True)
class Style:
    """How one page is written; drawn once a page."""

    python: bool  # Python's type names and literals instead of JSON's
    signature: Callable[[Function, dict[str, str]], str]
    example: str  # with {sentence} {call} {result}; a second call repeats all but the first line
    closing: str  # the name of the function that writes the last line of an example, or "#" for a comment
    asking: str  # the name of the function that asks for what a sentence leaves out
    id_name: str  # what the records of results call their id


# --- signatures ---------------------------------------------------------------------------------------------------


def _arguments(function: Function, types: dict[str, str]) -> str:
    needed = [f"{p.name}: {types[p.type]}" for p in function.required]
    return ", ".join(needed + [f"{p.name}: {types[p.type]} = None" for p in function.optional])


def google_style(function: Function, types: dict[str, str], indent: str = "    ") -> str:
    lines = [f"def {function.name}({_arguments(function, types)}):", '    """', f"    {function.description}"]
    if function.parameters:
        lines += ["", "    Args:"]
        lines += [f"{indent}{p.name} ({types[p.type]}): {p.description}" for p in function.parameters]
    return "\n".join([*lines, '    """'])


def indented_style(function: Function, types: dict[str, str]) -> str:
    return google_style(function, types, indent=" " * 8) + "\n    ..."


def sphinx_style(function: Function, types: dict[str, str]) -> str:
    lines = [f"def {function.name}({_arguments(function, types)}):", f'    """{function.description}']
    lines += [f"    :param {p.name}: {p.description}" for p in function.parameters]
    return "\n".join([*lines, '    """'])


def short_style(function: Function, types: dict[str, str]) -> str:
    return f'def {function.name}({_arguments(function, types)}):\n    """{function.description}"""'


def comment_style(function: Function, types: dict[str, str]) -> str:
    return f"# {function.description}\n{function.name}({_arguments(function, types)})"


def markdown_style(function: Function, types: dict[str, str]) -> str:
    lines = [f"- `{function.name}({_arguments(function, types)})`: {function.description}"]
    return "\n".join(lines + [f"  - {p.name}: {p.description}" for p in function.parameters])


def json_style(function: Function, types: dict[str, str]) -> str:
    properties = {p.name: {"type": types[p.type], "description": p.description} for p in function.parameters}
    schema = {"type": "object", "properties": properties, "required": [p.name for p in function.required]}
    return json.dumps({"name": function.name, "description": function.description, "parameters": schema})


SIGNATURES = [google_style, google_style, google_style, indented_style, indented_style, sphinx_style, short_style]
SIGNATURES += [comment_style, markdown_style, json_style]

EXAMPLES = [
    "# {sentence}\n{call}\n# {result}\n",
    "# {sentence}\n>>> {call}\n{result}\n",
    "{sentence}\n>>> {call}\n{result}\n",
    "{sentence}\n\n    {call}\n\nprints\n\n    {result}\n",
    "{sentence}\nresult = {call}\n# result: {result}\n",
    "Example: {sentence}\nCode: {call}\nPrints: {result}\n",
    "To do: {sentence}\nRun: {call}\nGives: {result}\n",
    "* {sentence}\n  -> {call}\n  <- {result}\n",
    "{word}: {sentence}\n{other}: {call}\n{third}: {result}\n",
]
CLOSINGS = ["#", "print", "say", "note", "write_down", "conclude", "tell", "close"]
ASKINGS = ["ask", "inquire", "question", "wonder", "request", "clarify"]


def make_style(rng: Random) -> Style:
    example = rng.choice(EXAMPLES)
    for name in ("word", "other", "third"):
        example = example.replace(f"{{{name}}}", rng.choice([*NOUNS, values.made_up_word(rng)]).capitalize())
    id_name = rng.choice(["id", "id", "code", "key", "ref", "number"])
    return Style(
        rng.random() < 0.15, rng.choice(SIGNATURES), example, rng.choice(CLOSINGS), rng.choice(ASKINGS), id_name
    )


# --- examples -----------------------------------------------------------------------------------------------------


class Example:
    """One sentence and the calls that do what it says, written line by line."""

    def __init__(self, style: Style, sentence: str) -> None:
        self.style, self.sentence, self.text = style, sentence, ""

    def call(self, name: str, arguments: dict[str, Any], result: Any) -> None:
        frame = self.style.example
        if self.text:
            frame = frame[frame.index("{sentence}") + len("{sentence}") :].lstrip("\n")
        printed = repr(result) if self.style.python else json.dumps(result, ensure_ascii=False)
        parts = {"{sentence}": self.sentence, "{call}": call_text(name, arguments, self.style.python)}
        for mark, part in (parts | {"{result}": printed}).items():
            frame = frame.replace(mark, part)
        self.text += frame

    def close(self, remark: str, name: str | None = None) -> None:
        """A last line that says something: by the function `name`, or else as the page's style has it."""
        frame = self.style.example
        if not self.text:
            self.text = frame[: frame.index("{sentence}")] + self.sentence + "\n"
        name = name or self.style.closing
        if name == "#":
            self.text += f"# {remark}\n"
        else:
            start = frame.index("{sentence}") + len("{sentence}")
            self.text += frame[start : frame.index("{call}")].lstrip("\n") + call_text(name, {"text": remark}) + "\n"


def remark(function: Function, records: list[dict[str, Any]], id_name: str, rng: Random) -> str:
    """A sentence that reports a result, with values from it."""
    record, thing = records[0], function.thing
    fields = [name for name in record if name != id_name and not isinstance(record[name], bool)] or [id_name]
    name = rng.choice(fields)
    value, said = values.spoken(record[name], rng), name.replace("_", " ")
    if len(records) > 1 and rng.random() < 0.6:
        ids = ", ".join(str(r[id_name]) for r in records)
        counted = f"{len(records)} {thing.plural}"
        return rng.choice([f"There are {counted}: {ids}.", f"Found {ids}.", f"{counted} match."])
    ways = [
        f"The {said} of the {thing.singular} is {value}.",
        f"The {thing.singular} {record[id_name]} has {said} {value}.",
        f"{said.capitalize()}: {value}",
        f"Done, {record[id_name]} with {said} {value}.",
        f"It is {value}.",
    ]
    return rng.choice(ways)


def single(functions: list[Function], style: Style, rng: Random) -> str:
    """One call, at times failing first, at times with a closing remark."""
    function = rng.choice(functions)
    arguments = choose_arguments(function, rng)
    example = Example(style, sentence_case(request_phrase(function, arguments, rng), rng))
    if rng.random() < 0.07:
        arguments = _fail_first(example, function, arguments, rng)
    result, records = make_result(function, arguments, rng, style.id_name)
    example.call(function.name, arguments, result)
    if rng.random() < 0.5:
        example.close(remark(function, records, style.id_name, rng))
    return example.text


def _fail_first(example: Example, function: Function, arguments: dict[str, Any], rng: Random) -> dict[str, Any]:
    """A call that does not work, and the arguments of the one that does."""
    names = [name for name, value in arguments.items() if isinstance(value, str)]
    if not names or rng.random() < 0.4:
        trouble = rng.choice(["out of reach for a moment", "busy, ask again", "the line was cut", "too slow"])
        example.call(function.name, arguments, {"problem": trouble})
        return arguments
    name = rng.choice(names)
    better = next(p for p in function.parameters if p.name == name).sample(rng)
    hint = rng.choice(["did you mean {}?", "closest is {}", "use {}", "known as {}"]).format(better)
    example.call(function.name, arguments, {"problem": f"no {name} {arguments[name]}, {hint}"})
    return arguments | {name: better}


def pair(functions: list[Function], style: Style, rng: Random) -> str:
    """Two calls from one sentence, which have nothing to do with each other."""
    chosen = [rng.choice(functions), rng.choice(functions)]
    arguments = [choose_arguments(function, rng) for function in chosen]
    phrases = [request_phrase(f, a, rng) for f, a in zip(chosen, arguments, strict=True)]
    joint = rng.choice([" and ", ", then ", "; also ", " and after that "])
    example = Example(style, sentence_case(joint.join(phrases), rng))
    for function, given in zip(chosen, arguments, strict=True):
        result, records = make_result(function, given, rng, style.id_name)
        example.call(function.name, given, result)
    if rng.random() < 0.5:
        example.close(remark(function, records, style.id_name, rng))
    return example.text


def chain(functions: list[Function], style: Style, rng: Random) -> str:
    """A call, and a second one about a record of its result: "find the harps in Darvo and repair the last one"."""
    seconds = [(function, function.key.name) for function in functions if function.key is not None]
    if not seconds:
        return single(functions, style, rng)
    second, key = rng.choice(seconds)
    firsts = [f for f in functions if f.thing == second.thing and f is not second] or functions
    first = rng.choice(firsts)
    known = choose_arguments(first, rng)
    result, records = make_result(first, known, rng, style.id_name)
    record, reference = _refer(records, style.id_name, rng)
    arguments = choose_arguments(second, rng, {key: record[style.id_name]})
    said = dict(arguments)
    _borrow(second, arguments, said, record, rng)
    follow_up = request_phrase(second, said, rng, thing=reference)
    opening = request_phrase(first, known, rng) + rng.choice([" and ", ", then ", " and then ", "; afterwards "])
    example = Example(style, sentence_case(opening + follow_up, rng))
    example.call(first.name, known, result)
    result, records = make_result(second, arguments, rng, style.id_name)
    example.call(second.name, arguments, result)
    if rng.random() < 0.6:
        example.close(remark(second, records, style.id_name, rng))
    return example.text


def _refer(records: list[dict[str, Any]], id_name: str, rng: Random) -> tuple[dict[str, Any], str]:
    """(one of the records, words that single it out)."""
    if len(records) == 1:
        return records[0], rng.choice(["it", "it", "that one", "the same one", "what you find"])
    index = rng.randrange(len(records))
    record = records[index]
    fields = [n for n, v in record.items() if n != id_name and isinstance(v, str | int) and not isinstance(v, bool)]
    if fields and rng.random() < 0.5:
        name = rng.choice(fields)
        if sum(other.get(name) == record[name] for other in records) == 1:
            return record, f"the one with {name.replace('_', ' ')} {record[name]}"
    if rng.random() < 0.5:
        return records[0], rng.choice(["the first one", "the first", "the top one"])
    return records[-1], rng.choice(["the last one", "the last", "the bottom one"])


def _borrow(function: Function, arguments: dict, said: dict, record: dict, rng: Random) -> None:
    """At times lets a text argument be a field of the record, which the sentence names instead of its value."""
    fields = [name for name, value in record.items() if isinstance(value, str)]
    given = [p for p in function.parameters if p.name in arguments and p is not function.key]
    texts = [p.name for p in given if p.type == "string"]
    if texts and rng.random() < 0.3:
        target, field = rng.choice(texts), rng.choice(fields)
        arguments[target], said[target] = record[field], f"its {field.replace('_', ' ')}"


def lacking(functions: list[Function], style: Style, rng: Random) -> str:
    """A sentence that leaves out what a call needs: a question about it, mostly an answer, and the call."""
    needy = [function for function in functions if function.required]
    if not needy:
        return single(functions, style, rng)
    function = rng.choice(needy)
    missing = rng.choice(function.required)
    arguments = choose_arguments(function, rng)
    said = {name: value for name, value in arguments.items() if name != missing.name}
    thing = (
        rng.choice(["a {}", "the {}", "one {}"]).format(function.thing.singular) if missing is function.key else None
    )
    example = Example(style, sentence_case(request_phrase(function, said, rng, thing), rng))
    name = missing.name.replace("_", " ")
    questions = [f"Which {name}?", f"What is the {name}?", f"What {name} should it be?", f"Please give the {name}."]
    if rng.random() < 0.3:
        example.close(rng.choice(questions), style.asking)
        return example.text
    value = arguments[missing.name]
    answer = values.spoken(value, rng) if rng.random() < 0.5 else missing.mention(value, rng)
    example.call(style.asking, {"text": rng.choice(questions)}, answer)
    result, _ = make_result(function, arguments, rng, style.id_name)
    example.call(function.name, arguments, result)
    return example.text


def unserved(functions: list[Function], style: Style, rng: Random) -> str:
    """A sentence that asks for what none of the functions does, at times of a thing that some of them know."""
    function = make_function(rng.choice(functions).thing, rng) if rng.random() < 0.5 else make_family(rng, 1)[0]
    if any(function.name.split("_")[0] == other.name.split("_")[0] for other in functions):
        return single(functions, style, rng)
    phrase = request_phrase(function, choose_arguments(function, rng), rng)
    example = Example(style, sentence_case(phrase, rng))
    why = ["There is no function for that.", f"Nothing here can {phrase}."]
    example.close(rng.choice([*why, f"No function knows {function.thing.plural}."]))
    return example.text


def exercise(functions: list[Function], style: Style, rng: Random) -> str:
    """One sentence and its call, whatever that may print."""
    function = rng.choice(functions)
    arguments = choose_arguments(function, rng)
    sentence = sentence_case(request_phrase(function, arguments, rng), rng)
    frame = style.example[: style.example.index("{call}")]
    return frame.replace("{sentence}", sentence) + call_text(function.name, arguments, style.python)


def library_page(rng: Random) -> str:
    """Signatures of one to eight functions, and three to seven examples of their use."""
    style = make_style(rng)
    functions = make_family(rng, rng.choice([1, 2, 2, 3, 3, 4, 5, 6, 8]))
    types = PYTHON_TYPES if style.python else {name: name for name in PYTHON_TYPES}
    blocks = [style.signature(function, types) for function in functions]
    kinds = rng.choices([single, chain, pair, lacking, unserved], weights=[45, 27, 10, 9, 9], k=rng.randint(3, 7))
    blocks += [kind(functions, style, rng) for kind in kinds]
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n"


def exercises_page(rng: Random) -> str:
    """Signatures of two to six functions, and many sentences with a call each, or with a question or a refusal."""
    style = make_style(rng)
    functions = make_family(rng, rng.choice([2, 3, 3, 4, 5, 6]))
    types = PYTHON_TYPES if style.python else {name: name for name in PYTHON_TYPES}
    blocks = [style.signature(function, types) for function in functions]
    kinds = rng.choices([exercise, lacking, unserved], weights=[66, 16, 18], k=rng.randint(8, 16))
    blocks += [kind(functions, style, rng).rstrip("\n") for kind in kinds]
    return rng.choice(["\n\n", "\n\n", "\n"]).join(blocks) + "\n"


# --- other text ---------------------------------------------------------------------------------------------------


def records_page(rng: Random) -> str:
    """Records as JSON or as a table, then sentences about them and questions with answers."""
    thing = make_thing(rng)
    fields = values.pick_parameters(rng, rng.randint(2, 4))
    rows = [{"id": values.code(rng)} | {p.name: p.sample(rng) for p in fields} for _ in range(rng.randint(3, 7))]
    if rng.random() < 0.5:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    else:
        lines = [" | ".join(rows[0])] + [" | ".join(values.spoken(v, rng) for v in row.values()) for row in rows]
    for _ in range(rng.randint(4, 10)):
        row, parameter = rng.choice(rows), rng.choice(fields)
        field, value = parameter.name.replace("_", " "), values.spoken(row[parameter.name], rng)
        mentions = " ".join(p.mention(row[p.name], rng) for p in fields)
        ways = (
            f"The {field} of {thing.singular} {row['id']} is {value}.",
            f"What is the {field} of {row['id']}? {value}",
            f"Which {thing.singular} is {parameter.mention(row[parameter.name], rng)}? {row['id']}",
            f"{row['id']}: {json.dumps(row[parameter.name], ensure_ascii=False)}",
            f"{thing.singular} {row['id']} {mentions}",
        )
        lines.append(rng.choice(ways))
    return "\n".join(lines) + "\n"


def recurring_page(rng: Random) -> str:
    """Random strings that come again in another order, in quotes, after a space or at the start of a line."""
    kinds = (values.title, values.code, values.person, values.sentence, values.address, values.path, values.town)
    items = [rng.choice(kinds)(rng) for _ in range(rng.randint(4, 14))]
    lines = [rng.choice(["{}", "- {}", "{},", "the {}"]).format(item) for item in items]
    for _ in range(rng.randint(1, 3)):
        frame = rng.choice(["{}", '"{}"', "see {}", 'name="{}"', '{{"item": "{}"}}', "* {} *", "'{}'", "{} again"])
        rng.shuffle(items)
        lines += [frame.format(item) for item in items]
    return "\n".join(lines) + "\n"


def echo_page(rng: Random) -> str:
    """A few random strings, the same again and again: what a model first learns to copy from."""
    kinds = (values.title, values.code, values.person, values.sentence, values.address, values.path, values.town)
    gap = rng.choice(["\n", " | ", ", ", "\n- ", "; ", " "])
    once = "".join(rng.choice(kinds)(rng) + gap for _ in range(rng.randint(1, 4)))
    return once * max(2, rng.randint(150, 350) // len(once))


def log_page(rng: Random) -> str:
    """A log with a few people and identifiers that come again."""
    people, codes = ([kind(rng) for _ in range(3)] for kind in (values.person, values.code))
    day, thing = values.date(rng), make_thing(rng)
    lines = []
    for _ in range(rng.randint(5, 15)):
        verb = rng.choice(VERBS)[1][0]
        who = rng.choice(people)
        lines.append(f"{day} {values.clock(rng)} {who} wants to {verb} {thing.singular} {rng.choice(codes)}")
    lines += [f"{who} was seen {sum(who in line for line in lines)} times" for who in people]
    return "\n".join(lines) + "\n"


def synonyms_page(rng: Random) -> str:
    """Groups of words that mean the same, and questions about them."""
    lines = []
    for names, *ways in rng.sample(VERBS + ASPECTS, 8):
        words = [way.replace("{o}", "it") for cell in ways for way in cell]
        name = names[0].split()[0]
        lines.append(f"{name}: {', '.join(dict.fromkeys(words))}")
        lines.append(f"to {rng.choice(words)} is to {name}")
    return "\n".join(lines) + "\n"


def letter(rng: Random) -> str:
    """Sentences of everyday words, some of which are quoted again."""
    sentences = [values.sentence(rng).rstrip(".!") for _ in range(rng.randint(4, 9))]
    lines = [f"Dear {values.person(rng)},", ". ".join(sentences) + "."]
    lines += [f'You wrote "{rng.choice(sentences)}" on {values.date(rng)}.' for _ in range(rng.randint(1, 4))]
    return "\n".join([*lines, f"Yours, {values.person(rng)}"]) + "\n"


_PAGES = [library_page, exercises_page, records_page, recurring_page, log_page, synonyms_page, letter]
_SHARES = [32, 48, 4, 10, 1, 3, 2]


def document(seed: int) -> str:
    """The document of that number: the same text whenever and wherever it is made."""
    rng = Random(seed)
    return rng.choices(_PAGES, _SHARES)[0](rng)


def vocabulary_texts(count: int) -> Iterator[str]:
    """What the vocabulary is trained on: documents, and their words once more without the spaces before them.

    A word then has mostly the same pieces after a space and inside quotes, and copying from one to the other is easy.
    """
    for seed in range(count):
        text = document(seed)
        yield text
        yield from repeat("_".join(re.findall("[A-Za-z]+", text)), COPIES)
