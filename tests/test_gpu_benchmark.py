"""The benchmark for a GPU, at toy size on a CPU: every row is measured, and one that fails says why."""

from benchmarks import gpu

TOY = ["all", "--tokens", "32", "--length", "16", "--context", "8", "--new_tokens", "2", "--rollouts", "2"]


def test_every_work_is_a_row_beside_what_is_published(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu", *TOY])
    monkeypatch.setattr(gpu, "GPU", False)

    def out_of_memory(*_: object) -> str:
        raise MemoryError("64 texts\nand more of it")

    decode = gpu.decode
    monkeypatch.setattr(
        gpu,
        "decode",
        lambda config, options, speed: (decode if options.batch == 1 else out_of_memory)(config, options, speed),
    )
    gpu.main()
    header, *table = capsys.readouterr().out.splitlines()
    assert "no GPU" in header and "TFLOP/s" in header
    rows = {row[0]: row[1:] for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:])}
    assert list(rows) == ["training", "decoding, 1 text", "decoding, 64 texts", "PPO step"]
    assert "tokens/s with 6 of 6 layers" in rows["training"][0] and "10,471 tokens/s" in rows["training"][1]
    assert "tokens/s" in rows["decoding, 1 text"][0] and "104.9 tokens/s" in rows["decoding, 1 text"][1]
    assert rows["decoding, 64 texts"][0] == "failed: MemoryError: 64 texts"
    assert "s a step of 2 rollouts, 2 tokens each" in rows["PPO step"][0]


def test_training_takes_as_many_layers_as_fit(monkeypatch):
    """CodeLLaMA-7B with full checkpointing: 105.6 GiB with all layers, and 16 bytes for each parameter of a layer."""
    monkeypatch.setattr(gpu, "GPU", True)
    options = gpu.argparse.Namespace(checkpointing="full")
    for total, layers in ((141e9, 32), (80e9, 19)):
        monkeypatch.setattr(gpu.torch.cuda, "mem_get_info", lambda total=total: (0, int(total)))
        assert gpu.that_fits(gpu.CODE_LLAMA["7B"], 8192, options).num_hidden_layers == layers
