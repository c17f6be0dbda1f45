"""Llama, Mistral, Qwen 2 and Qwen 3 are one model: what works for one of them works for all."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from checkpoints import SHARDED, assert_same_weights, edit_config, make_model
from ranks import on_one_rank
from runs import arguments, assert_resumes_alike
from safetensors.torch import load_file
from test_ranks import STEPS, TOLERANCE, assert_equal, logits_of_the_whole, train

import train_sft
from tl.llama.config import FAMILIES, ModelConfig
from tl.llama.model import Critic, Llama
from tl.llama.sampling import Sampler, generate
from tl.llama.weights import CheckpointError, load_model, read_config, save_model
from tl.training import distributed
from tl.training.memory import count_parameters
from tl.training.run import RunError

QWEN_05B = {  # its config.json as published
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "hidden_act": "silu",
    "hidden_size": 896,
    "initializer_range": 0.02,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
QWEN3_06B = QWEN_05B | {
    "attention_bias": False,
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rope_scaling": None,
    "sliding_window": None,
}
MISTRAL_7B = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


def random_vectors(model: Llama) -> Llama:
    """The model with biases and norms that are not those it starts with."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) / 4)
    return model


@pytest.fixture
def toy(family, toy_sft, small_tokenizer, tmp_path) -> Path:
    """The folder of `toy_sft` with a model of another family."""
    torch.manual_seed(0)
    config = ModelConfig(small_tokenizer.vocab_size, 16, 24, 2, 2, 1, 6, 4096, model_type=family)
    save_model(random_vectors(Llama(config)), tmp_path / "model", small_tokenizer.path)
    (tmp_path / "data.jsonl").symlink_to(toy_sft / "data.jsonl")
    return tmp_path


# ---- files


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shard_bytes", [1, SHARDED, 5_000_000_000])
def test_a_saved_model_of_any_family_loads_as_it_was(tmp_path, family, tied, shard_bytes):
    model = random_vectors(make_model(model_type=family, tie_word_embeddings=tied, head_dim=10))
    save_model(model, tmp_path, shard_bytes=shard_bytes)
    loaded = load_model(tmp_path)
    assert_same_weights(model, loaded)
    assert loaded.config == model.config
    ids = torch.arange(12).view(2, 6)
    assert torch.equal(model(ids), loaded(ids))


def test_the_names_in_the_file_are_the_published_ones(tmp_path, family):
    save_model(make_model(model_type=family, num_hidden_layers=1), tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text())
    assert (raw["model_type"], raw["architectures"]) == (family, [FAMILIES[family].architecture])
    more = {"qwen2": {f"{x}_proj.bias" for x in "qkv"}, "qwen3": {"q_norm.weight", "k_norm.weight"}}.get(family, set())
    names = load_file(tmp_path / "model.safetensors").keys()
    attention = {name.removeprefix("model.layers.0.self_attn.") for name in names if "self_attn" in name}
    assert attention == {f"{x}_proj.weight" for x in "qkvo"} | more


@pytest.mark.parametrize(
    ("published", "parameters"),
    [(QWEN_05B, 494_032_768), (QWEN3_06B, 596_049_920), (MISTRAL_7B, 7_241_732_096)],
    ids=["Qwen2.5-0.5B", "Qwen3-0.6B", "Mistral-7B"],
)
def test_published_configurations_have_the_published_number_of_parameters(published, parameters):
    config = ModelConfig.from_hf(published)
    with torch.device("meta"):
        model = Llama(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters(config) == parameters
    assert ModelConfig.from_hf(config.to_hf()) == config


def test_biases_start_at_zero_and_norms_at_one():
    for kind in ("qwen2", "qwen3"):
        vectors = {name: p for name, p in make_model(model_type=kind).named_parameters() if p.dim() == 1}
        assert all((p == (0 if name.endswith("bias") else 1)).all() for name, p in vectors.items())


# ---- training


def test_two_ranks_equal_one(toy, two_ranks):
    one = on_one_rank(train, toy, torch.float64, STEPS, 10_000)
    two, _ = two_ranks.run(train, toy, torch.float64, STEPS, 10_000)
    assert_equal(one, two, TOLERANCE[torch.float64])


def test_the_whole_of_a_sharded_model_is_a_plain_one(toy, two_ranks):
    expected = load_model(toy / "model", dtype=torch.float32)(torch.arange(12)[None])
    for _, logits, _ in two_ranks.run(logits_of_the_whole, toy):
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


def test_a_run_that_died_and_resumed_equals_one_that_did_not(toy, tmp_path, monkeypatch):
    assert_resumes_alike(toy, tmp_path, monkeypatch)
    assert read_config(tmp_path / "whole") == read_config(toy / "model")


def test_a_critic_has_the_family_of_its_actor(toy):
    critic = on_one_rank(lambda world: distributed.load(Critic, toy / "model", world))
    actor = load_model(toy / "model", dtype=torch.float32)
    ids = torch.arange(12)[None]
    torch.testing.assert_close(Llama.forward(critic, ids, return_hidden=True), actor(ids, return_hidden=True))
    assert (critic(ids) == 0).all()


def test_the_cache_gives_what_the_whole_text_gives(family):
    model = random_vectors(make_model(model_type=family)).double().eval()
    ids = torch.randint(400, (9,)).tolist()
    [drawn] = generate(model, [ids], 12, eos_id=-1)
    assert drawn == model(torch.tensor([ids + drawn]))[0, len(ids) - 1 : -1].argmax(-1).tolist()


# ---- what ends a text


def test_the_first_of_several_ends_is_trained_and_all_of_them_end_a_text(tmp_path):
    save_model(make_model(), tmp_path)
    edit_config(tmp_path, eos_token_id=[7, 9])
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [9, 11]}')
    model = load_model(tmp_path)
    assert (model.config.eos_token_id, model.config.other_eos_token_ids) == (7, (9, 11))
    save_model(model, tmp_path / "again")
    assert read_config(tmp_path / "again") == model.config
    for name in ("config.json", "generation_config.json"):
        assert json.loads((tmp_path / "again" / name).read_text())["eos_token_id"] == [7, 9, 11]


def test_sampling_stops_at_any_of_them():
    model = make_model(eos_token_id=399, other_eos_token_ids=(398,)).eval()
    for end in (399, 398):
        with torch.no_grad():
            model.lm_head.weight.zero_()[end] = model(torch.tensor([[5]]), return_hidden=True)[0, 0]
        [completion] = Sampler(model, 1).complete([[5]], 20)
        assert completion.stopped and completion.ids[-1] == end


def test_the_end_of_a_turn_ends_a_text_beside_the_ends_of_the_model():
    """As in Llama 3.1 Instruct, whose file begins with <|end_of_text|> while its turns end in <|eot_id|>."""
    model = make_model(eos_token_id=399, other_eos_token_ids=(398,)).eval()
    for end in (399, 398, 397):
        with torch.no_grad():
            model.lm_head.weight.zero_()[end] = model(torch.tensor([[5]]), return_hidden=True)[0, 0]
        assert generate(model, [[5]], 20, eos_id=397)[0][-1] == end
        assert len(generate(model, [[5]], 20, eos_id=-1)[0]) == 20


def test_a_qwen_without_any_end_is_refused():
    bare = {key: value for key, value in QWEN_05B.items() if not key.endswith("_token_id")}
    with pytest.raises(ValueError, match="eos_token_id: missing here and in generation_config.json"):
        ModelConfig.from_hf(bare)


# ---- windows


def test_no_text_is_longer_than_a_sliding_window(toy_sft, small_tokenizer, tmp_path):
    assert ModelConfig.from_hf(MISTRAL_7B).context_length == 4096
    assert ModelConfig.from_hf(MISTRAL_7B | {"sliding_window": None}).context_length == 32768
    without = {key: value for key, value in MISTRAL_7B.items() if key != "sliding_window"}
    assert ModelConfig.from_hf(without).context_length == 4096
    model = make_model(model_type="mistral", sliding_window=16)
    with pytest.raises(ValueError, match="prompt 0 has 16 tokens; this model takes 1 to 15"):
        generate(model, [[3] * 16], 1)
    save_model(model, tmp_path / "model", small_tokenizer.path)
    with pytest.raises(
        RunError, match=r"--max_length 4096 exceeds the model's context length, 16 \(its sliding window\)"
    ):
        train_sft.main(["--model", str(tmp_path / "model"), *arguments(toy_sft, tmp_path / "run")[2:]])


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2_moe"}, "'qwen2_moe', a mixture of experts: take a dense checkpoint of llama, mistral"),
        ({"model_type": "mixtral", "num_local_experts": 8}, "'mixtral', a mixture of experts"),
        ({"num_experts": 128}, "a mixture of experts"),
        ({"model_type": "qwen3_next"}, "'qwen3_next', expected one of llama, mistral, qwen2, qwen3: take"),
        ({"use_sliding_window": True}, "use_sliding_window is True; .* take a checkpoint without"),
        ({"attention_bias": False}, "attention_bias is False; this Llama has True"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope type 'yarn' is not supported; .* leave it out for"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types has 'sliding_attention'; .* without"),
        ({"model_type": "mistral", "sliding_window": "64"}, "sliding_window is '64', expected a whole number"),
        ({"rope_theta": 0}, "rope_theta is 0, expected a number above 0"),
        ({"rope_theta": "1e6"}, "rope_theta is '1e6', expected a number above 0"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5; this Llama has 1.0"),
        ({"rope_scaling": {"factor": 4.0}}, "factor of rope type 'default' is 4.0, which is not supported"),
        (
            {"rope_theta": None, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
            "full_attention of rope type 'default' is .*, which is not supported",
        ),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}},
            "partial_rotary_factor of rope type 'default' is 0.5, which is not supported",
        ),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
            "rope_theta is 1000000.0, that of rope_parameters 10000.0: leave out one",
        ),
        (
            {
                "rope_scaling": {"rope_type": "linear", "factor": 2.0},
                "rope_parameters": {"rope_type": "linear", "factor": 4.0},
            },
            "rope_scaling is .*2.0.*, rope_parameters are .*4.0.*: leave out what is not meant",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_hf(QWEN_05B | change)


def test_the_two_forms_of_the_rope_may_stand_together_where_they_agree():
    rope = {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000000.0}}
    both = QWEN_05B | rope | {"rope_scaling": {"type": "linear", "factor": 2.0}}
    assert ModelConfig.from_hf(both) == ModelConfig.from_hf({k: v for k, v in both.items() if k != "rope_theta"})


@pytest.mark.parametrize("names", [["pytorch_model.bin"], ["pytorch_model-1-of-2.bin", "pytorch_model-2-of-2.bin"]])
def test_the_command_in_the_message_converts_a_pickle(tmp_path, names):
    folder = tmp_path / "a model's"
    save_model(make_model(), folder)
    weights = list(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    for i, name in enumerate(names):
        torch.save(dict(weights[i :: len(names)]), folder / name)
    with pytest.raises(CheckpointError, match="or convert it with") as error:
        load_model(folder)
    subprocess.run(["bash", "-c", str(error.value).partition("convert it with\n")[2]], check=True)
    assert_same_weights(load_model(folder), make_model())
