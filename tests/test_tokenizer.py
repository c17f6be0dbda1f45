"""Segment-wise encoding is exact: what is trained on is what will be generated."""

import gzip
import io
import itertools
import json

import pytest
import sentencepiece

from tl.llama.tokenizer import Tokenizer, TokenizerError, train_vocabulary

TEXTS = [
    'search(query="cats", limit=3)',
    "plain words",
    "two  spaces,   three, and trailing  ",
    "  leading spaces",
    "\ttabs\t\tand\n\tindents\n        deep",
    "line\r\nline\r\n",
    "\n",
    "\n\n\nthree newlines",
    "\r\nstarts with CRLF",
    "Grüße, 東京, Привет, שלום",
    "emoji 🎉👩‍👩‍👧 and combining e\u0301",
    "\x00\x07 control characters \u2028\u00a0\ufeff",
    "12345 and 3.14159",
    "</s><s><unk><0x0A> is text",
    "",
]


@pytest.fixture(scope="module", params=["small", "llama2"])
def tokenizer(request) -> Tokenizer:
    if request.param == "small":
        return request.getfixturevalue("small_tokenizer")
    return Tokenizer(request.getfixturevalue("shared") / "data" / "tokenizer" / "tokenizer.model")


def pieces(tokenizer: Tokenizer, segment: str) -> list[str]:
    return [tokenizer.piece(id) for id in tokenizer.encode(segment)]


@pytest.mark.parametrize("text", TEXTS)
def test_decode_inverts_encode(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_conventions_of_llama(tokenizer):
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    assert [tokenizer.piece(id) for id in range(4)] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert pieces(tokenizer, "2026")[-4:] == ["2", "0", "2", "6"]


def test_the_real_vocabulary_gives_the_known_ids(shared):
    tokenizer = Tokenizer(shared / "data" / "tokenizer")
    assert tokenizer.vocab_size == 32000
    assert tokenizer.encode("Hello") == [15043]
    assert tokenizer.encode("\nOutput: x") == [13, 6466, 29901, 921]


def test_a_leading_newline_brings_no_stray_prefix(tokenizer):
    assert pieces(tokenizer, "\nUser: hi")[0] == "<0x0A>"
    assert pieces(tokenizer, "\n\nUser: hi")[:2] == ["<0x0A>", "<0x0A>"]
    assert pieces(tokenizer, "\n") == ["<0x0A>"]


def test_a_call_starts_as_after_a_space(tokenizer):
    whole = tokenizer.encode("\nAssistant: search(")
    assert whole == tokenizer.encode("\nAssistant:") + tokenizer.encode("search(")
    assert pieces(tokenizer, "search(")[0].startswith("▁s")


def test_segments_of_nasty_texts_join_to_the_whole(tokenizer):
    for first, second in itertools.product(TEXTS, repeat=2):
        if not first:
            continue  # an empty text has no dummy prefix, so nothing can continue it
        segments = [first, "\nOutput: " + second, "\n" + second, "\nUser:"]
        assert sum((tokenizer.encode(segment) for segment in segments), []) == tokenizer.encode("".join(segments))


def test_segments_of_real_records_join_to_the_whole(shared):
    tokenizer = Tokenizer(shared / "data" / "tokenizer")
    with gzip.open(shared / "data" / "trajectories" / "openai_messages.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in itertools.islice(file, 0, None, 10)]
    assert len(records) > 300
    for record in records:
        segments, whole = segments_of(record)
        assert sum((tokenizer.encode(segment) for segment in segments), []) == tokenizer.encode(whole), record["id"]


def segments_of(record: dict) -> tuple[list[str], str]:
    """A record in the shape of the prompt (Table 13), as segments and as one text."""
    tools = (f"{spec['function']['name']}: {spec['function'].get('description')}" for spec in record["tools"])
    whole = "System: " + "\n\n".join(tools)
    segments = [whole]
    labels = {"system": "System", "user": "User", "tool": "Output"}
    for message in record["messages"]:
        if message["role"] != "assistant":
            segments.append(f"\n{labels[message['role']]}: {message['content']}")
            whole += segments[-1]
        for call in message.get("tool_calls") or []:
            text = f"{call['function']['name']}({call['function']['arguments'].strip()})"
            segments += ["\nAssistant:", text]
            whole += f"\nAssistant: {text}"
    return segments, whole


@pytest.mark.parametrize("text", ["<s>", "</s>", "<unk>", "answer</s>", "\n</s>", "</s></s>\n<s>User:"])
def test_control_pieces_are_never_made_from_text(tokenizer, text):
    assert not {0, tokenizer.bos_id, tokenizer.eos_id} & set(tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_control_ids_have_no_text(tokenizer):
    assert tokenizer.decode([tokenizer.bos_id, *tokenizer.encode("done"), tokenizer.eos_id]) == "done"


def test_ids_past_the_vocabulary_can_be_shown(tokenizer):
    assert tokenizer.decode(tokenizer.encode("x") + [tokenizer.vocab_size]) == "x ⁇ "
    with pytest.raises(IndexError):
        tokenizer.piece(tokenizer.vocab_size)


def test_text_that_is_not_unicode_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"not valid Unicode.*\\ud800"):
        tokenizer.encode("half a pair: \ud800")


def test_a_folder_with_a_tokenizer_can_be_named(small_tokenizer):
    assert Tokenizer(small_tokenizer.path.parent).encode("abc") == small_tokenizer.encode("abc")


def test_training_is_reproducible_and_keeps_long_lines(tmp_path):
    texts = ["the long line " * 1000 + "zebra\nsecond line", "zebra zebra"]
    for name in ("a", "b"):
        train_vocabulary(texts, tmp_path / name, 300)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pieces(Tokenizer(tmp_path / "a"), "long") == ["▁long"]


def test_training_keeps_digits_apart_and_indentation_together(tmp_path):
    train_vocabulary(["        return 2026\n    or 2026"] * 50, tmp_path / "tokenizer.model", 290)
    tokenizer = Tokenizer(tmp_path)
    newline, indentation, *_ = found = pieces(tokenizer, "\n        return 2026")
    assert newline == "<0x0A>" and set(indentation) == {"▁"} and len(indentation) > 4
    assert found[-4:] == ["2", "0", "2", "6"]


@pytest.mark.parametrize("size", [100, 100_000])
def test_an_impossible_vocabulary_size_is_refused(tmp_path, size):
    with pytest.raises(ValueError, match=f"cannot train a vocabulary of {size:,} pieces"):
        train_vocabulary(["a few words"], tmp_path / "x.model", size)
    assert not (tmp_path / "x.model").exists()


def train_with(path, **settings) -> None:
    model = io.BytesIO()
    defaults = {"vocab_size": 290, "model_type": "bpe", "byte_fallback": True, "minloglevel": 2}
    defaults |= {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["some words of text, some text of words"]), model_writer=model, **defaults | settings
    )
    path.write_bytes(model.getvalue())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bos_id": -1}, "no bos piece"),
        ({"eos_id": -1}, "no eos piece"),
        ({"add_dummy_prefix": False}, "does not keep text as it is"),
        ({"remove_extra_whitespaces": True}, "does not keep text as it is"),
        ({"normalization_rule_name": "nmt_nfkc"}, "does not keep text as it is"),
        ({"byte_fallback": False, "vocab_size": 30}, "does not keep text as it is"),
    ],
)
def test_a_vocabulary_of_another_kind_is_refused(tmp_path, settings, message):
    train_with(tmp_path / "good.model")
    Tokenizer(tmp_path / "good.model")
    train_with(tmp_path / "bad.model", **settings)
    with pytest.raises(TokenizerError, match=f"bad.model.*{message}"):
        Tokenizer(tmp_path / "bad.model")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TokenizerError, match="nowhere.model: no such file"):
        Tokenizer(tmp_path / "nowhere.model")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x00" * 64])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(TokenizerError, match="tokenizer.model: not a sentencepiece model"):
        Tokenizer(tmp_path)


def test_a_half_downloaded_file_is_named(tmp_path, small_tokenizer):
    content = small_tokenizer.path.read_bytes()
    (tmp_path / "tokenizer.model").write_bytes(content[: len(content) // 2 + 1])
    with pytest.raises(TokenizerError, match="damaged or half downloaded"):
        Tokenizer(tmp_path)


def test_a_folder_without_a_vocabulary_is_refused(tmp_path):
    with pytest.raises(TokenizerError, match="no tokenizer.model and no tokenizer.json in this folder. Copy"):
        Tokenizer(tmp_path)


def test_control_pieces_are_known_by_name(tokenizer):
    assert tokenizer.vocabulary.control_ids == {"<s>": 1, "</s>": 2}
    assert tokenizer.start() == [1]


@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_the_tokens_are_those_of_the_text(tokenizer, text):
    joined = b"".join(map(tokenizer.bytes_of, tokenizer.encode(text))).decode()
    assert joined == text if text.startswith("\n") or not text else joined == " " + text
    assert tokenizer.normalise(text) == text
