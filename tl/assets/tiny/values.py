"""Random values and parameters: what the functions of `tl.assets.tiny.corpus` take and what their results hold."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tl.assets.tiny.words import (
    ADJECTIVES,
    COLORS,
    COMMON,
    FIRST_NAMES,
    NOUNS,
    SYLLABLES,
    TOWN_ENDINGS,
    rows_of,
    words_of,
)

SMALL_NUMBERS = words_of("zero one two three four five six seven eight nine ten eleven twelve")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def made_up_word(rng: Random) -> str:
    if rng.random() < 0.2:
        return "".join(rng.choices(LETTERS, k=rng.randint(3, 8)))
    return "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4)))


def person(rng: Random) -> str:
    first = rng.choice(FIRST_NAMES) if rng.random() < 0.6 else made_up_word(rng).capitalize()
    return first if rng.random() < 0.3 else f"{first} {made_up_word(rng).capitalize()}"


def town(rng: Random) -> str:
    name = rng.choice(SYLLABLES).capitalize() + rng.choice(SYLLABLES) + rng.choice(["", rng.choice(TOWN_ENDINGS)])
    return name if rng.random() < 0.8 else f"{rng.choice(ADJECTIVES).capitalize()} {name}"


def title(rng: Random) -> str:
    words = [rng.choice(rng.choice([NOUNS, ADJECTIVES, COMMON])) for _ in range(rng.randint(1, 4))]
    words = [made_up_word(rng) if rng.random() < 0.15 else word for word in words]
    case = rng.random()
    return " ".join(words).title() if case < 0.4 else " ".join(words).capitalize() if case < 0.7 else " ".join(words)


def sentence(rng: Random) -> str:
    words = [made_up_word(rng) if rng.random() < 0.06 else rng.choice(COMMON) for _ in range(rng.randint(3, 9))]
    return " ".join(words).capitalize() + rng.choice(["", "", ".", "!"])


def code(rng: Random) -> str:
    """An identifier such as KT-4821, 7f3a09 or lantern_12."""
    letters = "".join(rng.choices(LETTERS, k=rng.randint(1, 3)))
    digits = "".join(rng.choices("0123456789", k=rng.randint(2, 5)))
    shapes = (
        f"{letters.upper()}-{digits}",
        f"{letters}{digits}",
        f"{rng.choice(NOUNS)}_{digits}",
        f"{letters}_{digits}",
        f"{rng.getrandbits(32):08x}"[: rng.randint(4, 8)],
        f"{rng.choice(NOUNS)[:3].upper()}{digits}",
        f"{letters.upper()}{digits}-{rng.choice(LETTERS).upper()}",
    )
    return rng.choice(shapes)


def code_maker(rng: Random) -> Callable[[Random], str]:
    """Identifiers of one form, such as R123 and R78, or kt-4821 and kt-19."""
    lead = "".join(rng.choices(LETTERS, k=rng.choice([1, 1, 1, 2, 3])))
    lead = lead.upper() if rng.random() < 0.5 else lead
    lead += rng.choice(["", "", "", "", "-", "_"])
    digits = rng.randint(2, 5)
    return lambda r: lead + "".join(r.choices("0123456789", k=max(2, digits - r.randint(0, 1))))


def date(rng: Random) -> str:
    return f"{rng.randint(2015, 2035)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def clock(rng: Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.choice([0, 15, 30, 45, rng.randint(0, 59)]):02}"


def address(rng: Random) -> str:
    name = rng.choice([rng.choice(FIRST_NAMES).lower(), made_up_word(rng), rng.choice(NOUNS)])
    extra = rng.choice(["", "", f".{made_up_word(rng)}", str(rng.randint(1, 99))])
    host = rng.choice([made_up_word(rng), rng.choice(NOUNS)])
    return f"{name}{extra}@{host}.{rng.choice(['com', 'org', 'net', 'io'])}"


def path(rng: Random) -> str:
    folders = [rng.choice(rng.choice([NOUNS, COMMON])) for _ in range(rng.randint(0, 2))]
    name = rng.choice([rng.choice(COMMON), f"{rng.choice(NOUNS)}_{rng.randint(1, 99)}", made_up_word(rng)])
    root, ending = rng.choice(["", "", "/"]), rng.choice(["txt", "md", "csv", "json", "png", "log"])
    return root + "/".join([*folders, f"{name}.{ending}"])


def phone(rng: Random) -> str:
    lead = rng.choice(["", "0", "+"])
    return f"{lead}{rng.randint(10, 999)}{rng.choice([' ', '-', '', ' '])}{rng.randint(1000, 9999999)}"


def link(rng: Random) -> str:
    return f"https://{made_up_word(rng)}.{rng.choice(['com', 'org', 'net'])}/{rng.choice(COMMON)}"


def whole(rng: Random) -> int:
    return rng.randint(1, 12) if rng.random() < 0.6 else rng.randint(1, 10 ** rng.randint(2, 4))


def year(rng: Random) -> int:
    return rng.randint(1950, 2030)


def decimal(rng: Random) -> float:
    return round(rng.uniform(0, 10 ** rng.randint(1, 4)), rng.choice([1, 2, 2]))


def color(rng: Random) -> str:
    return rng.choice(COLORS)


def words(rng: Random) -> list[str]:
    kind = rng.choice([lambda r: r.choice(NOUNS), color, person, code, town])
    return [kind(rng) for _ in range(rng.randint(2, 4))]


def people(rng: Random) -> list[str]:
    return [person(rng) for _ in range(rng.randint(1, 3))]


def towns(rng: Random) -> list[str]:
    return [town(rng) for _ in range(rng.randint(1, 3))]


def codes(rng: Random) -> list[str]:
    make = code_maker(rng)
    return [make(rng) for _ in range(rng.randint(1, 4))]


def numbers(rng: Random) -> list[int]:
    return [whole(rng) for _ in range(rng.randint(2, 5))]


def record(rng: Random) -> dict[str, Any]:
    names = rng.sample(["color", "town", "owner", "size", "weight", "kind", "year", "note"], rng.randint(1, 2))
    kinds = {"color": color, "town": town, "owner": person, "year": year, "weight": decimal, "note": title}
    return {name: kinds.get(name, title)(rng) for name in names}


def type_of(value: Any) -> str:
    """The JSON-schema type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "string")


def spoken(value: Any, rng: Random) -> str:
    """How a sentence gives the value: text as it is, lists as an enumeration, small numbers sometimes as words."""
    if isinstance(value, dict):
        parts = [f"{name} {item}" for name, item in value.items()]
        return rng.choice([", ", " and "]).join(parts)
    if isinstance(value, list):
        parts = [str(item) for item in value]
        return rng.choice([" and ", " and ", ", "]).join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    if isinstance(value, int) and value < len(SMALL_NUMBERS) and rng.random() < 0.3:
        return SMALL_NUMBERS[value]
    return str(value)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a made-up function.

    `mentions` are the ways in which a sentence gives its value, with {v} for the value; a boolean has one that means
    true and needs no value. `choices` are the only values it takes, empty for any.
    """

    name: str
    type: str  # a JSON-schema type name
    description: str
    mentions: tuple[str, ...]
    sample: Callable[[Random], Any]
    choices: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    def remark(self, value: Any, rng: Random) -> str:
        """A sentence of its own that gives the value."""
        if self.type == "boolean":
            said = rng.choice(self.mentions)
            return said[0].upper() + said[1:] + rng.choice([".", ", please."])
        ways = (
            "The {n} is {v}.",
            "{n}: {v}.",
            "Use {v} as {n}.",
            "As {n} take {v}.",
            "The {n} should be {v}.",
            "Make the {n} {v}.",
        )
        text = rng.choice(ways).replace("{n}", self.said).replace("{v}", spoken(value, rng))
        return text[0].upper() + text[1:]

    def mention(self, value: Any, rng: Random) -> str:
        said = spoken(value, rng)
        if self.type == "string" and not self.choices and rng.random() < 0.15:
            said = rng.choice(['"{}"', "'{}'"]).format(said)
        return rng.choice(self.mentions).replace("{v}", said)


# name | type | kind of value | description | mentions
_TABLE = rows_of("""
color | string | color | Color to use. | in {v}/in the color {v}/colored {v}/that is {v}
owner | string | person | Full name of the owner. | owned by {v}/that belongs to {v}/of {v}/whose owner is {v}
person | string | person | Name of the person. | for {v}/on behalf of {v}/in the name of {v}
recipient | string | person | Who gets it. | to {v}/addressed to {v}/so that {v} gets it
author | string | person | Name of the author. | by {v}/written by {v}/from the hand of {v}/from {v}
helper | string | person | Who helps. | with help from {v}/together with {v}/with {v}
town | string | town | Town where it is. | in {v}/in the town of {v}/around {v}/located in {v}
origin | string | town | Place it comes from. | from {v}/coming from {v}/starting in {v}/leaving {v}
destination | string | town | Place it goes to. | to {v}/going to {v}/with destination {v}/that ends in {v}
date | string | date | Day, as YYYY-MM-DD. | on {v}/for {v}/dated {v}/on the day {v}
start_date | string | date | First day, as YYYY-MM-DD. | from {v}/starting {v}/since {v}/beginning on {v}
end_date | string | date | Last day, as YYYY-MM-DD. | until {v}/up to {v}/ending {v}/through {v}
time | string | clock | Time of day, as HH:MM. | at {v}/at {v} o'clock/for {v}
title | string | title | Title of it. | called {v}/titled {v}/named {v}/with the title {v}
query | string | title | Words to search for. | about {v}/matching {v}/for {v}/on {v}/that mention {v}
topic | string | title | What it is about. | on the topic of {v}/about {v}/on {v}/concerning {v}
text | string | sentence | Text to write. | saying "{v}"/with the text "{v}"/that reads '{v}'/with the words: {v}
note | string | sentence | A remark to attach. | with the note "{v}"/noting '{v}'/and add the remark "{v}"
reason | string | sentence | Why it is done. | because of "{v}"/giving '{v}' as the reason/(reason: {v})
address | string | address | E-mail address. | to {v}/at {v}/using the address {v}/with {v}
path | string | path | Path of the file. | in {v}/under {v}/at the path {v}/to {v}
group | string | title | Group it is part of. | in the group {v}/under {v}/from the group {v}
limit|integer|whole|Most entries to return.|at most {v}/no more than {v}/only {v} of them/limited to {v}/the first {v}
amount | integer | whole | How many. | {v} of them/{v} times/a quantity of {v}/{v} pieces
people | integer | whole | Number of people. | for {v} people/for a party of {v}/with room for {v}
days | integer | whole | Length in days. | for {v} days/lasting {v} days/over {v} days
minutes | integer | whole | Length in minutes. | for {v} minutes/taking {v} minutes/{v} minutes long
page | integer | whole | Page of the result. | on page {v}/page {v}/from page {v}
year | integer | year | The year. | in {v}/from {v}/of the year {v}/from the year {v}
level | integer | whole | Level, 1 is the lowest. | at level {v}/on level {v}/with level {v}
min_price | number | decimal | Lowest price. | for at least {v}/costing {v} or more/above {v}/from {v} upwards
max_price | number | decimal | Highest price. | for at most {v}/under {v}/costing no more than {v}/cheaper than {v}
weight | number | decimal | Weight in kilograms. | weighing {v} kg/of {v} kilograms/with a weight of {v}
distance | number | decimal | Distance in kilometers. | within {v} km/{v} kilometers away/no farther than {v} km
ratio | number | decimal | Factor to apply. | by a factor of {v}/times {v}/with ratio {v}
phone | string | phone | Telephone to call. | with the phone {v}/at the number {v}/phone {v}/to be called at {v}
website | string | link | Address on the web. | at {v}/with the page {v}/on the site {v}
sender | string | person | Who it comes from. | from {v}/sent by {v}/that {v} sent
guest | string | person | Name of the guest. | for {v}/with {v} as guest/so that {v} can come
leader | string | person | Who is in charge. | led by {v}/under {v}/with {v} in charge
company | string | title | Name of the company. | of the company {v}/made by {v}/at {v}
country | string | town | The country. | in {v}/from {v}/somewhere in {v}
street | string | town | Street of the house. | in {v} street/at {v} road/on {v}
language | string | title | Language to use. | in {v}/written in {v}/in the language {v}
name | string | title | Name to give. | named {v}/called {v}/by the name of {v}/with the name {v}/{v}
new_name | string | title | The name afterwards. | as {v}/to {v}/so that it is called {v}
word | string | title | Word in it. | with the word {v}/containing {v}/in which {v} occurs/about {v}
comment | string | sentence | What to say about it. | commenting "{v}"/and say "{v}"/with the comment '{v}'
day | string | date | The day, YYYY-MM-DD. | on {v}/for the {v}/that day being {v}
deadline | string | date | Latest day, YYYY-MM-DD. | by {v}/no later than {v}/before {v}/due {v}
start_time | string | clock | Begin, HH:MM. | from {v}/starting at {v}/beginning at {v}
end_time | string | clock | End, HH:MM. | until {v}/to {v}/ending at {v}
count | integer | whole | How many of them. | {v} of them/{v} in number/exactly {v}
quantity | integer | whole | Number of pieces. | {v} pieces/{v} units/{v} times
hours | integer | whole | Length in hours. | for {v} hours/lasting {v} hours/{v} hours long
seats | integer | whole | Seats needed. | with {v} seats/for {v} persons/{v} seats
floor | integer | whole | Floor of the building. | on floor {v}/on the floor {v}
rank | integer | whole | Place in the order. | at rank {v}/in place {v}
age | integer | whole | Age in years. | aged {v}/{v} years old/of age {v}
stars | integer | whole | From 1 to 5. | with {v} stars/giving {v} stars/{v} stars
percent | number | decimal | Share in percent. | by {v} percent/of {v} %/at {v} percent
price | number | decimal | Price of one. | for {v}/at a price of {v}/costing {v}/at {v} each
budget | number | decimal | Money there is. | with a budget of {v}/for no more than {v} in all/spending {v}
height | number | decimal | Height in meters. | {v} meters high/with a height of {v}
temperature | number | decimal | Degrees. | at {v} degrees/heated to {v}/at a temperature of {v}
names | array | people | Names of all. | for {v}/with {v}/together with {v}/namely {v}
towns | array | towns | The towns, in order. | through {v}/by way of {v}/in {v}/from {v}
codes | array | codes | The codes. | with the codes {v}/for {v}/using {v}
details | object | record | Whatever else is known. | with {v}/({v})/namely {v}
colors | array | words | List of them, in order. | with {v}/using {v}/made of {v}/for {v}
values | array | numbers | The numbers. | for the numbers {v}/with the values {v}/over {v}/of {v}
public | boolean | - | Whether all may see it. | for all to see/in public/publicly
force | boolean | - | Whether to go on in spite of warnings. | by force/whatever happens/even with warnings
sorted | boolean | - | Whether to put them in order. | sorted/nicely in order/sorted, please
urgent | boolean | - | Whether it is urgent. | right now/urgently/and hurry/as fast as possible
verbose | boolean | - | Whether to say more. | in full detail/verbosely/with all the extras
exact | boolean | - | Whether only exact matches count. | exactly/with exact matches only/to the letter
hidden | boolean | - | Whether hidden ones count too. | including hidden ones/even the hidden ones
descending | boolean | - | Whether the largest comes first. | largest first/in descending order/from high to low
size | string | small,medium,large | How big. | in size {v}/{v} sized/in a {v} version
order | string | newest,oldest,random | Which order. | {v} first/in {v} order/by {v}
unit | string | meters,feet,miles,grams,pounds | Unit of the result. | in {v}/expressed in {v}/as {v}
format | string | text,table,html,pdf,csv | Form of the result. | as {v}/in {v} form/in the format {v}
direction | string | north,south,east,west | Which way. | to the {v}/towards the {v}/heading {v}
season | string | spring,summer,autumn,winter | Time of the year. | in {v}/for the {v}/during {v}
weekday | string | monday,tuesday,wednesday,thursday,friday | Day of the week. | on {v}/every {v}/for {v}
mode | string | fast,careful,silent | How to do it. | in {v} mode/the {v} way/{v}
role | string | reader,editor,admin | What somebody may do. | as {v}/in the role of {v}/with {v} rights
currency | string | euro,dollar,pound,yen | Money to count in. | in {v}/counted in {v}/paid in {v}
state | string | open,closed,pending | State it is in. | that is {v}/in the state {v}/{v}
priority | string | low,normal,high | How important it is. | with {v} priority/of {v} importance/as {v} priority
""")


_SAMPLERS: list[Callable[[Random], Any]] = [color, person, town, date, clock, title, sentence, address, path, code]
_SAMPLERS += [whole, year, decimal, words, numbers, phone, link, people, towns, codes, record]
KINDS: dict[str, Callable[[Random], Any]] = {sample.__name__: sample for sample in _SAMPLERS} | {"-": lambda rng: True}


def _read_row(row: list[list[str]]) -> Parameter:
    [name], [type_], [kind], [description], mentions = row
    choices = tuple(kind.split(",")) if "," in kind else ()
    if choices:
        description += f" One of: {json.dumps(choices)}."
    sample = (lambda rng: rng.choice(choices)) if choices else KINDS[kind]
    return Parameter(name, type_, description, tuple(mentions), sample, choices)


PARAMETERS = [_read_row(row) for row in _TABLE]
_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
_GENERIC: list[tuple[Callable[[Random], Any], str]] = [(person, "string"), (town, "string"), (title, "string")]
_GENERIC += [(code, "string"), (whole, "integer"), (decimal, "number"), (color, "string"), (made_up_word, "string")]
_GENERIC += [(words, "array")]


def made_up_parameter(rng: Random) -> Parameter:
    """A parameter of a random name, which is also how sentences mention it."""
    said = f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}" if rng.random() < 0.3 else rng.choice([*NOUNS, *COMMON])
    if rng.random() < 0.2:
        said = made_up_word(rng)
    sample, type_ = rng.choice(_GENERIC)
    choices: tuple[str, ...] = ()
    if rng.random() < 0.2:
        choices = tuple(rng.choice(rng.choice([NOUNS, ADJECTIVES])) for _ in range(3))
        description = f"The {said}, one of {', '.join(choices)}."
        sample, type_ = (lambda r: r.choice(choices)), "string"
    else:
        description = rng.choice([f"The {said}.", f"{said.capitalize()} to use.", f"Which {said} it has."])
    mentions = [f"with {said} {{v}}", f"with the {said} {{v}}", f"using {{v}} as {said}", f"whose {said} is {{v}}"]
    mentions += [f"({said}: {{v}})", f"and {said} {{v}}", f"{said} {{v}}", f"with {{v}} as the {said}"]
    return Parameter(said.replace(" ", "_"), type_, description, tuple(mentions), sample, choices)


# Parameters that are told apart by nothing but their meaning come together.
_PAIRS = [("origin", "destination"), ("start_date", "end_date"), ("min_price", "max_price"), ("start_time", "end_time")]
_PAIRS += [("sender", "recipient"), ("author", "title"), ("guest", "leader"), ("town", "origin"), ("date", "deadline")]
_PAIRS += [("person", "town"), ("query", "limit"), ("title", "text"), ("name", "phone"), ("count", "price")]


def _documented(parameter: Parameter, rng: Random) -> Parameter:
    """The parameter in one of several ways to document it."""
    description, choices = parameter.description, parameter.choices
    if choices and " One of: " in description and rng.random() < 0.7:
        listed = rng.choice(
            [
                f'{{"enum":{json.dumps(choices, separators=(",", ":"))}}}',
                f"({', '.join(choices)})",
                f"{', '.join(choices[:-1])} or {choices[-1]}.",
            ]
        )
        description = f"{description.partition(' One of: ')[0]} {listed}"
    elif parameter.type in ("integer", "number") and rng.random() < 0.1:
        description += f" Default: {parameter.sample(rng)}."
    elif parameter.type == "string" and not choices and rng.random() < 0.15:
        description += f" For example {parameter.sample(rng)}."
    return replace(parameter, description=description)


def pick_parameters(rng: Random, count: int) -> list[Parameter]:
    """`count` parameters of different names."""
    chosen: dict[str, Parameter] = {}
    if count >= 2 and rng.random() < 0.4:
        chosen = {name: _documented(_BY_NAME[name], rng) for name in rng.choice(_PAIRS)}
    while len(chosen) < count:
        parameter = made_up_parameter(rng) if rng.random() < 0.35 else _documented(rng.choice(PARAMETERS), rng)
        chosen.setdefault(parameter.name, parameter)
    return list(chosen.values())
