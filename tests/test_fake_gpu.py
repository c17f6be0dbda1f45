"""The GPU path without a GPU: the product's own functions on fake tensors on "cuda", in a fake process group of eight
(``fake_gpu.py``). A tensor on the wrong device, or of the wrong type for its product, raises an error there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
LAYERS = {"full": 4, "full on one": 2, "none": 4, "selective": 8, "small": 2}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What was counted and measured in each piece of work."""
    stub = "-"
    if torch.version.cuda is None:
        compiler = shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            pytest.skip("needs a C++ compiler, for a CUDA device that does nothing")
        stub, home = str(tmp_path_factory.mktemp("stub") / "cuda_stub.so"), Path(torch.__file__).parent
        library = [f"-I{home}/include", f"-L{home}/lib", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{home}/lib"]
        source = str(HERE / "native" / "cuda_stub.cpp")
        subprocess.run([compiler, "-shared", "-fPIC", "-std=c++20", source, *library, "-o", stub], check=True)
    command = [sys.executable, str(HERE / "fake_gpu.py"), stub]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize(
    ("work", "phase", "tolerance"),
    [
        ("full", "step", 0.05),
        ("full on one", "step", 0.05),
        ("none", "step", 0.1),
        ("selective", "step", 0.1),
        ("full", "evaluation", 0.05),
        ("full on one", "evaluation", 0.05),
        ("ppo", "ppo", 0.05),
    ],
)
def test_the_estimate_of_dry_run_is_the_peak_that_pytorch_s_tracker_finds(found, work, phase, tolerance):
    """CodeLLaMA-7B with fewer layers; all tokens are targets."""
    estimate, peak = found[work]["estimates"][phase], found[work]["peaks"][phase]
    assert estimate == pytest.approx(peak, rel=tolerance), f"{estimate / 2**30:.2f} GiB, tracked {peak / 2**30:.2f}"


def test_products_run_in_bfloat16_alone(found):
    assert all(found[work]["product_types"] == ["bfloat16"] for work in (*LAYERS, "ppo", "small ppo"))


@pytest.mark.parametrize(("work", "ranks"), [("files", 8), ("files of one", 1)])
def test_each_rank_reads_its_part_to_its_gpu_in_float32_and_the_first_saves_the_whole_from_the_cpu(found, work, ranks):
    parameters = 2_987_264  # all of them in matrices and norms whose rows eight ranks share evenly
    assert found[work]["loaded"] == {"cuda torch.float32": parameters // ranks}
    assert found[work]["gathered"] == {"cpu torch.float32": parameters}


def test_a_state_is_read_back_to_the_gpu(found):
    assert found["files of one"]["resumed"] == {"cuda torch.float32": 3 * 2_987_264}


@pytest.mark.parametrize(("work", "micro_batches"), [("full", 1), ("none", 2), ("small", 3)])
def test_a_micro_batch_gathers_each_block_twice_and_reduces_it_once(found, work, micro_batches):
    """For the forward and the backward pass; embedding, norm and head stay whole between the two."""
    layers = LAYERS[work]
    expected = {"allgather_base": 2 * layers + 1, "reduce_scatter_base": layers + 1}
    assert found[work]["collectives"] == {name: micro_batches * n for name, n in expected.items()}


@pytest.mark.parametrize("work", ["full", "none", "small"])
def test_the_cpu_waits_for_the_gpu_at_the_end_of_a_step_only(found, work):
    """For the loss and the norm of the gradients, however many micro-batches there are."""
    assert found[work]["waits"] == {"item": 2}


def test_a_decoded_token_takes_one_small_copy_and_one_wait(found):
    """The tokens of four rows go there, the four drawn tokens come back; once, where the prompts end."""
    waits = found["full"]["decoding"]
    assert waits == {"to cuda": waits["tokens"] + 1, "item": 4 * waits["tokens"], "tokens": 24}
