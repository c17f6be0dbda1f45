"""The text that the embedded base model is trained on, made from a seed: `document(seed)`.

Most documents are pages of a made-up library: signatures with docstrings in one of several styles, then what happens
with them. On some pages that is one sentence after the other with the call that does what it says; on others somebody
asks, a function is called, its result is printed, a second call takes a value from it, something missing is asked for,
a call fails and is corrected, and the result is told in words. The rest is text in which things recur: records as JSON
and as sentences, lists and logs, words of the same meaning. Names, values and identifiers are random, so that a model
gains little by remembering them and much by matching a sentence with a description and by copying.

The people in it are called anything but User and Assistant, and no function of the tool library occurs.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from random import Random
from typing import Any

from tl.assets.tiny import values
from tl.assets.tiny.concepts import ACTIONS, ATTRIBUTES, LISTING, LOOKING, RELATIONS, SYNONYMS
from tl.assets.tiny.functions import (
    Function,
    as_sentence,
    call_text,
    choose_arguments,
    make_family,
    make_result,
    make_thing,
    request_phrase,
)
from tl.assets.tiny.signatures import JSON_TYPES, PYTHON_TYPES, SIGNATURES, Signature
from tl.assets.tiny.values import Parameter
from tl.assets.tiny.words import ADJECTIVES, COMMON, FIRST_NAMES, NOUNS, words_of

TURN_END = "\x03"  # in `marked_document`, where a model that writes the calls would stop

# How often words are at least taken to stand in the text of the vocabulary, and odd ones at most.
COMMON_WORD, TABLE_WORD, FIRST_WORD, ODD_WORD = 120, 100, 300, 20

# What stands before a sentence, before the call that it asks for and before what the call prints.
FRAMES = [
    ("# ", "", "# "),
    ("# ", ">>> ", ""),
    ("", ">>> ", ""),
    ("", "    ", "    -> "),
    ("", "result = ", "# result: "),
    ("Example: ", "Code: ", "Prints: "),
    ("To do: ", "Run: ", "Gives: "),
    ("* ", "  -> ", "  <- "),
    ("> ", "$ ", ""),
    ("[in] ", "[call] ", "[out] "),
]
WHO_ASKS = words_of(
    "Guest Client Caller Visitor Customer Boss Reader Me You Q Question Wish Task Input Person Owner Human Ann"
)
WHO_ACTS = words_of(
    "Robot Helper Worker Agent Machine Bot A Code Action Step Clerk Desk Do Model Butler Service Hand Reply"
)
WHAT_COMES = words_of(
    "Result Returned Response Got Answer Prints Log Feedback Value Back Return Observation Data Line Gives"
)
HEADINGS = [
    "",
    "",
    "",
    "Tools:",
    "What there is:",
    "Commands",
    "# The library",
    "Available:",
    "Catalogue:",
    "Manual:",
    "Kit:",
]
BLOCKS = ["", "", "", "Tool:\n", "Command:\n", "Op:\n", "Entry:\n", "* * *\n", "Method:\n", "Skill:\n", "Api:\n"]
ASKING = words_of(
    "ask inquire question wonder request clarify ask_back ask_for_more ask_client inquire_further get_missing"
)
ASKING_TEXTS = [
    "Ask for what is not known.",
    "Put a question.",
    "Ask the other side.",
    "A question about what is missing.",
    "Find out what has not been said.",
    "Request something that was left out.",
]
CLOSING = words_of(
    "say note conclude tell close respond report_back answer give_answer done end_with wrap_up write_down speak"
)
CLOSING_TEXTS = [
    "Say what came of it.",
    "Tell the result.",
    "The last word.",
    "Close with an answer.",
    "Give the result in words.",
    "Reply and stop.",
]
REFUSALS = [
    "There is no function for that.",
    "None of these can do that.",
    "That is beyond me.",
    "Not possible here.",
    "Sorry, nothing here serves that.",
    "No tool fits.",
    "I have nothing for this.",
]
QUESTIONS = ["Which {}?", "What is the {}?", "What {} should it be?", "Please give the {}.", "The {}, please?", "{}?"]


def _builtin(names: Sequence[str], texts: Sequence[str], rng: Random) -> Function:
    """One of the two functions of a page that speak: to ask for what is missing, or to close."""
    said = rng.choice(["text", "text", "message", "words", "content", "said", "sentence", "line"])
    parameter = Parameter(
        said, "string", rng.choice(["The text.", "What to say.", "The words.", "In one sentence."]), (), values.sentence
    )
    thing = make_thing(rng)
    return Function(rng.choice(names), thing, "", rng.choice(texts), (), (parameter,), ())


@dataclass(frozen=True)
class Style:
    """How one page is written; drawn once a page."""

    python: bool  # Python's type names and literals instead of JSON's
    signature: Signature
    block: str  # before each signature
    frame: tuple[str, str, str]
    closing: Function | None  # None: closing remarks are comments
    asking: Function
    refusal: str
    question: str
    telling: int  # which way of telling results
    id_name: str  # what the records of results call their id

    def show(self, function: Function) -> str:
        return self.block + self.signature(function, PYTHON_TYPES if self.python else JSON_TYPES)

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        return self.frame[1] + call_text(name, arguments, self.python) + TURN_END + "\n"


def make_style(rng: Random, roles: bool = False) -> Style:
    """`roles`: a page of conversations between two sides, who say all they say with functions."""
    frame = rng.choice(FRAMES)
    if roles or rng.random() < 0.3:
        names = [rng.choice(WHO_ASKS), rng.choice(WHO_ACTS), rng.choice(WHAT_COMES)]
        if rng.random() < 0.15:
            names = [rng.choice([*NOUNS, values.made_up_word(rng), *FIRST_NAMES]).capitalize() for _ in names]
        cases: list[Callable[[str], str]] = [str, str, str, str.upper, str.lower]
        case = rng.choice(cases)
        shape = rng.choice(["{}: ", "{}: ", "{}: ", "{}: ", "{} > ", "{} - ", "[{}] "])
        asks, acts, comes = (shape.format(case(name)) for name in names)
        frame = (asks, acts, comes)
    closing = _builtin(CLOSING, CLOSING_TEXTS, rng) if roles or rng.random() < 0.7 else None
    return Style(
        python=rng.random() < 0.12,
        signature=rng.choice(SIGNATURES),
        block=rng.choice(BLOCKS),
        frame=frame,
        closing=closing,
        asking=_builtin(ASKING, ASKING_TEXTS, rng),
        refusal=rng.choice(REFUSALS),
        question=rng.choice(QUESTIONS),
        telling=rng.randrange(5),
        id_name=rng.choice(["id", "id", "code", "key", "ref", "number", "{}_id", "{}_id"]),
    )


# --- examples -----------------------------------------------------------------------------------------------------


class Example:
    """One request and what is done about it, written line by line."""

    def __init__(self, style: Style, sentence: str) -> None:
        self.style = style
        self.text = style.frame[0] + sentence + "\n"

    def call(self, name: str, arguments: dict[str, Any], result: Any) -> None:
        printed = result if isinstance(result, str) else (repr if self.style.python else json_text)(result)
        self.text += self.style.call(name, arguments) + self.style.frame[2] + printed + "\n"

    def speak(self, function: Function | None, words: str) -> None:
        """A line that says something, by a function or as a comment."""
        if function:
            self.text += self.style.call(function.name, {function.required[0].name: words})
        else:
            self.text += f"# {words}{TURN_END}\n"

    def ask(self, question: str, answer: str | None) -> None:
        self.speak(self.style.asking, question)
        if answer is not None:
            self.text += self.style.frame[2] + answer + "\n"


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _id_name(function: Function, style: Style) -> str:
    return style.id_name.format(function.thing.code())


def tell(function: Function, records: list[dict[str, Any]], style: Style, rng: Random) -> str:
    """A result in words: all of its fields, or the ids of several records, in the way of the page."""
    thing, first = function.thing, next(iter(records[0]))
    if len(records) > 1:
        ids = ", ".join(str(record[first]) for record in records)
        said = first.replace("_", " ")
        ways = [f"There are {len(records)} {thing.plural}: {ids}.", f"Found {ids}.", f"The {said}s: {ids}."]
        return [*ways, f"{len(records)} {thing.plural} match, namely {ids}.", f"{said}s {ids}"][style.telling]
    fields = [(name.replace("_", " "), _told(value)) for name, value in records[0].items()]
    ways = [", ".join(f"{name} {value}" for name, value in fields) + "."]
    ways.append("Its " + " and its ".join(f"{name} is {value}" for name, value in fields) + ".")
    ways.append("; ".join(f"{name}: {value}" for name, value in fields))
    ways.append(f"The {thing.singular} has " + " and ".join(f"the {name} {value}" for name, value in fields) + ".")
    ways.append("That makes " + ", ".join(f"{value} ({name})" for name, value in fields) + ".")
    text = ways[style.telling]
    return text[0].upper() + text[1:]


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _run(example: Example, function: Function, arguments: dict[str, Any], rng: Random) -> list[dict[str, Any]]:
    """The call with its result, at times after one that fails; returns the records in the result."""
    if rng.random() < 0.08:
        _fail(example, function, arguments, rng)
    result, records = make_result(function, arguments, rng, _id_name(function, example.style))
    example.call(function.name, arguments, result)
    return records


def _fail(example: Example, function: Function, arguments: dict[str, Any], rng: Random) -> None:
    """A call that goes wrong, for a reason that its result tells."""
    names, kind = list(arguments), rng.random()
    if kind < 0.3 or not names:
        trouble = rng.choice(
            ["out of reach for a moment", "busy, ask again", "the line was cut", "too slow", "no connection"]
        )
        return example.call(function.name, arguments, rng.choice([trouble, {"problem": trouble}, f"Error: {trouble}"]))
    name = rng.choice(names)
    if kind < 0.55:
        wrong = {("value" if key == name else key): value for key, value in arguments.items()}
        return example.call(
            function.name, wrong, rng.choice(["no parameter value", f"'value' is not known, {name} is missing"])
        )
    if kind < 0.75:
        left = {key: value for key, value in arguments.items() if key != name}
        return example.call(function.name, left, rng.choice([f"{name} is missing", f"needs {name}", {"lacking": name}]))
    if kind < 0.85:
        other = f"{function.name}_{rng.choice(NOUNS)}"
        return example.call(other, arguments, rng.choice([f"no function {other}", f"{other} is unknown"]))
    wrong = arguments | {name: values.title(rng)}
    return example.call(function.name, wrong, rng.choice([f"bad {name}", f"{name}: not that", {"wrong": name}]))


def single(functions: list[Function], style: Style, rng: Random) -> str:
    """One call for one request."""
    function = rng.choice(functions)
    arguments = choose_arguments(function, rng)
    example = Example(style, as_sentence(request_phrase(function, arguments, rng), rng))
    records = _run(example, function, arguments, rng)
    example.speak(style.closing, tell(function, records, style, rng))
    return example.text


def pair(functions: list[Function], style: Style, rng: Random) -> str:
    """Two calls for one request, which have nothing to do with each other."""
    chosen = [rng.choice(functions), rng.choice(functions)]
    arguments = [choose_arguments(function, rng) for function in chosen]
    (kind, first), (_, second) = (
        request_phrase(f, a, rng, orders=place > 0) for place, (f, a) in enumerate(zip(chosen, arguments, strict=True))
    )
    joint = (
        rng.choice([" and ", ", then ", "; also ", " and after that ", ". Then ", ". Also "])
        if kind in ("order", "telling")
        else "? Then "
    )
    example = Example(
        style,
        as_sentence(
            (kind if kind in ("order", "telling") else "statement", (first + joint + second).replace("\n", ", ")), rng
        ),
    )
    records = [_run(example, function, given, rng) for function, given in zip(chosen, arguments, strict=True)]
    example.speak(style.closing, tell(chosen[1], records[1], style, rng))
    return example.text


def chain(functions: list[Function], style: Style, rng: Random) -> str:
    """A call, and a second one about a record of its result: "find the harps in Darvo and repair the last one"."""
    firsts = [f for f in functions if f.gives_list]
    pairs = [(a, b, b.key.name) for a in firsts for b in functions if b.key is not None and a.thing == b.thing]
    if not pairs:
        return single(functions, style, rng)
    first, second, key = rng.choice(pairs)
    known = choose_arguments(first, rng)
    id_name = _id_name(first, style)
    result, records = make_result(first, known, rng, id_name)
    record, reference = _refer(records, id_name, rng)
    arguments = choose_arguments(second, rng, {key: record[id_name]})
    kind, opening = request_phrase(first, known, rng, orders=True)
    _, follow_up = request_phrase(second, arguments, rng, thing=reference, orders=True)
    joint = rng.choice([" and ", ", then ", " and then ", "; afterwards ", ". Then ", ". After that, "])
    example = Example(style, as_sentence((kind, (opening + joint + follow_up).replace("\n", ", ")), rng))
    example.call(first.name, known, result)
    records = _run(example, second, arguments, rng)
    example.speak(style.closing, tell(second, records, style, rng))
    return example.text


def _refer(records: list[dict[str, Any]], id_name: str, rng: Random) -> tuple[dict[str, Any], str]:
    """(one of the records, words that single it out)."""
    if len(records) == 1:
        return records[0], rng.choice(["it", "it", "that one", "the same one", "what you find", "the first one"])
    record = rng.choice(records)
    fields = [n for n, v in record.items() if n != id_name and isinstance(v, str | int) and not isinstance(v, bool)]
    if fields and rng.random() < 0.4:
        name = rng.choice(fields)
        if sum(other.get(name) == record[name] for other in records) == 1:
            return record, f"the one with {name.replace('_', ' ')} {record[name]}"
    if rng.random() < 0.65:
        return records[0], rng.choice(["the first one", "the first", "the top one", "the first of them"])
    return records[-1], rng.choice(["the last one", "the last", "the bottom one"])


def lacking(functions: list[Function], style: Style, rng: Random) -> str:
    """A request that leaves out what a call needs: a question about it, an answer, and the call."""
    needy = [f for f in functions if any("{" + p.name + "}" not in r.text for p in f.required for r in f.requests)]
    if not needy:
        return single(functions, style, rng)
    function = rng.choice(needy)
    missing = rng.choice(function.required)
    if any("{" + missing.name + "}" in request.text for request in function.requests):
        missing = function.required[0]
    arguments = choose_arguments(function, rng)
    known = {name: value for name, value in arguments.items() if name != missing.name}
    example = Example(style, as_sentence(request_phrase(function, known, rng), rng))
    question = style.question.format(missing.said)
    question = question[0].upper() + question[1:]
    if style.closing is None and rng.random() < 0.5:  # on a page of exercises
        example.ask(question, None)
        return example.text
    value = values.spoken(arguments[missing.name], rng)
    ways = [
        "{}",
        "{}",
        "{}.",
        "{}, I think.",
        "Let us say {}.",
        "Make it {}.",
        "{}, of course.",
        "Well, {}!",
        "I meant {}",
    ]
    example.ask(question, rng.choice(ways).format(value))
    records = _run(example, function, arguments, rng)
    example.speak(style.closing, tell(function, records, style, rng))
    return example.text


def exercise(functions: list[Function], style: Style, rng: Random) -> str:
    """One request and its call, whatever that may print."""
    function = rng.choice(functions)
    arguments = choose_arguments(function, rng)
    sentence = as_sentence(request_phrase(function, arguments, rng), rng)
    return f"{style.frame[0]}{sentence}\n{style.call(function.name, arguments)}"


def question_only(functions: list[Function], style: Style, rng: Random) -> str:
    """A request that leaves out what a call needs, and the question about it."""
    return "".join(lacking(functions, style, rng).splitlines(keepends=True)[:2])


def refuse(functions: list[Function], style: Style, rng: Random) -> str:
    """A request for what none of the functions does: one that the page left out, or something else altogether."""
    function = rng.choice(functions)
    example = Example(style, as_sentence(request_phrase(function, choose_arguments(function, rng), rng), rng))
    example.speak(style.closing, style.refusal)
    return example.text


def _page(
    rng: Random, style: Style, sizes: Sequence[int], kinds: dict[Any, int], lengths: Sequence[int], speaks: bool
) -> list[str]:
    """Signatures and then examples of `kinds`, with their weights."""
    size = rng.choice(sizes)
    family = make_family(rng, size + 2)
    functions, left_out = family[:size], family[size:]
    shown = [*functions, *([style.asking, *([style.closing] if style.closing else [])] if speaks else [])]
    if rng.random() < 0.2:
        rng.shuffle(shown)
    heading = rng.choice(HEADINGS)
    blocks = ([heading] if heading else []) + [style.show(function) for function in shown]
    page = ["\n\n".join(blocks)]
    for kind in rng.choices(list(kinds), list(kinds.values()), k=rng.choice(lengths)):
        others = left_out if rng.random() < 0.6 else make_family(rng, 1)
        page.append(kind(others if kind is refuse else functions, style, rng).rstrip("\n"))
    return page


def conversation_page(rng: Random) -> str:
    """Functions, and what two sides do with them: questions, results that lead to the next call, answers."""
    style = make_style(rng, roles=True)
    kinds = {single: 44, chain: 22, pair: 10, lacking: 13, refuse: 11}
    first, *others = _page(rng, style, (2, 3, 3, 4, 4, 5, 6, 7), kinds, range(3, 7), rng.random() < 0.85)
    return first + rng.choice(["\n", "\n\n"]) + rng.choice(["\n", "\n", "\n\n"]).join(others) + "\n"


def exercises_page(rng: Random) -> str:
    """Functions, and many sentences with a call each, or with a question or a refusal."""
    style = make_style(rng)
    kinds = {exercise: 72, question_only: 13, refuse: 15}
    first, *others = _page(rng, style, (2, 3, 3, 4, 4, 5, 6), kinds, range(7, 12), rng.random() < 0.4)
    return first + "\n\n" + rng.choice(["\n\n", "\n", "\n"]).join(others) + "\n"


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
        verb = rng.choice(ACTIONS)[0][0].split()[0]
        who = rng.choice(people)
        lines.append(f"{day} {values.clock(rng)} {who} wants to {verb} {thing.singular} {rng.choice(codes)}")
    lines += [f"{who} was seen {sum(who in line for line in lines)} times" for who in people]
    return "\n".join(lines) + "\n"


def synonyms_page(rng: Random) -> str:
    """Groups of words that mean the same, and questions about them."""
    lines = []
    for names, orders, situations, _ in rng.sample(ACTIONS, 4):
        words, name = [way.replace("{o}", "it") for way in orders], rng.choice(names[0].split())
        lines.append(f"{name}: {', '.join(words)}")
        lines.append(f"to {rng.choice(words)} is to {name}")
        lines += [f"{rng.choice(situations).replace('{o}', 'it')}: {name} it"] if situations[0] else []
    for names, _, nouns, questions in rng.sample(ATTRIBUTES, 5):
        lines.append(f"{rng.choice(questions).replace('{o}', 'it')}? its {rng.choice([*nouns, *names[0].split()])}")
    for [alike] in rng.sample(SYNONYMS, 5):
        lines.append(
            rng.choice(["{}", "{} mean the same", "words: {}"]).format(", ".join(rng.sample(alike, len(alike))))
        )
        lines.append(f"a {rng.choice(alike)} is a {rng.choice(alike)}")
    rng.shuffle(lines)
    return "\n".join(lines) + "\n"


def letter(rng: Random) -> str:
    """Sentences of everyday words, some of which are quoted again."""
    sentences = [values.sentence(rng).rstrip(".!") for _ in range(rng.randint(4, 9))]
    lines = [f"Dear {values.person(rng)},", ". ".join(sentences) + "."]
    lines += [f'You wrote "{rng.choice(sentences)}" on {values.date(rng)}.' for _ in range(rng.randint(1, 4))]
    return "\n".join([*lines, f"Yours, {values.person(rng)}"]) + "\n"


_PAGES = [conversation_page, exercises_page, records_page, recurring_page, log_page, synonyms_page, letter]
_SHARES = [42, 45, 2, 6, 1, 3, 1]


def marked_document(seed: int) -> str:
    """The document of that number, with TURN_END after each call and closing remark."""
    rng = Random(seed)
    return rng.choices(_PAGES, _SHARES)[0](rng)


def document(seed: int) -> str:
    """The document of that number: the same text whenever and wherever it is made."""
    return marked_document(seed).replace(TURN_END, "")


def vocabulary_texts(count: int) -> Iterator[str]:
    """What the vocabulary is trained on: the words of the lists, each after a space and without one in turn, about as
    often as they stand in `count` documents, and some of the documents as they are.

    So a word has one piece in names and quotes and one for after a space, which makes copying easy, and the vocabulary
    is not spent on parts of random names. First words of names count most, everyday words more than odd ones.
    """
    documents = [document(seed) for seed in range(count)]
    counts = Counter(word for text in documents for word in re.findall("[A-Za-z]{2,}", text))
    tables = [cell for table in (ACTIONS, ATTRIBUTES, SYNONYMS) for row in table for cells in row for cell in cells]
    starts = [*ASKING, *CLOSING, *LOOKING, *(row[0][0] for table in (ACTIONS, LISTING, RELATIONS) for row in table)]
    least = {word: 0 for word in (*NOUNS, *ADJECTIVES)}
    parameters = [parameter.name for parameter in values.PARAMETERS]
    levels = ((COMMON_WORD, COMMON), (TABLE_WORD, tables), (TABLE_WORD, parameters), (FIRST_WORD, starts))
    for times, texts in levels:
        least |= dict.fromkeys(re.findall("[a-z]{2,}", " ".join(texts)), times)
    for word, times in sorted(least.items()):
        number = counts[word] + counts[word.capitalize()]
        yield from repeat(f"{word}_{word}", max(times, number) if times else min(ODD_WORD, number))
        yield from repeat(word.capitalize(), counts[word.capitalize()])
    yield from documents[: count // 8]
