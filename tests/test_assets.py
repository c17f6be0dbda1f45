"""The embedded base model: what its training text is and is not, and that the checkpoint is whole."""

import json
import re
from collections import defaultdict
from random import Random

import pytest
import torch

import tools
from tl.assets import TINY
from tl.assets.tiny import make
from tl.assets.tiny.corpus import document
from tl.assets.tiny.functions import call_text, choose_arguments, make_family, request_phrase
from tl.assets.tiny.make import BaseConfig
from tl.assets.tiny.values import spoken
from tl.calls import parse_call
from tl.llama import Llama, Tokenizer, load_model
from tl.schema import BUILT_INS
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


def test_no_conversation_is_in_the_corpus(corpus):
    assert not re.search(r"^\s*(System|User|Assistant|Output|Function):", corpus, re.MULTILINE)
    assert "</s>" not in corpus


def test_no_function_of_the_tool_library_is_in_the_corpus(corpus):
    names = {name for kit in tools.toolkit_names() for name in tools.tool_functions(tools.load_toolkit(kit))}
    names |= {spec.name for spec in BUILT_INS}
    assert len(names) >= 20
    called = set(re.findall(r"([a-z_]\w*)\(", corpus)) | set(re.findall(r'"name": "(\w+)", "description"', corpus))
    assert called & names == set()
    assert {name for name in names if "_" in name and name in corpus} == set()


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


def test_a_request_says_every_value_of_its_call_and_no_others():
    rng = Random(1)
    for function in make_family(rng, 8) * 5:
        arguments = choose_arguments(function, rng)
        phrase = request_phrase(function, arguments, rng)
        assert "{" not in phrase
        for value in arguments.values():
            ways = {spoken(value, Random(seed)) for seed in range(20)}
            assert value is True or any(way in phrase for way in ways)


def test_every_call_on_a_page_is_of_a_function_shown_on_it():
    for seed in range(60):
        page = document(seed)
        shown = set(re.findall(r'^def (\w+)\(|^- `(\w+)\(|^\{"name": "(\w+)"', page, re.MULTILINE))
        names = {name for match in shown for name in match if name}
        if not names:
            continue
        called = {name for name in re.findall(r"(\w+_\w+)\(\w+=", page)}
        assert called - {"write_down"} <= names


def text_repeats(text: str) -> bool:
    """Whether a text is one string over and over."""
    return any(text == text[:n] * (len(text) // n) for n in range(1, len(text) // 2 + 1))


# --- the script ---------------------------------------------------------------------------------------------------


def test_orthogonalise_moves_all_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((24, 60), (60, 24), (30, 30)):
        values = torch.linalg.svdvals(make.orthogonalise(torch.randn(shape)))
        assert values.min() > 0.3 and values.max() < 1.3


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    config = BaseConfig(rate=2.0, decay=0.25)
    rates = [make.learning_rate(done / 100, config) for done in range(101)]
    assert 0 < rates[0] < rates[1] < 2.0
    assert rates[10:75] == [2.0] * 65
    assert rates[90] == pytest.approx(0.8) and rates[100] == 0


def test_documents_come_whole_short_ones_and_echoes_first(tokenizer):
    made = list(make.batches(tokenizer, BaseConfig(tokens=60_000)))
    batches = [batch for batch, _ in made]
    assert made[-1][1] == sum(len(ids) for batch in batches for ids in batch) >= 60_000
    assert max(len(ids) for ids in batches[0]) <= 1.1 * make.SHORT
    assert all(text_repeats(tokenizer.decode(ids[1:])) for ids in batches[0])
    assert max(len(ids) for batch in batches for ids in batch) <= make.LONG
    assert all(ids[0] == tokenizer.bos_id and tokenizer.bos_id not in ids[1:] for ids in batches[-1])
    texts = {document(seed) for seed in range(1000)}
    assert sum(tokenizer.decode(ids[1:]) in texts for ids in batches[-1]) >= len(batches[-1]) / 2


def test_training_lowers_the_loss_and_leaves_a_checkpoint(tmp_path, monkeypatch, tokenizer):
    monkeypatch.setattr(make, "BATCH", 400)
    torch.manual_seed(0)
    model = Llama(make.CONFIG)
    batch = next(make.batches(tokenizer, BaseConfig(seed=1)))[0]
    before = make.loss_of(model, batch).item()
    make.train(model, tokenizer, BaseConfig(out=str(tmp_path), tokens=8000))
    assert make.loss_of(model, batch).item() < before - 0.3
    assert load_model(tmp_path).config == make.CONFIG
    assert Tokenizer(tmp_path).vocab_size == make.CONFIG.vocab_size


# --- the checkpoint -----------------------------------------------------------------------------------------------


def test_the_checkpoint_is_small_and_of_the_shape_that_the_script_makes(tiny, tokenizer):
    assert sum(file.stat().st_size for file in TINY.iterdir()) <= 8e6
    assert 3.0e6 <= sum(p.numel() for p in tiny.parameters()) <= 3.5e6
    assert tiny.config == make.CONFIG
    assert tokenizer.vocab_size == tiny.config.vocab_size
    assert json.loads((TINY / "config.json").read_text())["tie_word_embeddings"] is True
    assert load_model(TINY).embed_tokens.weight.dtype == torch.bfloat16


def test_the_model_knows_the_corpus_but_for_its_random_values(tiny, tokenizer):
    batch = [[1, *tokenizer.encode(document(make.HELD_OUT + seed))][:600] for seed in range(12)]
    with torch.no_grad():
        assert make.loss_of(tiny, batch).item() < 2.5  # a uniform guess: 8.0


def test_the_model_copies_what_it_has_read_once(tiny, tokenizer):
    items = ["Quelbor Zatri", "kx-40718", "plum lantern harbor", "wenda@nolsta.org", "2031-04-17", "/oak/tin_88.csv"]
    first = tokenizer.encode("\n".join(f"- {item}" for item in items))
    again = tokenizer.encode("\n" + "\n".join(f"- {item}" for item in items))
    with torch.no_grad():
        logits = tiny(torch.tensor([[1, *first, *again]]))[0]
    right = logits[len(first) + 4 : -1].argmax(-1) == torch.tensor(again[4:])
    assert right.float().mean() > 0.8
