"""What cannot be loaded says why: one message that names the file, the tensor, what was expected and what was found."""

import json
import math

import pytest
import torch
from checkpoints import edit_config, edit_weights, make_model
from safetensors.torch import load_file, save_file

from tl.llama.tokenizer import TokenizerError
from tl.llama.tokenizer_json import tokenizer_json
from tl.llama.weights import CheckpointError, fitting_tensors, load_critic, load_model, save_model


def test_a_missing_folder_is_named(tmp_path):
    for read in (load_model, load_critic, fitting_tensors):
        with pytest.raises(CheckpointError, match="nowhere: no such folder. Nothing is downloaded"):
            read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "config.json: no such file"),
        ("{", "config.json: not JSON"),
        ("[]", "config.json: expected a JSON object, found list"),
        ('{"a":' * 100_000, "config.json: not JSON"),
        ("{}", "config.json: model_type is None, expected one of llama, mistral"),
        (
            '{"model_type": "phi3"}',
            "config.json: model_type is 'phi3', expected one of llama, mistral, qwen2, qwen3: take",
        ),
        ('{"model_type": "llama"}', "config.json: vocab_size, .* missing"),
    ],
)
def test_a_bad_configuration_is_refused(saved, content, message):
    (saved / "config.json").unlink()
    if content is not None:
        (saved / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        load_model(saved)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hidden_size", -1, "hidden_size is -1, expected a whole number of at least 1"),
        ("vocab_size", 400.0, "vocab_size is 400.0, expected a whole number"),
        ("num_key_value_heads", True, "num_key_value_heads is True, expected a whole number"),
        ("num_key_value_heads", 3, "num_attention_heads .4. is not a multiple of num_key_value_heads .3."),
        ("num_attention_heads", 0, "num_attention_heads: missing or zero"),
        ("rms_norm_eps", "1e-5", "rms_norm_eps is '1e-5', expected a number"),
        ("rms_norm_eps", -1e-5, "rms_norm_eps is -1e-05, expected a number above 0"),
        ("rms_norm_eps", math.nan, "rms_norm_eps is nan, expected a number above 0"),
        ("num_hidden_layers", 200_000, "num_hidden_layers is 200000, expected at most 1000"),
        ("rope_parameters", {"rope_type": "linear", "factor": "2"}, "factor of rope type 'linear' is '2'"),
        ("rope_parameters", {"rope_type": "linear", "factor": 0}, "factor of rope type 'linear' is 0"),
        ("rope_parameters", "linear", "rope_parameters is 'linear', expected an object"),
        ("eos_token_id", ["</s>"], "eos_token_id is '</s>', expected a whole number of at least 0"),
        ("eos_token_id", [2, -1], "eos_token_id has -1, expected whole numbers of at least 0"),
        ("hidden_act", "gelu", "hidden_act is 'gelu'"),
    ],
)
def test_a_configuration_with_a_bad_value_is_refused(saved, key, value, message):
    edit_config(saved, **{key: value})
    with pytest.raises(CheckpointError, match=f"config.json: {message}"):
        load_model(saved)


@pytest.mark.parametrize("method", [{"quant_method": "gptq", "bits": 4}, {"load_in_8bit": True}])
def test_a_quantised_configuration_is_refused(saved, method):
    edit_config(saved, quantization_config=method)
    with pytest.raises(CheckpointError, match="quantization_config: expected none, found .*original"):
        load_model(saved)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.float8_e4m3fn])
def test_quantised_tensors_are_refused(saved, dtype):
    edit_weights(saved, model__layers__0__mlp__up_proj__weight=torch.zeros(48, 32).to(dtype))
    message = r"model.safetensors: model.layers.0.mlp.up_proj.weight: expected F64, F32, F16, BF16, found [IF]\d"
    with pytest.raises(CheckpointError, match=message):
        load_model(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__norm__weight": None}, r"model.norm.weight: expected \[32\], found nothing"),
        (
            {"model__layers__0__self_attn__q_proj__bias": torch.zeros(32)},
            r"layers.0.self_attn.q_proj.bias in model.safetensors: expected no such tensor, found \[32\]",
        ),
        (
            {"model__layers__1__self_attn__k_proj__weight": torch.zeros(32, 32)},
            r"layers.1.self_attn.k_proj.weight in model.safetensors: expected \[16, 32\], found \[32, 32\]",
        ),
        (
            {"model__norm__weight": None, "model__embed_tokens__weight": torch.zeros(408, 32)},
            r"(?s)embed_tokens.weight in model.safetensors: expected \[400, 32\], found \[408, 32\].*norm.weight",
        ),
    ],
    ids=["missing", "extra", "misshapen", "all are listed"],
)
def test_tensors_that_do_not_fit_are_named(saved, changes, message):
    edit_weights(saved, **changes)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(saved)
    assert "Fetch configuration and weights again" in str(error.value)


def test_a_long_list_of_problems_is_cut(saved):
    edit_config(saved, hidden_size=64, num_hidden_layers=3)
    with pytest.raises(CheckpointError, match="and 22 more"):
        load_model(saved)


@pytest.mark.parametrize("keep", [0, 7, 100])
def test_a_file_cut_within_its_header_is_named(saved, keep):
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=rf"model.safetensors: not a safetensors file.*\({keep} bytes\)"):
        load_model(saved)


@pytest.mark.parametrize(
    ("cut", "tensor"), [(32 * 4 - 4, "model.norm.weight"), (32 * 4 + 4, "model.layers.1.self_attn.v_proj")]
)
def test_a_truncated_tensor_is_named(saved, cut, tensor):
    file = saved / "model.safetensors"
    whole = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-cut])
    message = rf"model.safetensors: cut short within {tensor}.*: expected {whole:,} bytes, found {whole - cut:,}. Fetch"
    with pytest.raises(CheckpointError, match=message):
        load_model(saved)


def test_bytes_after_the_last_tensor_are_refused(saved):
    with (saved / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(CheckpointError, match="model.safetensors: damaged: expected .* bytes, found"):
        load_model(saved)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "pytorch_model-00001-of-00002.bin"])
def test_a_folder_with_only_pickles_is_refused(saved, name):
    (saved / "model.safetensors").rename(saved / name)
    with pytest.raises(
        CheckpointError, match=rf"found neither, but {name}. A pickle can run code when it is read.*fetch"
    ):
        load_model(saved)


def test_a_folder_without_weights_is_refused(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match="expected model.safetensors or model.safetensors.index.json, found neither"
    ):
        load_model(saved)


# ---- shards


def edit_index(path, edit) -> None:
    file = path / "model.safetensors.index.json"
    index = json.loads(file.read_text())
    edit(index["weight_map"])
    file.write_text(json.dumps(index))


def test_a_missing_shard_is_named(sharded):
    shard = min(sharded.glob("model-*"))
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"{shard.name}: expected as a shard by \S+json, found nothing"):
        load_model(sharded)


def test_a_tensor_in_two_shards_is_refused(sharded):
    first, *_, last = sorted(sharded.glob("model-*"))
    save_file(load_file(last) | {"model.embed_tokens.weight": torch.zeros(400, 32)}, last)
    message = rf"{last.name}: model.embed_tokens.weight: expected in one shard only, found in {first.name} too"
    with pytest.raises(CheckpointError, match=message):
        load_model(sharded)


def test_an_index_at_odds_with_its_shards_is_refused(sharded):
    name = "model.layers.0.self_attn.q_proj.weight"
    located = json.loads((sharded / "model.safetensors.index.json").read_text())["weight_map"]
    right, wrong = located[name], max(located.values())
    edit_index(sharded, lambda located: located.update({name: wrong}))
    with pytest.raises(CheckpointError, match=rf"index.json: {name}: shard expected: {wrong}, found: {right}"):
        load_model(sharded)
    edit_index(sharded, lambda located: located.pop(name))
    with pytest.raises(CheckpointError, match=rf"index.json: {name}: shard expected: none, found: {right}"):
        load_model(sharded)
    edit_index(sharded, lambda located: located.update({name: right, "model.nowhere.weight": right}))
    with pytest.raises(
        CheckpointError, match=rf"index.json: model.nowhere.weight: shard expected: {right}, found: none"
    ):
        load_model(sharded)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": {"a": "../../a.safetensors"}}', '{"weight_map": {"a": 1}}']
)
def test_a_bad_index_is_refused(sharded, content):
    (sharded / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match="model.safetensors.index.json: expected a"):
        load_model(sharded)


# ---- tokenizers


def test_a_tokenizer_with_more_pieces_than_rows_is_refused(tmp_path, small_tokenizer):
    with pytest.raises(CheckpointError, match=r"expected at most 399 pieces, .* found 400"):
        save_model(make_model(vocab_size=399), tmp_path / "a", small_tokenizer.path)
    save_model(make_model(vocab_size=399), tmp_path / "b")
    (tmp_path / "b" / "tokenizer.model").write_bytes(small_tokenizer.path.read_bytes())
    with pytest.raises(CheckpointError, match=r"tokenizer.model: expected at most 399 pieces, .* found 400"):
        load_model(tmp_path / "b")


def test_a_tokenizer_that_ends_texts_otherwise_is_refused(tmp_path, small_tokenizer):
    with pytest.raises(CheckpointError, match="expected texts to end with id 5, the model's eos_token_id, found 2"):
        save_model(make_model(eos_token_id=5), tmp_path, small_tokenizer.path)


def test_an_end_that_was_added_to_a_sentencepiece_vocabulary_can_be_replaced(tmp_path, small_tokenizer):
    save_model(make_model(vocab_size=402), tmp_path, small_tokenizer.path)
    edit_config(tmp_path, eos_token_id=400)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 400}')
    with pytest.raises(CheckpointError, match="added_tokens.json is not read: to end texts with </s>, name 2 first in"):
        load_model(tmp_path)
    edit_config(tmp_path, eos_token_id=[2, 400])
    assert load_model(tmp_path).config.other_eos_token_ids == (400,)


def test_a_sentencepiece_vocabulary_is_not_read_from_its_tokenizer_json(tmp_path, saved, small_tokenizer):
    (saved / "tokenizer.json").write_text(json.dumps(tokenizer_json(small_tokenizer)))
    with pytest.raises(TokenizerError, match="not a byte-level vocabulary, .* read from its tokenizer.model: copy it"):
        save_model(make_model(), tmp_path / "out", tokenizer_path=saved)
    assert not (tmp_path / "out").exists()
