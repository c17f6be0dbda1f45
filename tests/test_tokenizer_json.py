"""tokenizer.json, read as the `tokenizers` library does, gives the ids of sentencepiece."""

import gzip
import itertools
import json

import pytest

from tl.llama.tokenizer import Tokenizer
from tl.llama.tokenizer_json import merges_of, tokenizer_json

TEXTS = [
    'System: Function:\ndef search(query: string):\n    """\n    Find it.\n\n    Args:\n    query (string): what',
    "\n".join(" " * n + "x" for n in range(40)),
    "runs " + "".join(" " * n + "y" for n in range(40)),
    "12345 3.14 \t\t tabs\r\n",
    "Grüße 東京 🎉 \x00",
    "",
]


def encode(contents: dict, text: str) -> list[int]:
    """Byte-pair encoding by the list of merges, the slow way: always the best pair of neighbours, leftmost first."""
    vocabulary = contents["model"]["vocab"]
    ranks = {tuple(pair): rank for rank, pair in enumerate(contents["model"]["merges"])}
    symbols = list(("▁" + text if text else "").replace(" ", "▁"))
    while pairs := [(ranks[pair], at) for at, pair in enumerate(itertools.pairwise(symbols)) if pair in ranks]:
        _, at = min(pairs)
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    ids = []
    for symbol in symbols:
        ids += [vocabulary[symbol]] if symbol in vocabulary else [vocabulary[f"<0x{b:02X}>"] for b in symbol.encode()]
    return ids


@pytest.fixture(scope="module", params=["small", "llama2"])
def tokenizer(request) -> Tokenizer:
    if request.param == "small":
        return request.getfixturevalue("small_tokenizer")
    return Tokenizer(request.getfixturevalue("shared") / "data" / "tokenizer")


@pytest.fixture(scope="module")
def contents(tokenizer) -> dict:
    return json.loads(json.dumps(tokenizer_json(tokenizer)))


@pytest.mark.parametrize("text", TEXTS)
def test_the_merges_give_the_ids_of_sentencepiece(tokenizer, contents, text):
    assert encode(contents, text) == tokenizer.encode(text)


def test_the_merges_give_the_ids_of_sentencepiece_for_real_text(shared, tokenizer, contents):
    with gzip.open(shared / "data" / "trajectories" / "openai_messages.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [line[:300] for line in itertools.islice(file, 0, None, 100)]
    for line in lines:
        assert encode(contents, line) == tokenizer.encode(line)


@pytest.mark.parametrize("text", [*TEXTS, " x", "  two spaces", " \n x", "▁x", "x " * 3])
def test_the_library_reads_the_same_ids(tokenizer, contents, text):
    library = pytest.importorskip("tokenizers", reason="needs the extra: pip install tokenizers")
    read = library.Tokenizer.from_str(json.dumps(contents))
    assert read.encode(text, add_special_tokens=False).ids == tokenizer.encode(text)
    assert read.encode(text).ids == [tokenizer.bos_id, *tokenizer.encode(text)]


def test_the_library_takes_a_control_token_that_a_text_spells_for_the_token(tokenizer, contents):
    """What cannot be helped, as the docstring says."""
    library = pytest.importorskip("tokenizers", reason="needs the extra: pip install tokenizers")
    read = library.Tokenizer.from_str(json.dumps(contents)).encode("a </s> b", add_special_tokens=False).ids
    assert tokenizer.eos_id in read and tokenizer.eos_id not in tokenizer.encode("a </s> b")


def test_bos_stands_in_front_and_control_pieces_are_marked(tokenizer, contents):
    assert [(token["id"], token["content"]) for token in contents["added_tokens"]] == [
        (0, "<unk>"),
        (1, "<s>"),
        (2, "</s>"),
    ]
    assert contents["post_processor"]["single"][0] == {"SpecialToken": {"id": "<s>", "type_id": 0}}
    assert len(contents["model"]["vocab"]) == tokenizer.vocab_size


def test_runs_of_spaces_which_share_a_score_grow_from_the_left():
    runs = ["▁", "▁▁▁▁", "▁▁", "▁▁▁", "▁▁▁▁▁"]
    model = {"vocab": {run: len(run) for run in runs}, "merges": merges_of(dict.fromkeys(runs, -1e9))}
    assert encode({"model": model}, " " * 6) == [5, 2]  # six and the prefix
