"""Made-up functions for the corpus: families of similar names, requests in words, calls and their results."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from tl.assets.tiny import values
from tl.assets.tiny.values import Parameter
from tl.assets.tiny.words import ADJECTIVES, ASPECTS, NOUNS, VERBS

_LOOKING = {"get", "list", "search", "check", "track", "describe"}  # verbs that go with an aspect: get_harp_history


@dataclass(frozen=True)
class Thing:
    """What a family of functions is about: `blue_harp` in names, "blue harp" in sentences."""

    singular: str
    plural: str

    def code(self, plural: bool = False) -> str:
        return (self.plural if plural else self.singular).replace(" ", "_")


def make_thing(rng: Random) -> Thing:
    """Two words or a made-up one, so that no function gets the name of a real tool by chance."""
    shape = rng.random()
    if shape < 0.3:
        word = values.made_up_word(rng)
    elif shape < 0.65:
        word = f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    else:
        word = f"{rng.choice(NOUNS)} {rng.choice(NOUNS)}"
    plural = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word[-1] in "sxh" else "s")
    return Thing(word, plural)


@dataclass(frozen=True)
class Function:
    """A function with the ways to ask for what it does; `requests` hold {o} for the thing where it is mentioned."""

    name: str
    thing: Thing
    description: str
    requests: tuple[str, ...]
    required: tuple[Parameter, ...]
    optional: tuple[Parameter, ...]
    key: Parameter | None  # the parameter that takes the thing's id, one of `required`
    gives_list: bool

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.required + self.optional


def _key_parameter(thing: Thing, rng: Random) -> Parameter:
    name = rng.choice([f"{thing.code()}_id", "id", f"{thing.code()}", "code", "key"])
    said = rng.choice([f"Id of the {thing.singular}.", f"The {thing.singular} in question.", "Its id."])
    mentions = ("{v}", "{v}", "with id {v}", "number {v}", "(id {v})")
    return Parameter(name, "string", said, mentions, values.code)


def make_function(thing: Thing, rng: Random) -> Function:
    """A function about the thing: VERB_THING, VERB_THING_ASPECT or VERB_THINGS_by_PARAMETER."""
    [names], asked, stated = rng.choice(VERBS)
    codes = names.split()
    verb, state = rng.choice(codes), rng.choice(stated)
    wanted = values.pick_parameters(rng, rng.choice([0, 1, 1, 2, 2, 3, 4]))
    split = rng.randint(0, len(wanted))
    required, optional = wanted[:split], wanted[split:]
    key = None
    gives_list = codes[0] in ("list", "search") or rng.random() < 0.1
    if codes[0] in _LOOKING and rng.random() < 0.55:
        [aspect], asked, [about] = rng.choice(ASPECTS)
        orders = ["give me", "show", "get", "find", "tell me"]
        requests = tuple(asked) + tuple(f"{rng.choice(orders)} {way}" for way in asked)
        name, description = f"{verb}_{thing.code()}_{aspect}", f"{state} {about.replace('{o}', 'a ' + thing.singular)}"
        key = _key_parameter(thing, rng)
        gives_list = False
    elif gives_list:
        name, description = f"{verb}_{thing.code(plural=True)}", f"{state} {thing.plural}"
        requests = tuple(f"{way} {{o}}" for way in asked)
        if required and rng.random() < 0.5:
            name = f"{name}_by_{required[0].name}"
            description = f"{description} by {required[0].name.replace('_', ' ')}"
    else:
        name, description = f"{verb}_{thing.code()}", f"{state} a {thing.singular}"
        requests = tuple(f"{way} {{o}}" for way in asked)
        key = _key_parameter(thing, rng) if rng.random() < 0.6 else None
    if key is not None:
        required, optional = ([p for p in ps if p.name != key.name] for ps in (required, optional))
        required = [key, *required]
    description = description[0].upper() + description[1:] + "."
    return Function(name, thing, description, requests, tuple(required), tuple(optional), key, gives_list)


def make_family(rng: Random, count: int) -> list[Function]:
    """`count` functions of different names about two or three things, in random order."""
    things = [make_thing(rng) for _ in range(rng.randint(1, max(1, count // 2)))]
    functions: dict[str, Function] = {}
    while len(functions) < count:
        function = make_function(rng.choice(things), rng)
        functions.setdefault(function.name, function)
    family = list(functions.values())
    rng.shuffle(family)
    return family


def choose_arguments(function: Function, rng: Random, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Values for all required parameters and some optional ones, in the order of the signature."""
    chosen = function.required + tuple(p for p in function.optional if rng.random() < 0.4)
    return {p.name: (known or {}).get(p.name, p.sample(rng)) for p in chosen}


def request_phrase(function: Function, arguments: dict[str, Any], rng: Random, thing: str | None = None) -> str:
    """The request in words, all arguments mentioned in a random order: "look for harps in Darvo, at most 5"."""
    key = function.key
    if thing is None:
        thing = function.thing.plural if function.gives_list else rng.choice(["the {}", "the {}", "a {}", "{}"])
        thing = thing.format(function.thing.singular)
        if key is not None:
            thing = f"{thing.replace('a ', 'the ', 1)} {key.mention(arguments[key.name], rng)}"
    rest = [p for p in function.parameters if p.name in arguments and p is not key]
    rng.shuffle(rest)
    phrase = rng.choice(function.requests).replace("{o}", thing)
    for parameter in rest:
        phrase += rng.choice([" ", " ", " ", ", "]) + parameter.mention(arguments[parameter.name], rng)
    return phrase


_OPENINGS = ["", "", "", "", "please ", "now ", "next, ", "then ", "we have to ", "I want to ", "it is time to "]
_OPENINGS += ["let us ", "would you ", "can somebody ", "the plan is to ", "try to ", "remember to ", "first "]


def sentence_case(phrase: str, rng: Random) -> str:
    """A request phrase as a sentence of its own."""
    opening = rng.choice(_OPENINGS)
    text = opening + phrase
    return text[0].upper() + text[1:] + rng.choice([".", ".", ".", "", "?" if opening[:3] in ("wou", "can") else "."])


def literal(value: Any, python: bool = False) -> str:
    return repr(value) if python else json.dumps(value, ensure_ascii=False)


def call_text(name: str, arguments: dict[str, Any], python: bool = False) -> str:
    return f"{name}({', '.join(f'{key}={literal(value, python)}' for key, value in arguments.items())})"


def make_result(function: Function, arguments: dict[str, Any], rng: Random, id_name: str) -> tuple[Any, list[dict]]:
    """(what the call prints, the records in it): each record has an id, other fields and some of what was asked for."""
    fields = {id_name: values.code} | {p.name: p.sample for p in values.pick_parameters(rng, rng.randint(1, 2))}
    count = rng.randint(1, 3) if function.gives_list else 1
    records = [{name: sample(rng) for name, sample in fields.items()} for _ in range(count)]
    for parameter in function.parameters:
        if parameter.name in arguments and parameter.type != "array" and rng.random() < 0.4:
            records[0][parameter.name] = arguments[parameter.name]
    if function.key is not None:
        records[0][id_name] = arguments[function.key.name]
    if function.gives_list:
        plural = function.thing.code(plural=True)
        shapes = ({plural: records, "total": count}, records, {"results": records}, {plural: records})
        return rng.choice(shapes), records
    if rng.random() < 0.4:
        records[0]["status"] = rng.choice(["ok", "done", "active", "waiting", "new", "ready", "closed"])
    return (records[0] if rng.random() < 0.8 else {function.thing.code(): records[0]}), records
