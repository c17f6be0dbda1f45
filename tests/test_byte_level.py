"""Vocabularies in tokenizer.json: what is trained, sampled and scored are the ids of segments, and text stays text."""

import json
import random
import sys
import unicodedata
from pathlib import Path

import pytest
import torch
from checkpoints import make_model
from runs import assert_resumes_alike, record
from test_ranks import logits_of_the_whole
from test_tokenizer import TEXTS
from vocabularies import CONTROL, KINDS, make_vocabulary

from benchmarks.tokenizer import failures, random_text, read_library
from tl.cli import show
from tl.datasets import read
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.llama.weights import CheckpointError, load_model, save_model
from tl.prompt import EncodingOptions, encode_trajectory
from tl.report.views import token_texts
from tl.templates import template_of
from tl.training.data import load_training_data

pytest.importorskip("tokenizers", reason="needs the package tokenizers: pip install tokenizers")


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, tmp_path_factory) -> Tokenizer:
    return Tokenizer(make_vocabulary(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_vocabulary(tmp_path / "vocabulary", "llama3")


def edit_json(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# ---- text and ids


@pytest.mark.parametrize("text", [*TEXTS, *CONTROL, "<tool_call>", "a<|im_end|>\n<|im_start|>system\nb", "e\u0301"])
def test_decode_inverts_encode(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalise(text)


def test_20_000_random_texts(tokenizer):
    rng, library = random.Random(0), read_library(tokenizer.path)
    texts = [random_text(rng, list(tokenizer.vocabulary.control_ids)) for _ in range(20_000 // len(KINDS) + 1)]
    assert list(failures(tokenizer, library, texts)) == []


def test_a_segment_is_encoded_alone(tokenizer):
    """A token that holds the end of a call and the newline after it is in the vocabulary, and not used."""
    call, after = 'search_news(query="cats", limit=3)', "\nOutput: ["
    ids = tokenizer.encode(call) + tokenizer.encode(after)
    assert b"".join(map(tokenizer.bytes_of, ids)).decode() == call + after
    if tokenizer.path.parent.name.startswith("gpt2"):
        return  # which never joins a newline to what stands before it
    whole = tokenizer.encode(call + after)
    assert whole != ids and ")Ċ" in {tokenizer.piece(id) for id in whole}


def test_no_space_is_put_before_a_segment(tokenizer):
    assert not tokenizer.vocabulary.adds_space
    assert tokenizer.encode("search")[0] != tokenizer.encode(" search")[0]
    assert tokenizer.decode(tokenizer.encode(" search")) == " search"


@pytest.mark.parametrize("text", CONTROL)
def test_control_tokens_inside_a_text_are_text(tokenizer, text):
    id = tokenizer.vocabulary.control_ids[text]
    ids = tokenizer.encode(f"He said {text}.")
    assert id not in ids and text in tokenizer.decode(ids)
    assert tokenizer.decode([*tokenizer.encode("done"), id]) == "done"
    assert tokenizer.piece(id) == text


def test_a_tag_that_is_no_special_token_is_not_made_from_text_but_reads_as_text(tmp_path):
    tokenizer = Tokenizer(make_vocabulary(tmp_path, "qwen"))
    id = tokenizer.vocabulary.control_ids["<tool_call>"]
    assert id not in tokenizer.encode("<tool_call>")
    assert tokenizer.decode([id, *tokenizer.encode("{}")]) == "<tool_call>{}"


def test_a_normalizer_changes_the_text_and_says_so(tmp_path):
    tokenizer = Tokenizer(make_vocabulary(tmp_path, "qwen"))
    for text in ("e\u0301", "\u1112\u1161\u11ab", "\u212b"):
        assert tokenizer.normalise(text) == unicodedata.normalize("NFC", text) != text
        assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalise(text)


def test_bytes_that_the_vocabulary_lacks_are_left_out_and_that_is_said(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    del content["model"]["vocab"]["Ą"]  # 0x04
    (folder / "tokenizer.json").write_text(json.dumps(content))
    tokenizer = Tokenizer(folder)
    assert tokenizer.decode(tokenizer.encode("a\x04b")) == tokenizer.normalise("a\x04b") == "ab"
    assert tokenizer.normalise("a\x05b") == "a\x05b"


def test_ids_past_the_vocabulary_can_be_shown(tokenizer):
    assert tokenizer.decode([*tokenizer.encode("x"), tokenizer.vocab_size]) == "x\ufffd"
    with pytest.raises(IndexError):
        tokenizer.piece(tokenizer.vocab_size)


def test_text_that_is_not_unicode_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"not valid Unicode.*\\ud800"):
        tokenizer.encode("half a pair: \ud800")


@pytest.mark.parametrize("text", ["plain words", "naïve 日本 🚂", "tab\tand\nnewline", "  two  spaces "])
def test_the_texts_of_the_tokens_join_to_the_text(tokenizer, text):
    ids = tokenizer.encode(text)
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids) and "".join(texts) == text


# ---- where a text begins and ends


def test_a_text_begins_with_what_the_file_puts_before_it(tmp_path):
    starts = {kind: Tokenizer(make_vocabulary(tmp_path / kind, kind)) for kind in KINDS}
    assert starts["gpt2"].start() == starts["qwen"].start() == []
    assert [starts["llama3"].piece(id) for id in starts["llama3"].start()] == ["<|endoftext|>"]


def test_the_end_that_is_trained_is_the_first_in_config_json(folder):
    assert Tokenizer(folder).piece(Tokenizer(folder).eos_id) == "<|im_end|>"
    last = Tokenizer(folder).vocabulary.control_ids["<|eot_id|>"]
    edit_json(folder / "config.json", eos_token_id=last)
    assert Tokenizer(folder).eos_id == last


def test_or_else_the_first_in_generation_config_json(folder):
    last = Tokenizer(folder).vocabulary.control_ids["<|eot_id|>"]
    (folder / "config.json").write_text("{}")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [last]}))
    assert Tokenizer(folder).eos_id == last


@pytest.mark.parametrize("end", ["<|eot_id|>", {"content": "<|eot_id|>", "special": True}])
def test_without_a_config_json_it_is_the_one_of_tokenizer_config_json(folder, end):
    (folder / "config.json").unlink()
    edit_json(folder / "tokenizer_config.json", eos_token=end)
    tokenizer = Tokenizer(folder / "tokenizer.json")
    assert tokenizer.piece(tokenizer.eos_id) == "<|eot_id|>"
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(
        TokenizerError, match="tokenizer.json: no config.json in the same folder names the token that ends a text"
    ):
        Tokenizer(folder)


# ---- what is refused


def test_without_the_package_one_line_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(TokenizerError, match=r"^\S+tokenizer.json: .* tokenizers: pip install token"):
        Tokenizer(folder)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_file_is_named(folder, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(TokenizerError, match="tokenizer.json: (not JSON|expected a JSON object)"):
        Tokenizer(folder)


def test_a_file_that_the_library_does_not_read_is_named(folder):
    edit_json(folder / "tokenizer.json", pre_tokenizer={"type": "Unheard of"})
    with pytest.raises(TokenizerError, match="tokenizer.json: not a tokenizer.json that the library reads"):
        Tokenizer(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "not a byte-level vocabulary"),
        ({"model": None}, "not a byte-level vocabulary"),
        ({"model": {"type": "BPE", "merges": []}}, "not a tokenizer.json that the library reads"),
        ({"decoder": {"type": "Metaspace"}}, "not a byte-level vocabulary"),
        ({"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}}, None),
        (
            {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
            "does not keep white space in a text as it is",
        ),
    ],
)
def test_a_vocabulary_of_another_kind_is_refused(folder, changes, message):
    edit_json(folder / "tokenizer.json", **changes)
    if message is None:  # which is what its normaliser says
        assert Tokenizer(folder).normalise(" a ") == "a"
        return
    with pytest.raises(TokenizerError, match=message):
        Tokenizer(folder)


def test_a_vocabulary_that_makes_control_tokens_from_text_is_refused(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"].append(content["added_tokens"][0] | {"id": content["model"]["vocab"]["s"], "content": "s"})
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(TokenizerError, match="does not keep s in a text as it is"):
        Tokenizer(folder)


def test_a_file_that_puts_an_end_after_every_text_is_refused(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    single = content["post_processor"]["single"]
    edit_json(folder / "tokenizer.json", post_processor=content["post_processor"] | {"single": [*single, single[0]]})
    with pytest.raises(TokenizerError, match="adds 2 tokens to a text"):
        Tokenizer(folder)


# ---- checkpoints


@pytest.fixture
def model(folder):
    tokenizer = Tokenizer(folder)
    return make_model(vocab_size=tokenizer.vocab_size, eos_token_id=tokenizer.eos_id)


def test_the_tokenizer_is_written_back_unchanged(folder, model, tmp_path):
    save_model(model, tmp_path / "out", folder, chat_template="System: …")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    settings = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert settings["chat_template"] == "System: …" and settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (settings["bos_token"], settings["eos_token"]) == ("<|endoftext|>", "<|im_end|>")
    assert Tokenizer(tmp_path / "out").eos_id == model.config.eos_token_id
    load_model(tmp_path / "out")


def test_a_chat_template_finds_no_bos_where_texts_begin_without(tmp_path):
    tokenizer = Tokenizer(make_vocabulary(tmp_path / "vocabulary", "gpt2"))
    model = make_model(vocab_size=tokenizer.vocab_size, eos_token_id=tokenizer.eos_id)
    save_model(model, tmp_path / "out", tokenizer.path, chat_template="{{ bos_token }}")
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())["bos_token"] is None


def test_a_model_saved_over_another_leaves_nothing_of_its_tokenizer(folder, model, small_tokenizer, tmp_path):
    save_model(make_model(), tmp_path / "out", small_tokenizer.path)
    (tmp_path / "out" / "chat_template.jinja").write_text("the old one's")
    save_model(model, tmp_path / "out", folder)
    assert Tokenizer(tmp_path / "out").path.name == "tokenizer.json"
    assert not (tmp_path / "out" / "chat_template.jinja").exists()
    save_model(make_model(), tmp_path / "out", small_tokenizer.path)
    assert Tokenizer(tmp_path / "out").path.name == "tokenizer.model"


def test_a_tokenizer_of_another_model_is_refused(folder, tmp_path):
    vocabulary = Tokenizer(folder)
    with pytest.raises(CheckpointError, match=r"tokenizer.json: expected at most 300 pieces, .* found 3\d\d"):
        save_model(make_model(vocab_size=300, eos_token_id=vocabulary.eos_id), tmp_path / "out", folder)
    with pytest.raises(CheckpointError, match="tokenizer.json: expected texts to end with id 2"):
        save_model(make_model(vocab_size=vocabulary.vocab_size), tmp_path / "out", folder)


# ---- training


def test_trajectories_that_a_normalizer_changes_are_counted(tmp_path):
    tokenizer = Tokenizer(make_vocabulary(tmp_path, "qwen"))
    plain, joined = record(0), record(1)
    joined["messages"][0]["content"] += " cafe\u0301"
    (tmp_path / "data.jsonl").write_text(json.dumps(plain) + "\n" + json.dumps(joined))
    data = load_training_data([str(tmp_path / "data.jsonl")], tokenizer, EncodingOptions(), progress=False)
    assert data.normalised == 1 and any("1 trajectories with characters" in line for line in data.lines())


@pytest.fixture(params=[("llama3", "llama"), ("qwen", "qwen2"), ("qwen", "qwen3")], ids=lambda param: param[1])
def toy(request, toy_sft, tmp_path) -> Path:
    """The folder of `toy_sft` with a model of another family and its kind of vocabulary."""
    kind, family = request.param
    tokenizer = Tokenizer(make_vocabulary(tmp_path / "vocabulary", kind))
    shape = {"vocab_size": tokenizer.vocab_size, "eos_token_id": tokenizer.eos_id, "max_position_embeddings": 4096}
    save_model(make_model(**shape, model_type=family), tmp_path / "model", tokenizer.path)
    (tmp_path / "data.jsonl").symlink_to(toy_sft / "data.jsonl")
    return tmp_path


def test_a_call_and_its_end_are_trained(toy):
    tokenizer = Tokenizer(toy / "model")
    trajectory = read([str(toy / "data.jsonl")])[0][0]
    example = encode_trajectory(trajectory, tokenizer)
    turn = example.turns[0]
    targets = example.targets[turn.start - 1 : turn.end].tolist()
    assert template_of(tokenizer).read(tokenizer.decode(targets[:-1])) == ('get_papers(topic="cats 0")',)
    assert targets[-1] == tokenizer.eos_id
    assert example.input_ids[: len(tokenizer.start())].tolist() == tokenizer.start()
    assert turn.key_positions


def test_a_run_trains_resumes_and_can_be_shown(toy, tmp_path, monkeypatch, capsys):
    assert_resumes_alike(toy, tmp_path, monkeypatch)
    same = (toy / "model" / "tokenizer.json").read_bytes()
    assert (tmp_path / "whole" / "tokenizer.json").read_bytes() == same
    capsys.readouterr()
    assert show.main([str(toy / "data.jsonl"), "--model", str(tmp_path / "whole")]) == 0
    assert "get" in capsys.readouterr().out


def test_ranks_load_it_as_one_process_does(toy, two_ranks):
    expected = load_model(toy / "model", dtype=torch.float32)(torch.arange(12)[None])
    for _, logits, _ in two_ranks.run(logits_of_the_whole, toy):
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
