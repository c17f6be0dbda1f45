"""Checkpoints: what is written can be read again, here and elsewhere, whatever interrupts the writing."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from allocations import peak_allocated
from checkpoints import SHARDED, assert_same_weights, edit_weights, make_model
from safetensors.torch import load_file, save_file

import tl.llama.weights
from tl.llama import Llama, ModelConfig, Tokenizer, load_model, save_model
from tl.llama.weights import CheckpointError, read_config, read_slices, stored_tensors

CODELLAMA_7B = {  # its config.json as published
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 11008,
    "max_position_embeddings": 16384,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.33.0.dev0",
    "use_cache": True,
    "vocab_size": 32016,
}
CODELLAMA_7B_SHAPES = {  # with one layer
    "model.embed_tokens.weight": (32016, 4096),
    "model.layers.0.self_attn.q_proj.weight": (4096, 4096),
    "model.layers.0.self_attn.k_proj.weight": (4096, 4096),
    "model.layers.0.self_attn.v_proj.weight": (4096, 4096),
    "model.layers.0.self_attn.o_proj.weight": (4096, 4096),
    "model.layers.0.mlp.gate_proj.weight": (11008, 4096),
    "model.layers.0.mlp.up_proj.weight": (11008, 4096),
    "model.layers.0.mlp.down_proj.weight": (4096, 11008),
    "model.layers.0.input_layernorm.weight": (4096,),
    "model.layers.0.post_attention_layernorm.weight": (4096,),
    "model.norm.weight": (4096,),
    "lm_head.weight": (32016, 4096),
}


# ---- there and back


@pytest.mark.parametrize("scaling", [None, {"rope_type": "linear", "factor": 4.0}])
def test_the_configuration_survives(tmp_path, scaling):
    model = make_model(rope_theta=1e6, rope_scaling=scaling, rms_norm_eps=1e-6, eos_token_id=7)
    save_model(model, tmp_path)
    assert read_config(tmp_path) == model.config


@pytest.mark.parametrize(
    ("vocab_size", "heads", "kv_heads"), [(32016, 4, 4), (32000, 4, 4), (32000, 8, 1)], ids=["7B", "7B-Python", "34B"]
)
def test_the_layouts_of_codellama_load(tmp_path, vocab_size, heads, kv_heads):
    """32,016 rows in the 7B and 13B, 32,000 in the 34B (8 query heads for a key head) and the Python variants."""
    changes = {"vocab_size": vocab_size, "num_attention_heads": heads, "num_key_value_heads": kv_heads}
    model = make_model(**changes, rope_theta=1e6, max_position_embeddings=16384)
    save_model(model, tmp_path, dtype=torch.bfloat16)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["vocab_size"], config["rope_theta"], config["torch_dtype"]) == (vocab_size, 1e6, "bfloat16")
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["model.embed_tokens.weight"].shape == weights["lm_head.weight"].shape == (vocab_size, 32)
    assert_same_weights(load_model(tmp_path), model.bfloat16())


@pytest.fixture
def large(tmp_path):
    """A folder that is deleted at once."""
    yield tmp_path / "large"
    shutil.rmtree(tmp_path / "large", ignore_errors=True)


def random_model(config: ModelConfig) -> Llama:
    """In bfloat16, made without a float32 copy."""
    with torch.device("meta"):
        model = Llama(config).bfloat16()
    model.to_empty(device="cpu").init_weights()
    return model


def digests(path: Path) -> dict[str, str]:
    """Of the weights and their index."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.glob("model*.safetensors*"))
    }


@pytest.mark.long
def test_codellama_7b_at_one_layer_goes_there_and_back_in_bfloat16(large):
    """As large as it is but for the depth, in two shards, beside the published config.json."""
    published = CODELLAMA_7B | {"num_hidden_layers": 1}
    model, shard_bytes = random_model(ModelConfig.from_hf(published)), 600_000_000
    save_model(model, large, shard_bytes=shard_bytes)
    (large / "config.json").write_text(json.dumps(published))
    before = digests(large)
    assert before.keys() == {
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    }
    stored = stored_tensors(large)
    assert {name: tensor.shape for name, tensor in stored.items()} == CODELLAMA_7B_SHAPES
    assert {tensor.dtype for tensor in stored.values()} == {"BF16"}

    loaded = load_model(large, dtype=torch.bfloat16)
    assert loaded.config == ModelConfig(32016, 4096, 11008, 1, 32, 32, 128, 16384, rms_norm_eps=1e-5, rope_theta=1e6)
    assert_same_weights(loaded, model)
    shutil.rmtree(large)
    save_model(loaded, large, shard_bytes=shard_bytes)
    assert digests(large) == before


def test_codellama_7b_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = Llama(ModelConfig.from_hf(CODELLAMA_7B))
    assert sum(parameter.numel() for parameter in model.parameters()) == 6_738_546_688


def test_names_in_the_file_are_the_published_ones(tmp_path):
    save_model(make_model(num_hidden_layers=1), tmp_path)
    block = "model.layers.0."
    assert load_file(tmp_path / "model.safetensors").keys() == {
        "model.embed_tokens.weight",
        "model.norm.weight",
        "lm_head.weight",
        *(f"{block}self_attn.{name}_proj.weight" for name in "qkvo"),
        *(f"{block}mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
        *(f"{block}{name}_layernorm.weight" for name in ("input", "post_attention")),
    }


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("wanted", [None, torch.float32, torch.float16, torch.bfloat16])
def test_types_convert(tmp_path, stored, wanted):
    model = make_model()
    save_model(model, tmp_path, dtype=stored)
    assert model.embed_tokens.weight.dtype == torch.float32
    loaded = load_model(tmp_path, dtype=wanted)
    assert_same_weights(loaded, model.to(stored).to(wanted or stored))


def test_mixed_types_load_as_the_widest(saved):
    weights = load_file(saved / "model.safetensors")
    mixed = {name: t.half() if "mlp" in name else t.bfloat16() for name, t in weights.items()}
    save_file(mixed, saved / "model.safetensors")
    loaded = load_model(saved)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.norm.weight, mixed["model.norm.weight"].float())


def test_loading_draws_no_random_numbers_and_keeps_gradients_on(saved):
    state = torch.get_rng_state()
    loaded = load_model(saved)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in loaded.parameters())


def test_a_loaded_model_outlives_its_files(saved):
    loaded = load_model(saved)
    before = [parameter.clone() for parameter in loaded.parameters()]
    (saved / "model.safetensors").write_bytes(b"\0" * (saved / "model.safetensors").stat().st_size)
    assert all(map(torch.equal, before, loaded.parameters()))


def test_each_tensor_is_read_once_and_slices_can_be_taken(sharded):
    model = make_model()
    read = {name: piece[1:3] for name, piece in read_slices(stored_tensors(sharded))}
    assert len(read) == len(list(read_slices(stored_tensors(sharded)))) == len(list(model.parameters()))
    assert torch.equal(read["model.embed_tokens.weight"], model.embed_tokens.weight[1:3])


def test_rotary_frequencies_of_older_files_are_ignored(saved):
    edit_weights(saved, model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(4))
    assert_same_weights(load_model(saved), make_model())


def test_loading_never_holds_two_copies(tmp_path):
    """Beside the file, which is mapped: one copy of the model and of one tensor, stored as bfloat16, as float32."""
    large = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 10}
    save_model(make_model(**large), tmp_path, dtype=torch.bfloat16)
    peak, model = peak_allocated(lambda: load_model(tmp_path, dtype=torch.float32))
    sizes = [parameter.nbytes for parameter in model.parameters()]
    mapped = (tmp_path / "model.safetensors").stat().st_size
    assert sum(sizes) <= peak - mapped <= sum(sizes) + 2 * max(sizes)


# ---- the head, tied or not


def test_a_tied_head_is_left_out_of_the_file_and_stays_one_parameter(tmp_path):
    save_model(make_model(tie_word_embeddings=True), tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path)
    assert loaded.lm_head.weight is loaded.embed_tokens.weight


def test_a_tied_head_in_the_file_is_accepted_if_it_is_the_embedding(tmp_path):
    model = make_model(tie_word_embeddings=True)
    save_model(model, tmp_path)
    edit_weights(tmp_path, lm_head__weight=model.embed_tokens.weight.detach().clone())
    loaded = load_model(tmp_path)
    assert loaded.lm_head.weight is loaded.embed_tokens.weight
    edit_weights(tmp_path, lm_head__weight=model.embed_tokens.weight.detach() + 1)
    with pytest.raises(CheckpointError, match="tie_word_embeddings is true, but lm_head.weight is not"):
        load_model(tmp_path)


def test_an_untied_head_must_be_there(saved):
    edit_weights(saved, lm_head__weight=None)
    with pytest.raises(CheckpointError, match=r"lm_head.weight: expected \[400, 32\], found nothing"):
        load_model(saved)


# ---- what is written


def test_shards_keep_their_limit_and_the_index_names_every_tensor(sharded):
    files = sorted(sharded.glob("model-*.safetensors"))
    assert [file.name for file in files] == [
        f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))
    ]
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    total = 0
    for file in files:
        weights = load_file(file)
        size = sum(t.numel() * 4 for t in weights.values())
        assert size <= SHARDED or len(weights) == 1
        assert {index["weight_map"][name] for name in weights} == {file.name}
        total += size
    assert index["metadata"]["total_size"] == total == sum(p.numel() * 4 for p in make_model().parameters())
    assert len(files) > 3 and not (sharded / "model.safetensors").exists()


def test_a_model_may_have_more_rows_than_pieces(tmp_path, small_tokenizer):
    save_model(make_model(vocab_size=416), tmp_path, small_tokenizer.path)
    assert load_model(tmp_path).config.vocab_size == 416


def test_the_folder_holds_what_other_tools_need(tmp_path, small_tokenizer):
    save_model(make_model(max_position_embeddings=512), tmp_path, small_tokenizer.path, chat_template="System: …")
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }
    assert json.loads((tmp_path / "generation_config.json").read_text()) == {"bos_token_id": 1, "eos_token_id": 2}
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (settings["bos_token"], settings["eos_token"], settings["model_max_length"]) == ("<s>", "</s>", 512)
    assert settings["chat_template"] == "System: …"
    assert Tokenizer(tmp_path).encode("search(") == small_tokenizer.encode("search(")


# ---- saving over, and being interrupted


def test_saving_replaces_a_model_whatever_its_shards_were(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for seed, shard_bytes in enumerate([SHARDED, 5_000_000_000, 1, SHARDED]):
        save_model(make_model(seed), tmp_path, shard_bytes=shard_bytes)
        assert_same_weights(load_model(tmp_path), make_model(seed))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / ".saving").exists()


def test_a_model_can_be_saved_where_it_came_from(tmp_path, small_tokenizer):
    save_model(make_model(), tmp_path, small_tokenizer.path)
    loaded = load_model(tmp_path)
    save_model(loaded, tmp_path, tmp_path)
    assert_same_weights(load_model(tmp_path), make_model())
    assert Tokenizer(tmp_path).vocab_size == small_tokenizer.vocab_size


class Interrupted(BaseException):
    """Stands in for a kill: nothing catches it."""


def interrupt(monkeypatch, owner, name: str, after: int) -> None:
    """Make the call number `after` (from 0) of a function raise instead of acting."""
    original, calls = getattr(owner, name), iter(range(10_000))

    def function(*args, **kwargs):
        if next(calls) == after:
            raise Interrupted
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, function)


@pytest.mark.parametrize("shard_bytes", [SHARDED, 5_000_000_000])
@pytest.mark.parametrize("step", ["write_tensors", "_write_json", "replace", "unlink"])
def test_an_interrupted_save_never_looks_whole(tmp_path, monkeypatch, step, shard_bytes):
    """Wherever the save over an old model stops, what can be loaded is the old one or the new one, or nothing."""
    owner = tl.llama.weights if hasattr(tl.llama.weights, step) else tl.llama.weights.Path
    for after in range(100):
        path = tmp_path / f"{after}"
        save_model(make_model(0), path, shard_bytes=SHARDED)
        with monkeypatch.context() as patch:
            interrupt(patch, owner, step, after)
            try:
                save_model(make_model(1), path, shard_bytes=shard_bytes)
                complete = True
            except Interrupted:
                complete = False
        try:
            assert_same_weights(load_model(path), make_model(int(complete)))
        except CheckpointError as error:
            assert not complete and "config.json: no such file" in str(error)
        if complete:
            break
    assert complete and after > 0


def test_leftovers_of_a_killed_save_do_not_enter_the_next(tmp_path):
    (tmp_path / ".saving").mkdir()
    (tmp_path / ".saving" / "model-00009-of-00009.safetensors").write_bytes(b"half a file")
    save_model(make_model(), tmp_path)
    assert_same_weights(load_model(tmp_path), make_model())
    assert len(list(tmp_path.iterdir())) == 3
