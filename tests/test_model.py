"""The Llama against slow loops written from the formulas, and the invariances that training relies on."""

import math

import pytest
import torch

from tl.llama.cache import KVCache
from tl.llama.config import ModelConfig
from tl.llama.model import Llama, rotary_frequencies

CODELLAMA_7B = {  # as published, in the old form
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 16384,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "vocab_size": 32016,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def small_config(**changes) -> ModelConfig:
    shape = dict(
        vocab_size=23,
        hidden_size=12,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        max_position_embeddings=64,
    )
    return ModelConfig(**(shape | changes))


def small_model(seed: int = 0, **changes) -> Llama:
    torch.manual_seed(seed)
    model = Llama(small_config(**changes)).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.3, 0.5)  # far from the initial values, norms' weights included
    return model


def slow_logits(model: Llama, ids: list[int]) -> list[list[float]]:
    """A Llama in loops over plain numbers: the logits of every position."""
    config, weights = model.config, {name: p.tolist() for name, p in model.named_parameters()}
    head = weights.get("lm_head.weight", weights["embed_tokens.weight"])
    size, group = config.head_dim, config.num_attention_heads // config.num_key_value_heads

    def matmul(matrix, vector):
        return [sum(w * x for w, x in zip(row, vector, strict=True)) for row in matrix]

    def rms_norm(weight, vector):
        scale = 1 / math.sqrt(sum(x * x for x in vector) / len(vector) + config.rms_norm_eps)
        return [w * x * scale for w, x in zip(weight, vector, strict=True)]

    def rotated(vector, position):
        out = list(vector)
        for i in range(size // 2):
            angle = position * config.rope_theta ** (-2 * i / size)
            a, b = vector[i], vector[i + size // 2]
            out[i] = a * math.cos(angle) - b * math.sin(angle)
            out[i + size // 2] = a * math.sin(angle) + b * math.cos(angle)
        return out

    def heads(vector):
        return [vector[i : i + size] for i in range(0, len(vector), size)]

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    stream = [list(weights["embed_tokens.weight"][i]) for i in ids]
    for layer in range(config.num_hidden_layers):
        w = {name.removeprefix(f"layers.{layer}."): value for name, value in weights.items()}
        normed = [rms_norm(w["input_layernorm.weight"], x) for x in stream]
        queries, keys = (
            [[rotated(h, t) for h in heads(matmul(w[f"self_attn.{proj}.weight"], x))] for t, x in enumerate(normed)]
            for proj in ("q_proj", "k_proj")
        )
        values = [heads(matmul(w["self_attn.v_proj.weight"], x)) for x in normed]
        for t in range(len(ids)):
            mixed = []
            for h in range(config.num_attention_heads):
                scores = [dot(queries[t][h], keys[s][h // group]) / math.sqrt(size) for s in range(t + 1)]
                exps = [math.exp(score - max(scores)) for score in scores]
                for d in range(size):
                    mixed.append(sum(e * values[s][h // group][d] for s, e in enumerate(exps)) / sum(exps))
            update = matmul(w["self_attn.o_proj.weight"], mixed)
            stream[t] = [x + u for x, u in zip(stream[t], update, strict=True)]
            normed_t = rms_norm(w["post_attention_layernorm.weight"], stream[t])
            gate = [g / (1 + math.exp(-g)) for g in matmul(w["mlp.gate_proj.weight"], normed_t)]
            up = matmul(w["mlp.up_proj.weight"], normed_t)
            update = matmul(w["mlp.down_proj.weight"], [g * u for g, u in zip(gate, up, strict=True)])
            stream[t] = [x + u for x, u in zip(stream[t], update, strict=True)]
    return [matmul(head, rms_norm(weights["norm.weight"], x)) for x in stream]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("tied", [False, True])
def test_logits_equal_slow_loops(kv_heads, tied):
    model = small_model(num_key_value_heads=kv_heads, tie_word_embeddings=tied, rope_theta=1e6)
    ids = [1, 5, 22, 0, 5, 9, 13]
    expected = torch.tensor(slow_logits(model, ids), dtype=torch.float64)
    torch.testing.assert_close(model(torch.tensor([ids]))[0], expected, rtol=0, atol=1e-9)


def test_a_token_sees_nothing_after_it():
    model = small_model()
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    changed = ids.clone()
    changed[0, 3] = 9
    difference = (model(ids) - model(changed)).abs().amax(-1)[0]
    assert (difference[:3] == 0).all() and (difference[3:] > 1e-6).all()


@pytest.mark.parametrize("lengths", [[4, 1, 7], [12], [3, 3, 3, 3], [6, 6]])
def test_packed_documents_equal_documents_alone(lengths):
    model = small_model()
    documents = [torch.randint(0, 23, (n,)) for n in lengths]
    packed = model(torch.cat(documents)[None], lengths)[0]
    alone = torch.cat([model(d[None])[0] for d in documents])
    torch.testing.assert_close(packed, alone, rtol=0, atol=1e-12)


def test_documents_that_begin_alike_can_share_what_they_begin_with():
    model = small_model()
    first, other = torch.randint(0, 23, (7,)), torch.randint(0, 23, (4,))
    packed = model(torch.cat((other, first, other))[None], [4, 7, 4], prefixes=[0, 0, 5])[0]
    alone = [model(d[None])[0] for d in (other, first, torch.cat((first[:5], other)))]
    torch.testing.assert_close(packed, torch.cat([*alone[:2], alone[2][5:]]), rtol=0, atol=1e-12)


def test_poisoned_document_does_not_reach_the_others():
    model = small_model()
    ids = torch.randint(1, 23, (1, 12))
    ids[0, 4] = 0
    with torch.no_grad():
        model.embed_tokens.weight[0] = math.nan
    finite = model(ids, [4, 3, 5])[0].isfinite().all(-1)
    assert finite.tolist() == [True] * 4 + [False] * 3 + [True] * 5


def test_batch_of_rows_equals_rows_alone():
    model = small_model()
    ids = torch.randint(0, 23, (3, 8))
    torch.testing.assert_close(model(ids), torch.cat([model(row[None]) for row in ids]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kv_heads", [2, 4])
def test_cache_continues_ragged_rows_as_if_read_at_once(kv_heads):
    """Prefill of three prompts, one decode step, then feedback of different lengths appended."""
    model = small_model(num_key_value_heads=kv_heads)
    parts = [[5, 1, 3], [1, 1, 1], [2, 4, 1]]  # tokens that each of three rows reads in each of three steps
    steps = [[torch.randint(0, 23, (n,)) for n in part] for part in parts]
    cache = KVCache(model.config, rows=3, capacity=16, dtype=torch.float64)
    outputs = [
        model(torch.cat(step)[None], part, cache=cache)[0].split(part) for step, part in zip(steps, parts, strict=True)
    ]
    for row in range(3):
        whole = model(torch.cat([step[row] for step in steps])[None])[0]
        torch.testing.assert_close(torch.cat([out[row] for out in outputs]), whole, rtol=0, atol=1e-12)


def test_hidden_states_times_head_are_the_logits():
    model = small_model()
    ids = torch.randint(0, 23, (2, 5))
    hidden = model(ids, return_hidden=True)
    assert hidden.shape == (2, 5, 12)
    torch.testing.assert_close(hidden @ model.lm_head.weight.T, model(ids), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kv_heads", [2, 4])
@pytest.mark.parametrize(("lengths", "prefixes"), [([4, 1, 7], None), ([6, 6], None), ([5, 3, 4], [0, 2, 5])])
@pytest.mark.parametrize("at", [[1, 4, 5, 11], [11], list(range(12)), []])
def test_outputs_and_gradients_of_some_tokens_are_those_of_all(kv_heads, lengths, prefixes, at):
    model, ids, at = (
        small_model(num_key_value_heads=kv_heads),
        torch.randint(0, 23, (1, 12)),
        torch.tensor([*at]).long(),
    )
    every, some = model(ids, lengths, prefixes)[:, at], model(ids, lengths, prefixes, at=at)
    assert some.shape == (1, len(at), 23)
    torch.testing.assert_close(some, every, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(outputs.square().sum(), [*model.parameters()]) for outputs in (every, some)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)


def test_a_cache_takes_up_all_tokens_though_outputs_of_some_are_wanted():
    model, ids = small_model(), torch.randint(0, 23, (1, 9))
    caches = [KVCache(model.config, rows=2, capacity=16, dtype=torch.float64) for _ in range(2)]
    for part, lengths in ((ids[:, :6], [4, 2]), (ids[:, 6:], [1, 2])):
        last = torch.tensor(lengths).cumsum(0) - 1
        every, some = model(part, lengths, cache=caches[0])[:, last], model(part, lengths, cache=caches[1], at=last)
        torch.testing.assert_close(some, every, rtol=0, atol=1e-12)
    torch.testing.assert_close(caches[1].keys, caches[0].keys, rtol=0, atol=1e-12)
    torch.testing.assert_close(caches[1].values, caches[0].values, rtol=0, atol=1e-12)


def test_the_last_block_computes_keys_and_values_of_all_tokens_and_the_rest_of_those_that_are_wanted():
    model, read = small_model(), {}
    for name, module in model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda _, args, name=name: read.update({name: args[0].shape[:2].numel()}))
    model(torch.randint(0, 23, (1, 12)), at=torch.tensor([3, 7, 8]))
    last = f"{len(model.layers) - 1}."
    some = {name.removeprefix(last).partition(".")[2] for name, n in read.items() if n == 3}
    assert some == {"q_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert all(n == 12 for name, n in read.items() if not name.startswith(last) or name.endswith(("k_proj", "v_proj")))


def test_lengths_that_do_not_cover_the_input_are_refused():
    with pytest.raises(ValueError, match="add up to 6, but input_ids has 1 x 5"):
        small_model()(torch.zeros(1, 5, dtype=torch.long), [3, 3])


def test_codellama_config_in_the_old_form():
    config = ModelConfig.from_hf(CODELLAMA_7B)
    assert (config.vocab_size, config.head_dim, config.rope_theta) == (32016, 128, 1e6)
    assert config.max_position_embeddings == 16384 and config.rope_scaling is None


def test_old_and_new_form_of_the_rope_give_the_same_config():
    new = {k: v for k, v in CODELLAMA_7B.items() if k not in ("rope_theta", "rope_scaling")}
    new["rope_parameters"] = {"rope_type": "default", "rope_theta": 1000000}
    assert ModelConfig.from_hf(new) == ModelConfig.from_hf(CODELLAMA_7B)
    linear_old = CODELLAMA_7B | {"rope_scaling": {"type": "linear", "factor": 4.0}}
    linear_new = new | {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e6, "factor": 4.0}}
    assert ModelConfig.from_hf(linear_new) == ModelConfig.from_hf(linear_old)


@pytest.mark.parametrize(
    "scaling",
    [
        None,
        {"rope_type": "linear", "factor": 2.0},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ],
)
def test_config_survives_the_way_through_config_json(scaling):
    config = small_config(rope_scaling=scaling, rope_theta=5e5, tie_word_embeddings=True)
    assert ModelConfig.from_hf(config.to_hf()) == config


def test_linear_scaling_divides_all_frequencies():
    plain = rotary_frequencies(small_config())
    scaled = rotary_frequencies(small_config(rope_scaling={"rope_type": "linear", "factor": 4.0}))
    torch.testing.assert_close(scaled, plain / 4)


def test_llama3_scaling_by_hand():
    """Wavelengths below 8192/4 stay, above 8192/1 are stretched by 8, between them the two are blended linearly in
    the number of turns within the original context."""
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    config = small_config(head_dim=128, rope_theta=500000.0, rope_scaling=scaling)
    for i, scaled in enumerate(rotary_frequencies(config).tolist()):
        plain = 500000.0 ** (-2 * i / 128)
        turns = 8192 * plain / (2 * math.pi)
        if turns > 4:
            expected = plain
        elif turns < 1:
            expected = plain / 8
        else:
            blend = (turns - 1) / 3
            expected = (1 - blend) * plain / 8 + blend * plain
        assert scaled == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gemma2"}, "expected one of llama, mistral, qwen2, qwen3: take a checkpoint of one"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"vocab_size": None}, "vocab_size: missing"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope type 'yarn' is not supported"),
        ({"rope_scaling": {"type": "linear"}}, "needs factor"),
        ({"num_key_value_heads": 5}, "not a multiple"),
    ],
)
def test_other_architectures_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_hf(CODELLAMA_7B | change)


def test_initial_loss_is_that_of_a_uniform_guess():
    torch.manual_seed(0)
    model = Llama(small_config(vocab_size=500, hidden_size=64))
    logits = model(torch.randint(0, 500, (2, 32)))
    nll = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(0, 500, (64,)))
    assert nll.item() == pytest.approx(math.log(500), abs=0.1)
