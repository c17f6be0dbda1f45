"""The embedded base model: what its training text is and is not, and that the checkpoint is whole."""

import json
import re
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from tl.assets import TINY
from tl.assets.tiny import make, muon
from tl.assets.tiny.corpus import ASKING, CLOSING, TURN_END, document, marked_document, vocabulary_texts
from tl.assets.tiny.functions import as_sentence, call_text, choose_arguments, make_family, make_thing, request_phrase
from tl.assets.tiny.make import BaseConfig, Place
from tl.assets.tiny.values import spoken
from tl.calls import parse_call
from tl.executor.toolkits import library_names, load_toolkit
from tl.llama import Llama, Tokenizer, load_model
from tl.llama.tokenizer import train_vocabulary
from tl.schema import BUILT_INS
from tl.synthesis.episodes import REFUSAL
from tl.synthesis.scenarios import all_scenarios

SAMPLE = 2000


@pytest.fixture(scope="module")
def corpus() -> str:
    return "\n".join(document(seed) for seed in range(SAMPLE))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY)


@pytest.fixture(scope="module")
def tiny() -> Llama:
    return load_model(TINY, dtype=torch.float32).eval()


# --- the text -----------------------------------------------------------------------------------------------------


def test_a_document_depends_on_its_number_alone():
    assert document(5) == document(5)
    assert len({document(seed) for seed in range(100)}) == 100


TABLE_13 = re.compile(r"^\W*(system|user|assistant|output|function) ?[:>\]-]", re.MULTILINE | re.IGNORECASE)


def test_nobody_in_the_corpus_has_a_name_from_the_prompt_of_the_product(corpus):
    assert not TABLE_13.search(corpus)
    assert "</s>" not in corpus
    assert all(TABLE_13.search(f"...\n{line}") for line in ("User: hi", "[assistant] f()", "Output > 7", "  System: "))


def test_no_function_of_the_tool_library_is_in_the_corpus(corpus):
    names = {name for kit in library_names() for name in load_toolkit(kit).specs}
    names |= {spec.name for spec in BUILT_INS}
    assert len(names) >= 20
    called = set(re.findall(r"([a-z_]\w*)\(", corpus)) | set(re.findall(r'"name": "(\w+)", "description"', corpus))
    called |= set(re.findall(r"^(\w+) \|", corpus, re.MULTILINE))
    assert called & names == set()
    assert {name for name in names if "_" in name and name in corpus} == set()


def test_no_description_of_the_tool_library_is_in_the_corpus(corpus):
    documented = [spec.description for kit in library_names() for spec in load_toolkit(kit).specs.values()]
    described = {text.strip().splitlines()[0] for text in documented} | {spec.description for spec in BUILT_INS}
    assert len(described) >= 20
    of_anything = {text for text in described if len(text.split()) < 3}
    assert {text for text in described - of_anything if text.lower().rstrip(".") in corpus.lower()} == set()


def test_what_the_teacher_says_when_it_refuses_is_not_in_the_corpus(corpus):
    assert REFUSAL.lower() not in corpus.lower()
    assert not re.search(r"I found nothing|cannot handle", corpus)


def templates() -> list[str]:
    """The wordings of all requests of the task, held-out ones and those for unseen toolkits among them."""
    scenarios = all_scenarios()
    worded = [*scenarios, *(scenario.ask for scenario in scenarios if scenario.ask)]
    return [template for part in worded for template in (*part.phrasings, *part.unseen)]


def phrases(template: str) -> list[str]:
    """Each six words in a row, with the {values} between them."""
    tokens = re.findall(r"\{[^}]*\}|\w+", template.lower())
    places = [i for i, token in enumerate(tokens) if token[0] != "{"]
    return [" ".join(tokens[first : last + 1]) for first, last in zip(places, places[5:], strict=False)]


def phrases_of_requests(text: str) -> set[str]:
    """Those that stand in a line of the text, where one to twelve words may be a {value}."""
    lines = [" ".join(re.findall(r"\w+", line)) for line in set(text.lower().splitlines())]
    having = defaultdict(set)
    for number, line in enumerate(lines):
        for word in line.split():
            having[word].add(number)
    found = set()
    for phrase in {phrase for template in templates() for phrase in phrases(template)}:
        pattern = re.sub(r"\{[^}]*\}", r"\\S+(?: \\S+){0,11}", phrase)
        words = sorted((having[word] for word in phrase.split() if word[0] != "{"), key=len)
        if any(re.search(rf"(?<!\S){pattern}(?!\S)", lines[number]) for number in set.intersection(*words)):
            found.add(phrase)
    return found


def test_no_request_of_the_task_is_in_the_corpus(corpus):
    of_anything = {"tell me the status of it"}
    assert phrases_of_requests(corpus) <= of_anything


def test_a_request_of_the_task_would_be_noticed_in_the_corpus():
    filled = {template: re.sub(r"\{[^}]*\}", "Ann Lee", template) for template in templates()}
    assert len([template for template in filled if phrases(template)]) > 900
    expected = {phrase for template in filled for phrase in phrases(template)}
    assert phrases_of_requests("\n".join(f">>> {request}" for request in filled.values())) == expected


def test_example_calls_are_literals_that_fit_the_signature_shown():
    rng = Random(0)
    for function in make_family(rng, 8) * 5:
        arguments = choose_arguments(function, rng)
        for python in (False, True):
            call = parse_call(call_text(function.name, arguments, python))
            assert (call.name, call.arguments) == (function.name, arguments)
        assert {p.name for p in function.required} <= set(arguments) <= {p.name for p in function.parameters}


def test_a_request_says_every_value_of_its_call_and_leaves_no_gap():
    rng = Random(1)
    for function in [f for _ in range(20) for f in make_family(rng, 8)]:
        arguments = choose_arguments(function, rng)
        sentence = as_sentence(request_phrase(function, arguments, rng), rng)
        assert "{" not in sentence and "\n" not in sentence
        for value in arguments.values():
            ways = {spoken(value, Random(seed)).lower() for seed in range(40)}
            assert value is True or any(way in sentence.lower() for way in ways), (value, sentence)


def test_no_two_functions_of_a_family_do_the_same():
    rng = Random(2)
    for family in (make_family(rng, 8) for _ in range(50)):
        assert len({(f.concept, f.thing.singular) for f in family}) == len({f.name for f in family}) == 8


def test_tools_of_a_page_share_the_first_words_of_their_names_with_others():
    rng = Random(3)
    families = [[f.name for f in make_family(rng, 6)] for _ in range(100)]
    sharing = [len({name.split("_")[0] for name in names}) < 6 for names in families]
    assert sum(sharing) > 30


def test_a_request_may_use_other_words_than_the_function():
    rng = Random(4)
    functions = [f for _ in range(60) for f in make_family(rng, 4)]
    apart = 0
    for function in functions:
        phrase = request_phrase(function, choose_arguments(function, rng), rng)[1].lower()
        apart += function.name.split("_")[0] not in phrase
    assert apart > len(functions) / 3


def test_ids_of_a_form_that_the_documentation_shows_are_of_that_form():
    rng = Random(5)
    for thing in (make_thing(rng) for _ in range(100)):
        if thing.example:
            shape = re.sub(r"\d+", "0", thing.example)
            assert {re.sub(r"\d+", "0", thing.sample(rng)) for _ in range(5)} == {shape}


def test_every_call_on_a_page_is_of_a_function_shown_on_it():
    speaking = {*ASKING, *CLOSING}
    for seed in range(200):
        page = document(seed)
        shown = re.findall(
            r'^(?:def |- `)?(\w+)\(\w*:|^(?:def |- `)(\w+)\(|^\{"name": "(\w+)"|^(\w+) \| ', page, re.MULTILINE
        )
        names = {name for match in shown for name in match if name}
        called = set(re.findall(r"^.*?(\w+_\w+)\(\w+=", page, re.MULTILINE))
        failed = set(re.findall(r"no function (\w+)|(\w+) is unknown", page))
        assert called - speaking - {name for pair in failed for name in pair} <= names, seed


# --- the vocabulary -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.model"
    train_vocabulary(vocabulary_texts(make.VOCABULARY_DOCUMENTS), path, make.CONFIG.vocab_size)
    return Tokenizer(path)


def pieces(vocabulary: Tokenizer, text: str) -> list[str]:
    return [vocabulary.piece(id) for id in vocabulary.encode(text)]


def test_a_call_begins_with_a_whole_word_that_is_a_piece_in_quotes_too(vocabulary):
    for word in ("get", "list", "search", "create", "find", "move", "cancel", "count", "add", "remove", "set", "check"):
        assert pieces(vocabulary, f"{word}_lamp_size(id=7)")[:2] == [f"▁{word}", "_"]
        assert word in pieces(vocabulary, f'"{word}"') and word in pieces(vocabulary, f"x_{word}(")


def test_no_call_begins_with_a_bare_space_mark(vocabulary):
    library = [name for kit in library_names() for name in load_toolkit(kit).specs]
    made_up = [f.name for seed in range(50) for f in make_family(Random(seed), 5) if not re.search(r"\d", f.name)]
    bare = [name for name in (*library, *made_up) if pieces(vocabulary, name)[0] == "▁"]
    assert len(bare) <= 0.01 * len(made_up)


def text_repeats(text: str) -> bool:
    """Whether a text is one string over and over."""
    return any(text == text[:n] * (len(text) // n) for n in range(1, len(text) // 2 + 1))


# --- the script ---------------------------------------------------------------------------------------------------


def test_orthogonalise_moves_all_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((24, 60), (60, 24), (30, 30)):
        values = torch.linalg.svdvals(muon.orthogonalise(torch.randn(shape)))
        assert values.min() > 0.3 and values.max() < 1.3


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    config = BaseConfig(rate=2.0, decay=0.25)
    rates = [make.learning_rate(done / 100, config) for done in range(101)]
    assert 0 < rates[0] < rates[1] < rates[2] == 2.0
    assert rates[10:75] == [2.0] * 65
    assert rates[90] == pytest.approx(0.8) and rates[100] == 0


def test_documents_come_whole_short_ones_and_echoes_first(tokenizer):
    made = list(make.batches(tokenizer, BaseConfig(tokens=80_000, echoes=0.15, growth=0.3), place := Place(0)))
    assert place.tokens == sum(len(page.ids) for batch in made for page in batch) >= 80_000
    assert max(len(page.ids) for page in made[0]) <= 1.3 * make.SHORT
    assert all(text_repeats(tokenizer.decode([*page.ids[1:], page.targets[-1]])) for page in made[0])
    assert max(len(page.ids) for batch in made for page in batch) <= make.LONG
    assert all(page.ids[0] == tokenizer.bos_id and tokenizer.bos_id not in page.ids[1:] for page in made[-1])
    texts = {document(seed) for seed in range(1000)}
    assert sum(tokenizer.decode(page.ids[1:]) + "\n" in texts for page in made[-1]) >= len(made[-1]) / 2


def test_where_a_turn_ends_the_target_is_the_stop_token_and_the_text_goes_on(tokenizer):
    page = make.encode(f'> Go on!\n$ go(to="A"){TURN_END}\n* gone\n', tokenizer)
    call = [tokenizer.bos_id, *tokenizer.encode('> Go on!\n$ go(to="A")')]
    rest = tokenizer.encode("\n* gone\n")
    assert page.ids == [*call, *rest[:-1]]
    assert page.targets == [*call[1:], tokenizer.eos_id, *rest[1:]]


def test_each_call_of_a_page_of_exercises_ends_a_turn(tokenizer):
    pages = [marked_document(seed) for seed in range(200)]
    assert all(TURN_END not in line[:-1] for page in pages for line in page.split("\n"))
    calls = [line for page in pages for line in page.split("\n") if re.match(r"(>>> |\$ |Code: )\w+\(.*\)", line)]
    assert len(calls) > 50 and all(line.endswith(")" + TURN_END) for line in calls)


@pytest.fixture
def small(tmp_path, monkeypatch, tokenizer) -> Callable[[str], BaseConfig]:
    """Settings of a run of a small model of a few steps, in folders of that name."""
    shape = replace(make.CONFIG, vocab_size=tokenizer.vocab_size, hidden_size=64, head_dim=16, num_hidden_layers=1)
    monkeypatch.setattr(make, "BATCH", 300)
    monkeypatch.setattr(make, "CONFIG", shape)
    monkeypatch.setattr(make, "train_vocabulary", lambda _texts, path, _size: shutil.copy(tokenizer.path, path))

    def settings(name: str) -> BaseConfig:
        return BaseConfig(out=str(tmp_path / name), state=str(tmp_path / f"{name}-state"), tokens=12_000, rate=2e-2)

    return settings


def test_training_lowers_the_loss_and_leaves_a_checkpoint(small, tokenizer):
    config = small("whole")
    run = make.start(config)
    batch = next(make.batches(tokenizer, config, Place(make.HELD_OUT)))
    before = make.loss_of(run.model, batch).item()
    make.train(run, [])
    assert make.loss_of(run.model, batch).item() < before - 0.3
    last = json.loads((Path(config.state) / "log.jsonl").read_text().splitlines()[-1])
    assert last["tokens"] >= config.tokens and last["rate"] == 0.0
    assert load_model(config.out).config == make.CONFIG
    assert Tokenizer(config.out).vocab_size == make.CONFIG.vocab_size


def test_a_run_that_was_told_to_end_continues_to_the_same_bits(small):
    whole, parts = small("whole"), small("parts")
    make.train(make.start(whole), [])
    for _ in range(3):
        with pytest.raises(SystemExit, match="the same command continues"):
            make.train(make.start(parts), [signal.SIGTERM])
    make.train(make.start(parts), [])
    one, other = (torch.load(make.state_file(config), weights_only=True) for config in (whole, parts))
    assert one["place"] | {"seconds": 0} == other["place"] | {"seconds": 0}
    for name in ("model", "average"):
        assert all(torch.equal(value, other[name][key]) for key, value in one[name].items())
    assert (Path(whole.out) / "model.safetensors").read_bytes() == (Path(parts.out) / "model.safetensors").read_bytes()


def test_a_run_can_start_from_a_checkpoint(small, tokenizer):
    first = small("first")
    make.train(make.start(first), [])
    second = replace(small("second"), init=first.out)
    run, weights = make.start(second), load_model(first.out, torch.float32).state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in run.model.state_dict().items())
    assert run.tokenizer.encode("get_harp(") == tokenizer.encode("get_harp(")


def test_the_state_of_another_run_is_refused(small):
    config = small("one")
    with pytest.raises(SystemExit):
        make.train(make.start(config), [signal.SIGTERM])
    with pytest.raises(SystemExit, match="another folder"):
        make.start(replace(config, rate=0.5))


# --- the checkpoint -----------------------------------------------------------------------------------------------


def test_the_checkpoint_is_small(tiny, tokenizer):
    assert sum(file.stat().st_size for file in TINY.iterdir()) <= 8e6
    assert tiny.config == make.CONFIG
    assert tokenizer.vocab_size == make.CONFIG.vocab_size
    assert 3.0e6 <= sum(p.numel() for p in tiny.parameters()) <= 3.9e6
    assert json.loads((TINY / "config.json").read_text())["tie_word_embeddings"] is True
    assert load_model(TINY).embed_tokens.weight.dtype == torch.bfloat16


def test_the_model_reads_pages_that_it_was_not_trained_on(tiny, tokenizer):
    batch = [make.encode(marked_document(make.HELD_OUT + seed), tokenizer) for seed in range(12)]
    with torch.no_grad():
        assert make.loss_of(tiny, batch).item() < 1.2  # a uniform guess: 8.3


def test_the_model_copies_what_it_has_read_once(tiny, tokenizer):
    items = ["Quelbor Zatri", "kx-40718", "plum lantern harbor", "wenda@nolsta.org", "2031-04-17", "/oak/tin_88.csv"]
    first = tokenizer.encode("\n".join(f"- {item}" for item in items))
    again = tokenizer.encode("\n" + "\n".join(f"- {item}" for item in items))
    with torch.no_grad():
        logits = tiny(torch.tensor([[1, *first, *again]]))[0]
    right = logits[len(first) + 4 : -1].argmax(-1) == torch.tensor(again[4:])
    assert right.float().mean() > 0.8
