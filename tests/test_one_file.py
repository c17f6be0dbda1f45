"""docs/one_file.py computes what the product computes: the same ids, weights, losses, gradients and rewards."""

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor

from docs import one_file
from tl.assets import TINY
from tl.irm import call_reward
from tl.llama import Llama, Tokenizer, load_model
from tl.losses import policy_loss, token_nll, value_loss, weighted_cross_entropy
from tl.ppo import gae, whiten
from tl.prompt import Example, encode_trajectory
from tl.schema import ToolSpec
from tl.trajectory import Message, Trajectory

ROLES = {"user": "user", "call": "assistant", "output": "tool"}
CONVERSATIONS = one_file.conversations()
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


def product_tools() -> tuple[ToolSpec, ...]:
    return tuple(
        ToolSpec(
            tool["name"],
            tool["description"],
            {
                k: {"type": kind, "description": text}
                for k, (kind, text) in (tool["required"] | tool["optional"]).items()
            },
            tuple(tool["required"]),
        )
        for tool in one_file.TOOLS
    )


def product_example(messages: list[tuple[str, str]], tokenizer: Tokenizer) -> Example:
    read = tuple(Message(ROLES[role], text, is_call=role == "call") for role, text in messages)
    example = encode_trajectory(Trajectory("one", product_tools(), read), tokenizer)
    assert example is not None
    return example


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY)


@pytest.fixture(scope="module")
def vocabulary() -> one_file.Vocabulary:
    return one_file.Vocabulary(model_file=str(one_file.CHECKPOINT / "tokenizer.model"))


@pytest.fixture
def model() -> Llama:
    return load_model(TINY, dtype=torch.float32).double()


@pytest.fixture
def weights() -> one_file.Weights:
    return {name: w.detach().double().requires_grad_() for name, w in one_file.load_model().items()}


def assert_same_gradients(weights: one_file.Weights, model: Llama) -> None:
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(weights[name].grad, parameter.grad, **TOLERANCE)


def test_it_imports_nothing_of_the_product_and_fits_400_lines() -> None:
    text = Path(one_file.__file__).read_text()
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names} | {getattr(node, "module", "") for node in imports}
    assert not [name for name in names if name and name.split(".")[0] in ("tl", "tools")]
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize("messages", CONVERSATIONS[:2])
def test_ids_targets_and_weights_are_the_products(messages, tokenizer, vocabulary) -> None:
    example = product_example(messages, tokenizer)
    ids, targets, weights, call = one_file.encode_conversation(one_file.TOOLS, messages, vocabulary)
    trained = example.weights > 0
    assert ids.tolist() == example.input_ids.tolist()
    assert weights.tolist() == example.weights.tolist()
    assert targets[trained].tolist() == example.targets[trained].tolist()
    assert call[trained].tolist() == example.turn_index[trained].tolist()


def test_the_sft_loss_and_its_gradients_are_the_products(tokenizer, vocabulary, model, weights) -> None:
    batch = [one_file.encode_conversation(one_file.TOOLS, messages, vocabulary) for messages in CONVERSATIONS[:3]]
    loss = one_file.sft_loss(weights, batch)
    loss.backward()

    examples = [product_example(messages, tokenizer) for messages in CONVERSATIONS[:3]]
    total = sum(example.trained_turns for example in examples)
    product = torch.zeros((), dtype=torch.float64)
    for example in examples:
        at = (example.weights > 0).nonzero().flatten()
        hidden = model(example.input_ids[None], return_hidden=True)[0, at]
        nll = token_nll(hidden, model.lm_head.weight, example.targets[at])
        product = product + weighted_cross_entropy(nll, example.weights[at], example.turn_index[at], "call", total)
    product.backward()
    torch.testing.assert_close(loss, product, **TOLERANCE)
    assert_same_gradients(weights, model)


def test_the_policys_loss_and_its_gradients_are_the_products(vocabulary, model, weights) -> None:
    prompt = one_file.prompt_ids("What time is it in Oslo?", vocabulary)
    actions = [*vocabulary.encode('get_time(city="Oslo")'), vocabulary.eos_id()]
    advantages = torch.linspace(-1, 1, len(actions), dtype=torch.float64)
    logp = one_file.action_logp(weights, prompt, actions)
    old_logp = logp.detach() + 0.3 * torch.cos(torch.arange(len(actions)))  # some ratios are clipped
    loss = one_file.policy_loss(logp, old_logp, advantages)
    loss.backward()

    hidden = model(torch.tensor([[*prompt, *actions[:-1]]]), return_hidden=True)[0, len(prompt) - 1 :]
    product_logp = -token_nll(hidden, model.lm_head.weight, torch.tensor(actions))
    product = policy_loss(product_logp, old_logp, advantages, torch.ones(len(actions), dtype=torch.bool), one_file.CLIP)
    product.backward()
    torch.testing.assert_close(loss, product, **TOLERANCE)
    assert_same_gradients(weights, model)


def random_rows(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, dtype=torch.float64, generator=generator) for _ in range(3)]


def test_advantages_returns_and_the_value_loss_are_the_products() -> None:
    rewards, values, old_values = random_rows(7)
    every = torch.ones(1, 7, dtype=torch.bool)
    advantages, returns = one_file.gae(rewards, values)
    expected = gae(rewards[None], values[None], every, one_file.GAMMA, one_file.LAMBDA)
    torch.testing.assert_close(torch.stack((advantages, returns)), torch.cat(expected), **TOLERANCE)
    torch.testing.assert_close(one_file.whiten(advantages), whiten(advantages[None], every)[0], **TOLERANCE)
    loss = one_file.value_loss(values, old_values, returns)
    expected_loss = value_loss(values, old_values, returns, every[0], one_file.CLIP)
    torch.testing.assert_close(loss, expected_loss, **TOLERANCE)


@pytest.mark.parametrize(
    "prediction",
    [
        'get_weather(city="Oslo", days=2)',
        'get_weather(city="Lima", days=2)',
        'get_weather(city="Oslo")',
        'get_weather(days=2, town="Oslo")',
        'get_weather(city="Oslo", days=2, hour=3)',
        'get_weather(town="Oslo")',
        "get_weather()",
        'get_time(city="Oslo")',
        'get_news(city="Oslo")',
        "It is raining.",
        'get_weather("Oslo")',
        'get_weather(city="Oslo", days=2) or nothing',
    ],
)
def test_rewards_are_the_products(prediction) -> None:
    golden = 'get_weather(city="Oslo", days=2)'
    assert (
        one_file.call_reward(prediction, golden, one_file.TOOLS)
        == call_reward(prediction, golden, product_tools()).value
    )


@pytest.mark.parametrize("golden", ["get_time(city='Oslo')", 'get_weather(city="Oslo")'])
def test_a_redundant_parameter_costs_what_it_costs_there(golden) -> None:
    for prediction in ('get_weather(city="Oslo", days=1)', "get_weather(days=1)", 'get_weather(days=1, town="x")'):
        expected = call_reward(prediction, golden, product_tools()).value
        assert one_file.call_reward(prediction, golden, one_file.TOOLS) == expected


def test_words_within_a_string_stay_what_they_are():
    assert one_file.parse_call('finish(answer="it is true, yes")') == ("finish", {"answer": "it is true, yes"})


def test_it_runs_from_the_first_step_to_the_last(capsys) -> None:
    one_file.main(sft_steps=1, ppo_steps=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["SFT", "PPO"]
