"""`python -m tl show`: what is shown is what is trained on, and data never becomes code."""

import html.parser
import json
import re
from dataclasses import asdict

import pytest
import torch
from forms import make_tokenizer
from test_cli_stats import record

from tl.__main__ import main as tl_main
from tl.assets import TINY
from tl.cli import show
from tl.cli.show import Style, terminal, training_settings
from tl.config import preset
from tl.files import visible
from tl.llama import Llama, ModelConfig, save_model
from tl.losses import weighted_cross_entropy
from tl.prompt import NO_TARGET, EncodingOptions, encode_trajectory
from tl.report.samples import page
from tl.report.views import TurnView, token_texts, view
from tl.training.config import SFTConfig
from tl.trajectory import Trajectory

EVIL = "<script>alert(1)</script>\x1b[2J\x07\u202e{{samples}}\"'"
RIGHT = ("search_news", json.dumps({"q": "naïve 日本"}), EVIL)
WRONG = ("search_cats", "{}", "search_cats() missing 1 required positional argument: 'q'")
OPTIONS = EncodingOptions()


@pytest.fixture
def trajectory() -> Trajectory:
    return Trajectory.from_openai(record(f"id {EVIL}", WRONG, RIGHT))


@pytest.fixture
def model(small_tokenizer) -> Llama:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=small_tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=2048,
    )
    return Llama(config).float()


def test_the_tokens_shown_are_the_trained_ones_with_their_weights(trajectory, small_tokenizer):
    example = encode_trajectory(trajectory, small_tokenizer, OPTIONS)
    shown = [token for turn in view(trajectory, small_tokenizer, OPTIONS).turns for token in turn.tokens]
    trained = example.targets != NO_TARGET
    assert [token.id for token in shown] == example.targets[trained].tolist()
    assert [token.weight for token in shown] == pytest.approx(example.weights[trained].tolist(), abs=1e-4)


def test_turns_carry_category_tool_and_key_tokens(trajectory, small_tokenizer):
    wrong, right = view(trajectory, small_tokenizer, OPTIONS).turns
    assert (wrong.category, wrong.trained, wrong.tool) == ("parameter missing", False, "search_cats")
    assert (right.category, right.trained, right.tool) == ("all right", True, "search_news")
    assert [token.text for token in right.tokens if token.is_key][0].startswith(" s")
    assert right.tokens[-1].text == "</s>"


def test_context_and_turns_together_are_the_prompt(trajectory, small_tokenizer):
    parts = view(trajectory, small_tokenizer, OPTIONS).parts
    text = "".join("".join(t.text for t in part.tokens[:-1]) if isinstance(part, TurnView) else part for part in parts)
    assert text.startswith("System: Function:\ndef search_news(q: string):")
    assert '\nAssistant: search_news(q="naïve 日本")' in text
    assert "\nUser: Find it.\nAssistant: search_cats()\nOutput: search_cats() missing" in text


def test_losses_are_those_of_the_training_loss(trajectory, small_tokenizer, model):
    sample = view(trajectory, small_tokenizer, OPTIONS, model)
    example = encode_trajectory(trajectory, small_tokenizer, OPTIONS)
    logp = model(example.input_ids[None])[0].log_softmax(-1)
    where = (example.targets != NO_TARGET).nonzero().squeeze(-1)
    nll = -logp[where, example.targets[where]]
    assert [token.loss for turn in sample.turns for token in turn.tokens] == pytest.approx(nll.tolist(), abs=1e-3)
    expected = weighted_cross_entropy(nll, example.weights[where], example.turn_index[where])
    assert sample.loss == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("text", ["plain words", "naïve 日本 🚂", "tab\tand\nnewline", "  two  spaces "])
def test_token_texts_join_to_the_text_and_one_stands_for_each_token(small_tokenizer, text):
    ids = small_tokenizer.encode(text)
    texts = token_texts(small_tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts).removeprefix(" ") == text


def test_half_a_character_is_shown_as_a_replacement(small_tokenizer):
    ids = small_tokenizer.encode("日")
    assert token_texts(small_tokenizer, ids[:-1])[-1] == "\ufffd"


def test_control_characters_are_spelled_out():
    assert visible("a\x1b[31m\x00\x9b\u202eb\tc\nd é") == "a\\x1b[31m\\x00\\x9b\\u202eb\tc\nd é"


@pytest.mark.parametrize("colour", [True, False])
def test_the_terminal_gets_no_control_character_from_the_data(colour, trajectory, small_tokenizer):
    text = terminal(view(trajectory, small_tokenizer, OPTIONS), Style(colour))
    own = re.sub(r"\x1b\[[\d;]+m", "", text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", own)
    assert ("\x1b[" in text) == colour
    assert "\\x1b[2J" in own


def test_the_terminal_shows_masked_calls_key_tokens_and_the_stop_target(trajectory, small_tokenizer):
    text = terminal(view(trajectory, small_tokenizer, OPTIONS), Style(colour=False))
    assert "Assistant: search_cats()   ✗ masked: parameter missing\n" in text
    assert re.search(r"^Assistant:\[▁\w+\]×\d.* </s>$", text, re.M)
    assert "2 calls: 1 trained, 1 masked" in text


def test_an_end_that_the_history_holds_is_shown_once(trajectory, small_tokenizer, tmp_path):
    sample = view(trajectory, make_tokenizer("chatml", small_tokenizer, tmp_path), OPTIONS)
    text = terminal(sample, Style(colour=False))
    assert "<|im_end|><|im_end|>" not in text and "\n</tool_call> <|im_end|>" not in text
    assert "\n</tool_call><|im_end|>   ✗ masked: parameter missing\n<|im_start|>user\n" in text
    assert text.endswith("\n</tool_call><|im_end|>\n")
    assert sample.parts[2].startswith("\n<|im_start|>user") and sample.turns[0].tokens[-1].text == "<|im_end|>"


class Tags(html.parser.HTMLParser):
    """The tags and the visible text of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def read_page(*samples) -> Tags:
    reader = Tags()
    reader.feed(page(samples, EVIL))
    return reader


def test_data_never_becomes_markup_in_the_page(trajectory, small_tokenizer):
    reader = read_page(view(trajectory, small_tokenizer, OPTIONS))
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert "<script>alert(1)</script>" in reader.text
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", reader.text)


def test_a_call_that_is_cut_after_its_first_tag_is_on_the_page(small_tokenizer):
    messages = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "<tool_call>"}]
    sample = view(Trajectory.from_openai({"id": "cut", "tools": [], "messages": messages}), small_tokenizer, OPTIONS)
    assert '<span class="t stop"' in page([sample], "title") and "masked" in terminal(sample, Style(False))


def test_a_tool_name_cannot_leave_its_attribute(small_tokenizer):
    name = 'x" onclick="alert(1)'
    source = record("a", (name, "{}", "fine"))
    source["tools"][0]["function"]["name"] = name
    reader = read_page(view(Trajectory.from_openai(source), small_tokenizer, OPTIONS))
    article = next(attributes for tag, attributes in reader.tags if tag == "article")
    assert "onclick" not in article
    assert ("option", {"value": article["data-tools"]}) in reader.tags


@pytest.mark.parametrize("form", ["table13", "chatml"])
def test_the_tools_are_folded_and_the_role_of_a_turn_is_written_once(form, trajectory, small_tokenizer, tmp_path):
    made = page([view(trajectory, make_tokenizer(form, small_tokenizer, tmp_path), OPTIONS)], "")
    shown = re.sub(r"<details>.*?</details>", "", made[made.index("<article") :], flags=re.DOTALL)
    assert "search_cats(q: string)" in made or "&lt;tools&gt;" in made
    assert "string" not in shown and "Find it." in shown
    assert shown.count("Assistant: ") == 2 and "assistant" not in shown and "Assistant:<" not in shown


def test_the_page_needs_nothing_from_elsewhere(trajectory, small_tokenizer):
    reader = read_page(view(trajectory, small_tokenizer, OPTIONS))
    assert not any({"src", "href"} & attributes.keys() for _, attributes in reader.tags)
    policy = next(a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_token_of_the_page_has_its_numbers(trajectory, small_tokenizer, model):
    sample = view(trajectory, small_tokenizer, OPTIONS, model)
    spans = [a for tag, a in read_page(sample).tags if tag == "span" and "data-id" in a]
    tokens = [token for turn in sample.turns for token in turn.tokens]
    assert [int(a["data-id"]) for a in spans] == [token.id for token in tokens]
    assert [float(a["data-loss"]) for a in spans] == pytest.approx([token.loss for token in tokens], abs=1e-3)


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "three.jsonl"
    lines = [record("first", RIGHT), record("second", RIGHT, WRONG), record("third", WRONG)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ([], "second"),
        (["--number", "0"], "first"),
        (["--id", "third"], "third"),
        (["--random", "--seed", "3"], "first"),
    ],
)
def test_which_sample_is_shown(flags, shown, dataset, small_tokenizer, capsys):
    assert show.main([str(dataset), "--tokenizer", str(small_tokenizer.path), *flags]) == 0
    assert capsys.readouterr().out.startswith(f"── {shown}\n")


@pytest.mark.parametrize(
    "flags",
    [
        ["--number", "3"],
        ["--number", "-1"],
        ["--id", "fourth"],
        ["--max_length", "5"],
        ["--id", "first", "--random"],
        ["--number", "0", "--random"],
        ["--samples", "3"],
    ],
)
def test_a_sample_that_is_not_there_or_chosen_twice_is_one_message_and_status_2(
    flags, dataset, small_tokenizer, capsys
):
    assert tl_main(["show", str(dataset), "--tokenizer", str(small_tokenizer.path), *flags]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.out == ""


def test_a_sample_is_encoded_with_the_settings_of_the_run(model, small_tokenizer, tmp_path, capsys):
    """Without MAE the erroneous call of a tool that exists is trained on."""
    run = tmp_path / "run"
    save_model(model, run, small_tokenizer.path)
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(record("one", WRONG, RIGHT)))
    argv = [str(data), "--model", str(run)]
    assert show.main(argv) == 0
    assert "1 trained, 1 masked" in capsys.readouterr().out
    (run / "run_config.json").write_text(json.dumps(asdict(SFTConfig(mae=False))))
    assert show.main(argv) == 0
    assert "2 trained, 0 masked" in capsys.readouterr().out
    (run / "run_config.json").write_text("{")
    assert show.main(argv) == 0
    assert "run_config.json cannot be read and was left out" in capsys.readouterr().err


def test_without_a_run_a_sample_is_cut_as_training_with_that_model_would_cut_it():
    assert training_settings(TINY)["max_length"] == preset(SFTConfig)["max_length"]
    assert training_settings(TINY / "tokenizer.model")["max_length"] == SFTConfig().max_length


def test_a_page_holds_many_samples_and_is_not_overwritten_unasked(dataset, small_tokenizer, tmp_path, capsys):
    out = tmp_path / "out.html"
    argv = [str(dataset), "--tokenizer", str(small_tokenizer.path), "--html", str(out), "--samples", "2"]
    assert show.main(argv) == 0
    assert out.read_text(encoding="utf-8").count("<article") == 2
    assert tl_main(["show", *argv]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert show.main([*argv, "--overwrite"]) == 0
    assert tl_main(["show", *argv, "--overwrite", "--html", str(dataset)]) == 2
    assert "one of the files to read" in capsys.readouterr().err
    assert tl_main(["show", *argv, "--html", str(tmp_path / "nowhere" / "page.html")]) == 2
    assert "does not exist: create it" in capsys.readouterr().err
