"""What the model reads and is trained on, down to the token; and the proof that one pass a trajectory is enough."""

import pytest
import torch

from tl.assets import TINY
from tl.calls import Call, format_call
from tl.evaluation.suites import rotbench
from tl.llama import Llama, ModelConfig, Tokenizer
from tl.losses import token_nll, weighted_cross_entropy
from tl.mae import ErrorCategory
from tl.pkt import key_positions
from tl.prompt import (
    NO_TARGET,
    EncodingOptions,
    call_length,
    cut_feedback,
    encode_call,
    encode_prompt,
    encode_trajectory,
    name_ids,
)
from tl.schema import BUILT_INS, ToolSpec
from tl.templates import template_of
from tl.training.batching import collate
from tl.trajectory import Message, Trajectory

QUERY = {"query": {"type": "string", "description": "what to look for"}}
GET_PAPER = ToolSpec("get_paper", "Reads a paper.", {"id": {"type": "integer", "description": "its number"}}, ("id",))
GET_PAPERS = ToolSpec("get_papers_by_keywords", "Finds papers.", QUERY, ("query",))
TOOLS = (GET_PAPER, GET_PAPERS, *BUILT_INS)


def call(name: str, **arguments) -> Message:
    return Message("assistant", format_call(Call(name, arguments)), is_call=True)


def trajectory(*messages: Message, tools=TOOLS) -> Trajectory:
    return Trajectory("t", tools, messages)


FOUR_TURNS = trajectory(
    Message("user", "Papers about owls, please."),
    call("get_papers_by_keywords", query="owls"),
    Message("tool", '[{"id": 7, "title": "Night owls"}]'),
    call("get_paper", number=7),
    Message("tool", "get_paper() got an unexpected keyword argument 'number'"),
    call("get_paper", id=7),
    Message("tool", '{"title": "Night owls", "pages": 12}'),
    call("finish", answer="Night owls, 12 pages."),
)


@pytest.fixture
def tokenizer(small_tokenizer):
    return small_tokenizer


def text_of(segments) -> str:
    return "".join(" " * bool(segment.turn) + segment.text for segment in segments)


def target_text(example, turn, tokenizer) -> str:
    """The decoded targets of a turn without the closing </s>."""
    targets = example.targets[turn.start - 1 : turn.end].tolist()
    assert targets[-1] == tokenizer.eos_id
    return tokenizer.decode(targets[:-1])


def test_template_of_table_13(tokenizer):
    tool = ToolSpec("random_advice", "Returns a random advice slip as a slip object.", {}, ())
    segments = template_of(tokenizer).segments(
        (tool,),
        (
            Message("user", "Can you fetch some random advice for me?"),
            call("random_advice"),
            Message("tool", '{"slip": {"id": 52}}'),
            call("finish", answer="Done."),
        ),
    )
    assert text_of(segments) == (
        "System: " + tool.to_prompt() + "\n"
        "User: Can you fetch some random advice for me?\n"
        "Assistant: random_advice()\n"
        'Output: {"slip": {"id": 52}}\n'
        'Assistant: finish(answer="Done.")'
    )


def test_own_system_message_stands_before_the_tools(tokenizer):
    [segment] = template_of(tokenizer).segments(
        (GET_PAPER,), (Message("system", "Be brief."), Message("user", "Hello"))
    )
    expected = f"System: Be brief.\n\n{GET_PAPER.to_prompt()}\nUser: Hello\nAssistant:"
    assert segment.text == expected


def test_tools_are_separated_by_an_empty_line(tokenizer):
    [segment] = template_of(tokenizer).segments(TOOLS, (Message("user", "Hello"),))
    assert segment.text.startswith("System: " + "\n\n".join(tool.to_prompt() for tool in TOOLS) + "\nUser:")


def test_prompt_is_the_trajectory_up_to_its_next_turn(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    for number, at in enumerate((1, 3, 5, 7)):
        prompt = encode_prompt(TOOLS, FOUR_TURNS.messages[:at], tokenizer)
        assert example.input_ids[: example.turns[number].start].tolist() == prompt


def test_a_call_after_its_prompt_is_the_trajectory_that_ends_with_it(tokenizer):
    asked, golden = Message("user", "Paper 7, please."), Call("get_paper", {"id": 7})
    expected = encode_trajectory(trajectory(asked, call("get_paper", id=7)), tokenizer, EncodingOptions(pkt=False))
    example = encode_call("t", encode_prompt(TOOLS, [asked], tokenizer), golden, tokenizer)
    assert (example.turns, example.turns_cut) == (expected.turns, 0)
    for at in (0, 5):
        for name in ("input_ids", "targets", "weights", "turn_index"):
            assert torch.equal(getattr(example.after(at), name), getattr(expected, name)[at:])
    assert call_length(golden, tokenizer) == (expected.targets != NO_TARGET).sum()


def test_ids_are_those_of_the_whole_text(tokenizer):
    whole = text_of(template_of(tokenizer).segments(TOOLS, FOUR_TURNS.messages))
    assert encode_trajectory(FOUR_TURNS, tokenizer).input_ids.tolist() == [tokenizer.bos_id, *tokenizer.encode(whole)]


def test_targets_are_the_calls_and_their_end_and_nothing_else(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    calls = [m.content for m in FOUR_TURNS.messages if m.is_call]
    assert [target_text(example, turn, tokenizer) for turn in example.turns] == calls
    covered = torch.zeros(len(example), dtype=torch.bool)
    for number, turn in enumerate(example.turns):
        covered[turn.start - 1 : turn.end] = True
        assert (example.turn_index[turn.start - 1 : turn.end] == number).all()
    assert (example.targets[~covered] == NO_TARGET).all() and (example.turn_index[~covered] == -1).all()


def test_history_never_holds_the_end_token(tokenizer):
    assert tokenizer.eos_id not in encode_trajectory(FOUR_TURNS, tokenizer).input_ids


def test_erroneous_call_stays_in_the_context_with_weight_zero(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    assert [turn.trained for turn in example.turns] == [True, False, True, True]
    masked = example.turns[1]
    assert masked.category is ErrorCategory.PARAMETER_HALLUCINATION
    assert (example.weights[masked.start - 1 : masked.end] == 0).all()
    assert "number=7" in tokenizer.decode(example.input_ids.tolist())


def test_without_mae_erroneous_calls_are_trained(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer, EncodingOptions(mae=False))
    assert example.trained_turns == 4


def test_weights_are_those_of_the_key_positions(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    turn = example.turns[2]  # get_paper(id=7), beside get_papers_by_keywords
    pieces = [tokenizer.piece(id) for id in example.input_ids[turn.start : turn.end].tolist()]
    # This vocabulary writes every name as "▁", which says nothing of the tool, and what follows; all of "get_paper"
    # is the beginning of its sibling's name.
    assert pieces[0] == "▁" and [pieces[k] for k in turn.key_positions] == ["g", "("]
    n = turn.end - turn.start + 1
    expected = torch.ones(n)
    expected[list(turn.key_positions)] = min(9.0, (n - 2) / 2)
    assert torch.equal(example.weights[turn.start - 1 : turn.end], expected)


def test_no_key_token_weighs_more_than_w_max(tokenizer):
    assert encode_trajectory(FOUR_TURNS, tokenizer, EncodingOptions(w_max=2.0)).weights.max() == 2.0


def test_weights_of_the_embedded_vocabulary_by_hand():
    """The first word of a name is one piece with its word mark. get_paper ends where the longer name goes on."""
    tokenizer = Tokenizer(TINY)
    example = encode_trajectory(
        trajectory(Message("user", "x"), call("get_papers_by_keywords", query="owls")), tokenizer
    )
    assert [
        (tokenizer.piece(id), weight)
        for id, weight in zip(example.targets.tolist(), example.weights.tolist(), strict=True)
        if id != NO_TARGET
    ] == [
        ("▁get", 7), ("_", 1), ("paper", 1), ("s", 7), ("_", 1), ("by", 1), ("_", 1), ("key", 1), ("words", 1),
        ("(", 1), ("query", 1), ('="', 1), ("owl", 1), ("s", 1), ('")', 1), ("</s>", 1),  # (16 - 2) / 2
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "pieces"), [("get", ["g", "e", "t"]), ("search", ["▁se", "ar", "ch"])])
def test_ids_of_a_name_begin_with_the_first_piece_that_has_text(name, pieces, tokenizer):
    assert tokenizer.piece(tokenizer.encode("get")[0]) == "▁"
    assert [tokenizer.piece(id) for id in name_ids(name, tokenizer)] == pieces


def test_a_vocabulary_in_which_names_begin_with_text_keeps_its_key_tokens(shared):
    """Llama-2's has `▁get`: there the key positions are those of the names' ids as they are."""
    tokenizer = Tokenizer(shared / "data" / "tokenizer")
    seen = 0
    for question in rotbench.read(shared / "data" / "rotbench").questions:
        tools = question.tools
        ids = {tool.name: tokenizer.encode(tool.name) for tool in tools}
        for name in ids:
            assert tokenizer.piece(ids[name][0]) != "▁"
            others = [other for tool, other in ids.items() if tool != name]
            example = encode_trajectory(trajectory(Message("user", "x"), call(name), tools=tools), tokenizer)
            assert list(example.turns[0].key_positions) == key_positions(ids[name], others)
            seen += 1
    assert seen > 500


def test_without_pkt_all_trained_tokens_weigh_one(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer, EncodingOptions(pkt=False))
    assert set(example.weights.tolist()) == {0.0, 1.0}


def test_name_that_merges_with_the_bracket_is_taken_from_the_call(tokenizer):
    """Whatever the name's last token becomes in front of the bracket, its first token is key and weights fit."""
    odd = ToolSpec("get_paper_", "Reads.", {}, ())
    example = encode_trajectory(trajectory(Message("user", "x"), call("get_paper_"), tools=(odd, *TOOLS)), tokenizer)
    turn = example.turns[0]
    assert turn.key_positions[0] == 1 and len(turn.key_positions) >= 2
    assert turn.key_positions[-1] < turn.end - turn.start
    alone = encode_trajectory(trajectory(Message("user", "x"), call("get_paper_"), tools=(odd, *BUILT_INS)), tokenizer)
    assert alone.turns[0].key_positions == (1,)  # its own name is none to tell it from


def test_key_tokens_of_a_name_that_stands_in_quotes(tokenizer):
    sizes = [ToolSpec(name, "Reads.", {}, ()) for name in ("page[size]", "page[count]")]
    example = encode_trajectory(
        trajectory(Message("user", "x"), call("page[size]"), tools=(*sizes, *BUILT_INS)), tokenizer
    )
    turn = example.turns[0]
    text = [tokenizer.decode(example.input_ids[turn.start : turn.start + k].tolist()) for k in turn.key_positions]
    assert text[0] == "" and text[-1] == '"page['  # the names part after the bracket


@pytest.mark.parametrize("lead", ["", " ", "   ", "\n", "\n  ", '"', ' "'])
def test_key_tokens_are_those_of_the_name_however_the_call_is_spelt(tokenizer, lead):
    text = f"{lead}get_paper{lead.strip()} (id=7)"
    turn_message = Message("assistant", text, is_call=True)
    example = encode_trajectory(trajectory(Message("user", "x"), turn_message), tokenizer)
    turn = example.turns[0]
    before = [tokenizer.decode(example.input_ids[turn.start : turn.start + k].tolist()) for k in turn.key_positions]
    assert example.trained_turns == 1
    assert len(before[0]) <= len(lead)  # nothing of the name stands before the first key token
    first = tokenizer.decode(example.input_ids[turn.start : turn.start + turn.key_positions[0] + 1].tolist())
    assert len(first) > len(lead)  # and the token itself holds some of it
    assert before[-1] == f"{lead}get_paper"  # where get_papers_by_keywords goes on


@pytest.mark.parametrize("mae", [True, False])
def test_call_that_does_not_parse_weighs_nothing(tokenizer, mae):
    broken = Message("assistant", "get_paper(id=", is_call=True)
    example = encode_trajectory(
        trajectory(Message("user", "x"), broken, Message("tool", "?"), call("get_paper", id=1)),
        tokenizer,
        EncodingOptions(mae=mae),
    )
    assert [turn.trained for turn in example.turns] == [False, True]


def test_call_of_a_tool_that_is_not_there_is_masked(tokenizer):
    example = encode_trajectory(trajectory(Message("user", "x"), call("google", q="x")), tokenizer)
    assert example.trained_turns == 0 and example.turns[0].category is ErrorCategory.TOOL_HALLUCINATION


def test_text_turn_in_mid_conversation_is_a_unit_of_weight_one(tokenizer):
    example = encode_trajectory(
        trajectory(
            Message("user", "Hi"), Message("assistant", "Which one?"), Message("user", "7"), call("finish", answer="ok")
        ),
        tokenizer,
    )
    text = example.turns[0]
    assert not text.is_call and text.key_positions == ()
    assert (example.weights[text.start - 1 : text.end] == 1).all()
    assert target_text(example, text, tokenizer) == "Which one?"


def test_too_long_is_cut_after_a_turn(tokenizer):
    whole = encode_trajectory(FOUR_TURNS, tokenizer)
    for kept in (1, 2, 3):
        for limit in (whole.turns[kept - 1].end, whole.turns[kept].end - 1):
            cut = encode_trajectory(FOUR_TURNS, tokenizer, EncodingOptions(max_length=limit))
            assert len(cut) == whole.turns[kept - 1].end <= limit
            assert cut.turns == whole.turns[:kept] and cut.turns_cut == 4 - kept
            assert torch.equal(cut.weights, whole.weights[: len(cut)])
    assert encode_trajectory(FOUR_TURNS, tokenizer, EncodingOptions(max_length=whole.turns[0].end - 1)) is None


def test_long_feedback_is_cut_in_the_middle_with_a_mark(tokenizer):
    long = Message("tool", "begin " + "lorem ipsum " * 200 + "end")
    cut = cut_feedback(long, tokenizer, 40).content
    assert cut.startswith("begin lorem") and cut.endswith("ipsum end") and "tokens cut]" in cut
    assert len(tokenizer.encode(cut)) < 80
    assert cut_feedback(Message("user", long.content), tokenizer, 40).content == long.content
    assert cut_feedback(Message("tool", "short"), tokenizer, 40).content == "short"


def expanded_loss(model, example, total):
    """One sample per trained call: its whole history, its own forward pass, loss on the call and </s> alone."""
    loss = 0.0
    for turn in example.turns:
        if not turn.trained:
            continue
        positions = torch.arange(turn.start - 1, turn.end)
        hidden = model(example.input_ids[None, : turn.end], return_hidden=True)[0, positions]
        nll = token_nll(hidden, model.lm_head.weight, example.targets[positions])
        loss = loss + weighted_cross_entropy(nll, example.weights[positions].double()) / total
    return loss


def test_one_pass_equals_one_sample_per_correct_call(tokenizer):
    """Loss and every parameter's gradient, in float64 to 1e-10 (the released code makes the expanded samples)."""
    torch.manual_seed(0)
    model = Llama(ModelConfig(tokenizer.vocab_size, 32, 48, 2, 4, 2, 8, 4096)).double()
    examples = [encode_trajectory(FOUR_TURNS, tokenizer)]
    examples.append(encode_trajectory(trajectory(*FOUR_TURNS.messages[:6]), tokenizer))
    micro = collate(examples)
    hidden = model(micro.input_ids, micro.lengths, return_hidden=True)[0, micro.positions]
    nll = token_nll(hidden, model.lm_head.weight, micro.targets)
    loss = weighted_cross_entropy(nll, micro.weights.double(), micro.turn_index)
    assert micro.trained_turns == 5
    expected = sum(expanded_loss(model, example, total=5) for example in examples)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)
    parameters = list(model.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_a_turn_of_weight_0_in_the_data_is_context_whatever_the_method(small_tokenizer):
    call = {"role": "assistant", "tool_calls": [{"name": "search", "arguments": {}}], "weight": 0}
    said = {"role": "assistant", "content": "Which?", "train": False}
    messages = [{"role": "user", "content": "Go."}, call, {"role": "tool", "content": "1"}, said]
    last = [{"role": "user", "content": "All."}, {"role": "assistant", "content": "Done."}]
    trajectory = Trajectory.from_openai({"messages": messages + last})
    for options in (EncodingOptions(), EncodingOptions(mae=False)):
        example = encode_trajectory(trajectory, small_tokenizer, options)
        assert [turn.trained for turn in example.turns] == [False, False, True]
        assert [turn.why_masked for turn in example.turns[:2]] == ["weight 0 in the data"] * 2
        assert example.weights[example.turn_index < 2].sum() == 0
