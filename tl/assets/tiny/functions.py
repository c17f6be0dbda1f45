"""Made-up functions for the corpus: families of similar names, requests in many words, calls and their results."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tl.assets.tiny import values
from tl.assets.tiny.concepts import ACTIONS, ATTRIBUTES, KNOW, LISTING, LOOKING, RELATIONS, SYNONYMS, TELL
from tl.assets.tiny.values import KINDS, Parameter
from tl.assets.tiny.words import ADJECTIVES, NOUNS

PLURAL_ACTIONS = ("compare", "merge", "sort")


def plural_of(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun[-1] in "sxz" or noun[-2:] in ("sh", "ch") else "s")


def one(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


@dataclass(frozen=True)
class Thing:
    """What a family of functions is about: `blue_car` in names, "blue car" or "blue automobile" in sentences."""

    names: tuple[str, ...]  # the first is that of the code
    sample: Callable[[Random], str]  # its ids
    example: str  # one of them, where they are all of one form

    @property
    def singular(self) -> str:
        return self.names[0]

    @property
    def plural(self) -> str:
        return plural_of(self.singular)

    def code(self, plural: bool = False) -> str:
        return re.sub("[ -]", "_", self.plural if plural else self.singular)

    def said(self, rng: Random, plural: bool = False) -> str:
        """The name in a sentence: in half of them another word than in the code, where there is one."""
        name = rng.choice(self.names[1:]) if self.names[1:] and rng.random() < 0.5 else self.singular
        return plural_of(name) if plural else name


def make_thing(rng: Random) -> Thing:
    shape = rng.random()
    names: tuple[str, ...]
    if shape < 0.2:
        names = (values.made_up_word(rng),)
    elif shape < 0.35:
        names = (f"{rng.choice(NOUNS)} {rng.choice(NOUNS)}",)
    elif shape < 0.5:
        names = (f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}",)
    else:
        [*alike] = rng.choice(SYNONYMS)[0]
        rng.shuffle(alike)
        adjective = f"{rng.choice(ADJECTIVES)} " if shape < 0.7 else ""
        names = tuple(adjective + name for name in alike)
    if rng.random() < 0.25:
        return Thing(names, rng.choice([values.code, values.title]), "")
    sample = values.code_maker(rng)
    return Thing(names, sample, sample(rng))


@dataclass(frozen=True)
class Request:
    """A way to ask; {o} stands for the thing. `kind`: an order, one to tell something ("telling"), a question, or a
    statement that implies an order."""

    kind: str
    text: str


@dataclass(frozen=True)
class Function:
    """A function with the ways to ask for what it does."""

    name: str
    thing: Thing
    concept: str  # what it does: no two functions of a page do the same to the same thing
    description: str
    requests: tuple[Request, ...]
    required: tuple[Parameter, ...]
    optional: tuple[Parameter, ...]
    key: Parameter | None = None  # the parameter that takes the thing's id, one of `required`
    gives_list: bool = False
    tells: Parameter | None = None  # what the result holds for certain

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.required + self.optional


# --- functions ----------------------------------------------------------------------------------------------------


def _key_parameter(thing: Thing, rng: Random, name: str | None = None) -> Parameter:
    name = name or rng.choice([f"{thing.code()}_id"] * 4 + ["id", thing.code(), "code", "key", "number"])
    such = rng.choice(["such as {}", "such as {}", "like {}", "e.g. {}", "for example {}"]).format(thing.example)
    said = [f"Id of the {thing.singular}.", f"The {thing.singular} in question.", "Its id.", f"Which {thing.singular}."]
    if thing.example:
        said += [f"Id {such}.", f"Id {such}.", f"Code {such}.", f"The {thing.singular}, {such}.", f"Id, {such}."]
    mentions = ("{v}", "{v}", "{v}", "with id {v}", "number {v}", "(id {v})", "with the id {v}", "no. {v}")
    return Parameter(name, "string", rng.choice(said), mentions, thing.sample)


def _orders(row: Sequence[str], kind: str = "order") -> list[Request]:
    return [Request(kind, text if "{" in text else f"{text} {{o}}") for text in row if text]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _state(way: str, what: str) -> str:
    return way.replace("{o}", what) if "{o}" in way else f"{way} {what}"


@dataclass(frozen=True)
class Habit:
    """What the functions of a family like to begin with, so that several have the same first words."""

    action: int  # number of a row of ACTIONS
    looking: str

    @classmethod
    def draw(cls, rng: Random) -> "Habit":
        return cls(rng.randrange(len(ACTIONS)), rng.choice(["get", "get", *LOOKING]))


def _action(thing: Thing, habit: Habit, rng: Random) -> Function:
    """`repair_lantern`: something is done to the thing."""
    number = habit.action if rng.random() < 0.35 else rng.randrange(len(ACTIONS))
    codes, orders, situations, stated = ACTIONS[number]
    [names] = codes
    code = names.split()[0] if number == habit.action else rng.choice(names.split())
    requests = _orders(orders) + _orders([s for s in situations if rng.random() < 0.7], "statement")
    plural = names.split()[0] in PLURAL_ACTIONS
    what = thing.plural if plural else one(thing.singular)
    description = _sentence(_state(rng.choice(stated), what))
    key = None if number < 2 or plural or rng.random() < 0.15 else _key_parameter(thing, rng)
    name = f"{code}_{thing.code(plural)}"
    return _with_parameters(Function(name, thing, names, description, tuple(requests), (), (), key), rng)


def _question(way: str) -> Request:
    return Request("statement" if way.endswith("please") else "question", way)


def _clause(question: str) -> str | None:
    """ "how heavy is {o}" as it stands after "tell me": "how heavy {o} is"."""
    turned = re.fullmatch(
        r"((?:what|how|who|where|when|why|which|whose|in which|on which|at what).*?) (is|are|was) "
        r"\{o\}( .*)?",
        question,
    )
    return f"{turned[1]} {{o}} {turned[2]}{turned[3] or ''}" if turned else None


def _attribute(thing: Thing, habit: Habit, rng: Random) -> Function:
    """`get_lantern_weight`, or just `lantern_weight`: something about the thing is told."""
    [names], [kind], nouns, questions = rng.choice(ATTRIBUTES)
    attribute = rng.choice(names.split())
    requests = [_question(way) for way in questions]
    requests += [Request("telling", f"{rng.choice(KNOW)} {way}") for way in map(_clause, questions) if way]
    for noun in nouns:
        requests.append(Request("telling", f"{rng.choice(TELL)} the {noun} of {{o}}"))
        requests.append(Request("statement", rng.choice([f"{noun} of {{o}}", f"{noun} of {{o}}, please"])))
        requests.append(Request("telling", f"{rng.choice([*TELL, 'what is', 'what is', 'tell me'])} {{o}}'s {noun}"))
    about, a_thing = rng.choice(nouns), one(thing.singular)
    described = [f"the {about} of {a_thing}", f"the {about} of {a_thing}", f"{a_thing}'s {about}"]
    states = ["return {}", "get {}", "tell {}", "give {}", "look up {}", "{}", "{}", "read {}", "show {}"]
    description = _sentence(rng.choice(states).format(rng.choice(described)))
    if rng.random() < 0.2:
        description = _sentence(
            f"tells {rng.choice([q for q in map(_clause, questions) if q] or [f'the {about} of {{o}}'])}".replace(
                "{o}", a_thing
            )
        )
    verb = habit.looking if rng.random() < 0.75 else rng.choice(LOOKING)
    name = f"{verb}_{thing.code()}_{attribute}".lstrip("_")
    tells = Parameter(attribute, "string", "", (), KINDS[kind])
    extra = values.pick_parameters(rng, rng.choice([0, 0, 0, 0, 1]))
    key = _key_parameter(thing, rng)
    extra = [p for p in extra if p.name not in (key.name, attribute)]
    return Function(name, thing, names, description, tuple(requests), (key,), tuple(extra), key, tells=tells)


def _setting(thing: Thing, rng: Random) -> Function:
    """`set_lantern_weight`: something about the thing gets a new value."""
    [names], [kind], nouns, _ = rng.choice(ATTRIBUTES[:60])
    attribute = rng.choice(names.split())
    verb = rng.choice(["set", "set", "update", "change", "adjust"])
    ways = ["set the {} of {{o}}", "change the {} of {{o}}", "change {{o}}'s {}", "update the {} of {{o}}"]
    ways += ["set {{o}}'s {}", "adjust the {} of {{o}}", "put the {} of {{o}}"]
    requests = tuple(Request("order", way.format(noun)) for noun in nouns for way in rng.sample(ways, 4))
    noun = rng.choice(nouns)
    description = _sentence(
        rng.choice(["set the {} of {}", "change {1}'s {0}", "give {1} a new {0}", "update the {} of {}"]).format(
            noun, one(thing.singular)
        )
    )
    key = _key_parameter(thing, rng)
    sample = KINDS[kind]
    new = Parameter(
        rng.choice([attribute, attribute, f"new_{attribute}", "value"]),
        values.type_of(sample(rng)),
        rng.choice([f"The new {noun}.", "New value.", f"What the {noun} should be."]),
        ("to {v}",),
        sample,
    )
    if new.name == key.name:
        return _setting(thing, rng)
    return Function(
        f"{verb}_{thing.code()}_{attribute}", thing, f"set {names}", description, requests, (key, new), (), key
    )


def _listing(thing: Thing, rng: Random) -> Function:
    """`search_lanterns`, `count_lanterns` or `list_lanterns_by_town`: about all things that fit."""
    [names], orders, stated = rng.choice(LISTING)
    code = rng.choice(names.split())
    name, description = f"{code}_{thing.code(plural=True)}", f"{rng.choice(stated)} {thing.plural}"
    wanted = values.pick_parameters(rng, rng.choice([0, 1, 1, 2, 2, 3]))
    split, concept = rng.randint(0, len(wanted)), names
    required, optional = wanted[:split], wanted[split:]
    if required and rng.random() < 0.5:
        name = f"{name}_by_{required[0].name}"
        description = f"{description} {rng.choice(['by', 'by', 'of a given', 'with a certain'])} " + required[0].said
        concept = f"{names} by {required[0].name}"
    tells = None
    if names.startswith("count"):
        tells = Parameter("count", "integer", "", (), values.whole)
    return Function(
        name,
        thing,
        concept,
        _sentence(description),
        tuple(_orders(orders)),
        tuple(required),
        tuple(optional),
        None,
        tells is None,
        tells,
    )


def _relation(thing: Thing, other: Thing, rng: Random) -> Function:
    """`add_lantern_to_shed`: about two things."""
    [names], orders, stated = rng.choice(RELATIONS)
    parts = {"a": thing.code(), "b": other.code()}
    name = rng.choice(names.split()).format(**parts)
    key, second = (_key_parameter(each, rng, f"{each.code()}_id") for each in (thing, other))
    description = _sentence(rng.choice(stated).format(a=one(thing.singular), b=one(other.singular)))
    requests = tuple(Request("order", way.replace("{a}", "{o}").replace("{b}", f"{{{second.name}}}")) for way in orders)
    second = replace(
        second, mentions=tuple(f"{rng.choice(['the ', 'the ', ''])}{n} {{v}}" for n in other.names) + ("{v}",)
    )
    return Function(name, thing, f"{names} {other.singular}", description, requests, (key, second), (), key)


def _with_parameters(function: Function, rng: Random) -> Function:
    key = function.key
    wanted = [
        p for p in values.pick_parameters(rng, rng.choice([0, 0, 1, 1, 2, 3])) if key is None or p.name != key.name
    ]
    if key is None and not wanted:
        wanted = values.pick_parameters(rng, 1)
    split = rng.randint(0 if key else 1, len(wanted)) if wanted else 0
    required = ([key] if key else []) + wanted[:split]
    return replace(function, required=tuple(required), optional=tuple(wanted[split:]))


def make_function(things: Sequence[Thing], habit: Habit, rng: Random) -> Function:
    thing = rng.choice(things)
    others = [other for other in things if other.code() != thing.code()]
    kinds = rng.random()
    if kinds < 0.38:
        return _action(thing, habit, rng)
    if kinds < 0.66:
        return _attribute(thing, habit, rng)
    if kinds < 0.86:
        return _listing(thing, rng)
    if kinds < 0.93 or not others:
        return _setting(thing, rng)
    return _relation(thing, rng.choice(others), rng)


def make_family(rng: Random, count: int) -> list[Function]:
    """`count` functions about one to three things in random order; no two of a name, or of a purpose."""
    things = [make_thing(rng) for _ in range(rng.randint(1, min(3, max(1, count // 2))))]
    functions: dict[str, Function] = {}
    purposes: set[tuple[str, str]] = set()
    habit = Habit.draw(rng)
    while len(functions) < count:
        function = make_function(things, habit, rng)
        purpose = (function.concept, function.thing.singular)
        if rng.random() < 0.04:
            code = rng.choice(["op", "run", "f", values.made_up_word(rng)])
            function = replace(function, name=f"{code}_{rng.randint(1, 99)}")
        if purpose not in purposes and function.name not in functions:
            functions[function.name] = function
            purposes.add(purpose)
    family = list(functions.values())
    rng.shuffle(family)
    return family


# --- requests -----------------------------------------------------------------------------------------------------


def choose_arguments(function: Function, rng: Random, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Values for all required parameters and some optional ones, in the order of the signature."""
    chosen = function.required + tuple(p for p in function.optional if rng.random() < 0.4)
    return {p.name: (known or {}).get(p.name, p.sample(rng)) for p in chosen}


def _thing_phrase(function: Function, arguments: dict[str, Any], rng: Random) -> str:
    key, thing = function.key, function.thing
    if function.gives_list or function.concept.startswith("count"):
        return thing.said(rng, plural=True)
    if key is None:
        plural = function.concept.split()[0] in PLURAL_ACTIONS
        return thing.said(rng, True) if plural else rng.choice([one, one, "the {}".format])(thing.said(rng))
    if key.name not in arguments:  # the sentence leaves it out
        return rng.choice(["the {}", "the {}", "my {}", "a certain {}", "this {}"]).format(thing.said(rng))
    mention = key.mention(arguments[key.name], rng)
    if thing.example and thing.example in key.description and mention == arguments[key.name] and rng.random() < 0.4:
        return mention  # the form of the id says what it is
    return rng.choice(["the {} ", "the {} ", "{} ", "our {} "]).format(thing.said(rng)) + mention


def request_phrase(
    function: Function, arguments: dict[str, Any], rng: Random, thing: str | None = None, orders: bool = False
) -> tuple[str, str]:
    """(kind, words) of a request that gives all arguments in a random order: "look for harps in Darvo, at most 5"."""
    ways = [way for way in function.requests if way.kind in ("order", "telling") or not orders]
    way = rng.choice(ways)
    phrase = way.text.replace("{o}", thing or _thing_phrase(function, arguments, rng))
    rest = [p for p in function.parameters if p.name in arguments and p is not function.key]
    rng.shuffle(rest)
    more = []
    for parameter in rest:
        said, place = parameter.mention(arguments[parameter.name], rng), rng.random()
        if f"{{{parameter.name}}}" in phrase:
            phrase = phrase.replace(f"{{{parameter.name}}}", said)
        elif place < 0.65 or (orders and place < 0.9):
            phrase += rng.choice([" ", " ", " ", ", "]) + said
        elif place < 0.8 and re.match(r"(in|on|for|from|at|by|under|with|within) ", said):
            phrase = f"{said}, {phrase}"
        else:
            more.append(parameter.remark(arguments[parameter.name], rng))
    return way.kind, phrase if not more else "\n".join([phrase, *more])


_OPENINGS = [
    "",
    "",
    "",
    "",
    "",
    "please ",
    "please ",
    "now ",
    "next, ",
    "then ",
    "we have to ",
    "I want to ",
    "I have to ",
]
_OPENINGS += ["it is time to ", "let us ", "would you ", "can somebody ", "the plan is to ", "try to ", "remember to "]
_OPENINGS += ["can you ", "could you ", "could you please ", "I would love to ", "my wish: ", "first, "]
_POLITE = ["", "", "", "", "please ", "please ", "can you ", "could you ", "now ", "would you please "]
_WRAPPINGS = ["{}"] * 14 + ["Good day! {}", "{} No rush.", "{} That would be kind.", "So, {}", "{} My boss is waiting."]
_WRAPPINGS += [
    "Welcome back. {}",
    "{} I count on you.",
    "Me again. {}",
    "{} It matters to me.",
    "{} Cheers!",
    "Well, {}",
]


def as_sentence(request: tuple[str, str], rng: Random) -> str:
    """A request phrase as one or more sentences of their own."""
    kind, phrase = request
    first, *more = phrase.split("\n")
    opening = rng.choice({"order": _OPENINGS, "telling": _POLITE}.get(kind, [""]))
    if first.split(" ")[0] in ("what", "are", "is", "how", "which", "do", "does", "I", "would"):
        opening, kind = "", "question" if first[0] != "I" else "statement"
    asks = kind == "question" or opening[:3] in ("wou", "can", "cou")
    end = "?" if asks else rng.choice([".", ".", ".", ".", "", "!"])
    first = opening + first
    first = first[0].upper() + first[1:] + end if not more else first[0].upper() + first[1:] + (end or ".")
    sentences = [*more, first] if more and rng.random() < 0.3 else [first, *more]
    return rng.choice(_WRAPPINGS).replace("{}", " ".join(sentences))


def literal(value: Any, python: bool = False) -> str:
    return repr(value) if python else json.dumps(value, ensure_ascii=False)


def call_text(name: str, arguments: dict[str, Any], python: bool = False) -> str:
    return f"{name}({', '.join(f'{key}={literal(value, python)}' for key, value in arguments.items())})"


# --- results ------------------------------------------------------------------------------------------------------


def make_result(function: Function, arguments: dict[str, Any], rng: Random, id_name: str) -> tuple[Any, list[dict]]:
    """(what the call prints, the records in it): each record has an id, other fields and some of what was asked for."""
    if function.tells is not None:
        told = {function.tells.name: function.tells.sample(rng)}
        if function.key is not None and rng.random() < 0.4:
            told = {function.key.name: arguments[function.key.name]} | told
        if rng.random() < 0.3:
            told |= {p.name: p.sample(rng) for p in values.pick_parameters(rng, 1) if p.type != "object"}
        return told, [told]
    fields = {id_name: function.thing.sample} | {
        p.name: p.sample for p in values.pick_parameters(rng, rng.randint(0, 2))
    }
    count = rng.randint(1, 3) if function.gives_list else 1
    records: list[dict[str, Any]] = [{name: sample(rng) for name, sample in fields.items()} for _ in range(count)]
    for parameter in function.parameters:
        if parameter.name in arguments and parameter.type not in ("array", "object") and rng.random() < 0.4:
            records[0][parameter.name] = arguments[parameter.name]
    if function.key is not None:
        records[0][id_name] = arguments[function.key.name]
    if function.gives_list:
        plural = function.thing.code(plural=True)
        shapes = ({plural: records, "total": count}, records, records, records, {"results": records}, {plural: records})
        return rng.choice(shapes), records
    if rng.random() < 0.3:
        records[0]["status"] = rng.choice(["ok", "done", "active", "waiting", "new", "ready", "closed"])
    return (records[0] if rng.random() < 0.85 else {function.thing.code(): records[0]}), records
