"""LoRA by itself: the equation, its gradients, what training with it comes to, and that merging changes nothing."""

import pytest
import torch
from checkpoints import CONFIG, make_model, with_large_weights
from torch import Tensor, nn

from tl.llama import Llama, ModelConfig
from tl.llama.lora import (
    LINEAR_LAYERS,
    LoRA,
    LoRALinear,
    adapter_parameters,
    add_lora,
    initial_a,
    lora_of,
    merge,
)
from tl.llama.model import Critic

IDS = torch.arange(3, 23)[None]
QWEN_LIKE = {"model_type": "qwen2"}  # q, k and v have biases


def trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def with_random_b(model: Llama) -> Llama:
    """As after some training: every product of A and B is as large as the weight that it is added to."""
    for name, p in trained(model).items():
        if "lora_B" in name:
            p.normal_(0.0, 0.3)
    return model


def test_the_equation_by_hand():
    """r = 1, α = 3: h = W x + 3 B A x."""
    linear = nn.Linear(2, 2)
    linear.weight.data = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    linear.bias.data = torch.tensor([10.0, 20.0])
    layer = LoRALinear(linear, LoRA(1, 3.0))
    layer.lora_A.weight.data = torch.tensor([[1.0, -1.0]])
    layer.lora_B.weight.data = torch.tensor([[2.0], [0.5]])
    x = torch.tensor([[[4.0, 1.0]]])  # W x + b = (16, 21), A x = 3, 3 B A x = (18, 4.5)
    assert layer(x).tolist() == [[[34.0, 25.5]]]
    assert layer.merged().weight.tolist() == [[7.0, -4.0], [1.5, -0.5]]  # W + 3 [[2, −2], [0.5, −0.5]]
    assert layer.merged()(x).tolist() == [[[34.0, 25.5]]]


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": True}, QWEN_LIKE])
def test_at_first_the_logits_are_the_frozen_model_s_to_the_bit(changes):
    model = make_model(**changes)
    before = model(IDS)
    assert torch.equal(add_lora(model, LoRA(4, 8.0))(IDS), before)


def test_only_adapters_and_a_value_head_are_trained():
    names = trained(add_lora(make_model(), LoRA(4, 8.0, ("v_proj", "down_proj")))).keys()
    layers = [f"layers.{n}.{layer}" for n in range(2) for layer in ("self_attn.v_proj", "mlp.down_proj")]
    assert names == {f"{layer}.{matrix}.weight" for layer in layers for matrix in ("lora_A", "lora_B")}
    critic = add_lora(Critic(CONFIG), LoRA(4, 8.0))
    head = {f"value_head.{name}" for name, _ in critic.value_head.named_parameters()}
    assert {name for name in trained(critic) if "lora_" not in name} == head


@pytest.mark.parametrize("on", [LINEAR_LAYERS, ("q_proj",), ("k_proj", "gate_proj")])
def test_the_count_of_parameters_is_that_of_the_model(on):
    lora = LoRA(3, 6.0, on)
    model = add_lora(make_model(), lora)
    assert adapter_parameters(CONFIG, lora) == sum(p.numel() for p in trained(model).values())
    assert lora_of(model) == lora and lora_of(make_model()) is None


def test_a_is_uniform_within_one_over_root_in_and_every_layer_has_its_own():
    with torch.device("meta"):
        model = add_lora(Llama(ModelConfig(400, 256, 64, 2, 4, 4, 64, 128)), LoRA(64, 128.0))
    drawn = dict(initial_a(model, seed=7))
    assert drawn.keys() == {name for name in trained(model) if "lora_A" in name}
    a, other = drawn["layers.0.self_attn.q_proj.lora_A.weight"], drawn["layers.1.self_attn.q_proj.lora_A.weight"]
    assert a.shape == (64, 256) and 0.99 / 16 < a.abs().max() <= 1 / 16 and not torch.equal(a, other)
    assert a.std() == pytest.approx(1 / 16 / 3**0.5, rel=0.02) and abs(a.mean()) < 0.002
    assert torch.equal(a, dict(initial_a(model, 7))["layers.0.self_attn.q_proj.lora_A.weight"])
    assert not torch.equal(a, dict(initial_a(model, 8))["layers.0.self_attn.q_proj.lora_A.weight"])


@pytest.mark.parametrize("changes", [{}, QWEN_LIKE])
def test_merged_is_unmerged(changes):
    """In float32 within 1e-5 of the largest logit; a bfloat16 weight rounds the sum, as it would any other."""
    model = with_random_b(add_lora(with_large_weights(make_model(**changes), 5), LoRA(4, 8.0)))
    with torch.no_grad():
        unmerged = model(IDS)
        merged = merge(model)(IDS)
    scale = unmerged.abs().max()
    torch.testing.assert_close(merged / scale, unmerged / scale, rtol=0, atol=1e-5)
    plain = make_model(**changes)
    assert [(n, type(m)) for n, m in model.named_modules()] == [(n, type(m)) for n, m in plain.named_modules()]


def test_merging_into_bfloat16_rounds_once():
    layer = LoRALinear(nn.Linear(64, 48, bias=False), LoRA(4, 8.0))
    layer.lora_B.weight.data.normal_()
    exact = layer.merged().weight
    layer.weight.data = layer.weight.data.bfloat16()
    rounded = (layer.weight.float() + 2 * layer.lora_B.weight @ layer.lora_A.weight).bfloat16()
    assert layer.merged().weight.dtype == torch.bfloat16 and torch.equal(layer.merged().weight, rounded)
    torch.testing.assert_close(layer.merged().weight.float(), exact, rtol=2**-7, atol=2**-7)


def loss(model: Llama) -> Tensor:
    return torch.nn.functional.cross_entropy(model(IDS)[0, :-1], IDS[0, 1:])


def test_gradients_of_a_and_b_are_those_of_finite_differences():
    """Central ones, in float64, of three entries of each matrix; frozen weights have none."""
    model = with_random_b(add_lora(with_large_weights(make_model(), 5), LoRA(4, 8.0))).double()
    loss(model).backward()
    step = 1e-5
    for name, p in trained(model).items():
        for index in (0, p.numel() // 2, p.numel() - 1):
            entry = p.data.view(-1)
            with torch.no_grad():
                entry[index] += step
                above = loss(model)
                entry[index] -= 2 * step
                below = loss(model)
                entry[index] += step
            expected = ((above - below) / (2 * step)).item()
            assert p.grad.view(-1)[index].item() == pytest.approx(expected, rel=1e-5, abs=1e-9), name
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


@pytest.mark.parametrize("layer", LINEAR_LAYERS)  # each alone: the rank is its number of inputs
def test_with_a_the_identity_a_step_of_sgd_on_b_is_one_on_the_weight(layer):
    """r = in, α / r = 1, A = 1, B = 0: the product is B, and its gradient that of W."""
    inputs = CONFIG.intermediate_size if layer == "down_proj" else CONFIG.hidden_size
    full, adapted = make_model().double(), add_lora(make_model(), LoRA(inputs, inputs, (layer,))).double()
    weights = {name: p for name, p in full.named_parameters() if name.endswith(f"{layer}.weight")}
    for name, p in trained(adapted).items():
        if "lora_A" in name:
            p.data = torch.eye(inputs, dtype=torch.float64)
    bs = [p for name, p in trained(adapted).items() if "lora_B" in name]
    for model, parameters in ((full, weights.values()), (adapted, bs)):
        loss(model).backward()
        torch.optim.SGD(parameters, lr=0.1).step()
    merged = dict(merge(adapted).named_parameters())
    for name, weight in weights.items():
        assert not torch.equal(weight, dict(make_model().double().named_parameters())[name])
        torch.testing.assert_close(merged[name], weight, rtol=0, atol=1e-12)
