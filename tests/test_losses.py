"""The SFT loss terms against hand-computed values, PyTorch's own cross-entropy and the paper's theorems."""

import math

import pytest
import torch
import torch.nn.functional as F
from allocations import peak_allocated
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tl import losses
from tl.losses import token_nll, weighted_cross_entropy

F64 = torch.float64


@pytest.fixture
def problem():
    """Seven positions, five channels, eleven tokens: (hidden, lm_head, targets) in float64."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(7, 5, dtype=F64, generator=generator, requires_grad=True)
    lm_head = torch.randn(11, 5, dtype=F64, generator=generator, requires_grad=True)
    return hidden, lm_head, torch.randint(0, 11, (7,), generator=generator)


def gradients(loss, *inputs):
    return torch.autograd.grad(loss, inputs)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_token_nll_by_hand():
    hidden = torch.tensor([[0.0, math.log(3)]], dtype=F64)
    lm_head = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=F64)  # logits 0 and log 3: probabilities 1/4 and 3/4
    assert token_nll(hidden, lm_head, torch.tensor([1])).item() == pytest.approx(-math.log(3 / 4))
    assert token_nll(hidden, lm_head, torch.tensor([0])).item() == pytest.approx(-math.log(1 / 4))


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_token_nll_and_gradients_equal_cross_entropy_whatever_the_chunk(problem, rows, monkeypatch):
    hidden, lm_head, targets = problem
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", rows * 11)
    ours = token_nll(hidden, lm_head, targets)
    theirs = F.cross_entropy(hidden @ lm_head.T, targets, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    upstream = torch.arange(1.0, 8.0, dtype=F64)
    for a, b in zip(
        gradients((ours * upstream).sum(), hidden, lm_head),
        gradients((theirs * upstream).sum(), hidden, lm_head),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [3, 100])
def test_token_nll_passes_gradcheck(problem, rows, monkeypatch):
    """Which goes back through the same graph several times."""
    hidden, lm_head, targets = problem
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", rows * 11)
    assert torch.autograd.gradcheck(lambda h, w: token_nll(h, w, targets), (hidden, lm_head))


def test_token_nll_never_holds_all_logits(monkeypatch):
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", 16 * 100)
    lm_head = torch.randn(100, 4, requires_grad=True)
    largest = {}
    for n in (64, 640):
        hidden = torch.randn(n, 4, requires_grad=True)
        with LargestTensor() as recorder:
            token_nll(hidden, lm_head, torch.zeros(n, dtype=torch.long)).sum().backward()
        largest[n] = recorder.elements
    assert largest[64] == 16 * 100
    assert largest[640] == max(16 * 100, 640 * 4)  # a chunk of logits, or the gradient of hidden: never 640 * 100


def test_the_peak_of_token_nll_grows_by_the_gradient_of_hidden_and_a_number_a_row_only(monkeypatch):
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", 16 * 1000)
    lm_head = torch.randn(1000, 4, requires_grad=True)
    rest = {}
    for n in (64, 640):
        hidden, targets = torch.randn(n, 4, requires_grad=True), torch.zeros(n, dtype=torch.long)
        peak, _ = peak_allocated(lambda h=hidden, t=targets: gradients(token_nll(h, lm_head, t).sum(), h, lm_head))
        rest[n] = peak - 4 * n * (4 + 1)  # bytes
    assert rest[640] == pytest.approx(rest[64], rel=0.1)


def test_token_nll_is_float32_for_bfloat16_inputs():
    hidden, lm_head = torch.randn(3, 8).bfloat16(), torch.randn(5, 8).bfloat16()
    nll = token_nll(hidden, lm_head, torch.tensor([0, 1, 4]))
    assert nll.dtype == torch.float32
    torch.testing.assert_close(
        nll, F.cross_entropy((hidden @ lm_head.T).float(), torch.tensor([0, 1, 4]), reduction="none")
    )


def test_the_gradient_of_a_bfloat16_head_is_summed_over_chunks_in_float32(monkeypatch):
    """1,024 rows of -1/2 and 1/2, a row at a time. In bfloat16 the sum would stop at 128."""
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", 2)
    lm_head = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    hidden, targets = torch.ones(1024, 1, dtype=torch.bfloat16), torch.zeros(1024, dtype=torch.long)
    token_nll(hidden, lm_head, targets).sum().backward()
    assert lm_head.grad.tolist() == [[-512.0], [512.0]] and lm_head.grad.dtype == torch.bfloat16


def test_logits_are_computed_again_only_where_they_take_more_than_one_chunk(problem, monkeypatch):
    hidden, lm_head, targets = problem
    counted = {}
    for rows in (7, 6):
        monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", rows * 11)
        with FlopCounterMode(display=False) as counter:
            token_nll(hidden, lm_head, targets).sum().backward()
        counted[rows] = counter.get_total_flops()
    assert counted[6] - counted[7] == 2 * 7 * 11 * 5


def test_a_vocabulary_larger_than_a_chunk_is_read_a_row_at_a_time(monkeypatch):
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", 10)
    hidden, lm_head, targets = torch.randn(7, 1), torch.randn(11, 1), torch.arange(7)
    with LargestTensor() as recorder:
        nll = token_nll(hidden, lm_head, targets)
    assert recorder.elements == 11
    torch.testing.assert_close(nll, F.cross_entropy(hidden @ lm_head.T, targets, reduction="none"))


def test_sum_by_hand():
    nll, weights = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([9.0, 1.0, 0.5])
    assert weighted_cross_entropy(nll, weights, norm="sum") == 9 + 2 + 2
    assert weighted_cross_entropy(nll, weights, norm="sum", total=4) == 13 / 4


def test_call_by_hand():
    nll = torch.tensor([1.0, 2.0, 4.0, 6.0])
    weights = torch.tensor([3.0, 1.0, 1.0, 1.0])
    call = torch.tensor([0, 0, 1, 1])  # (3 + 2) / 4 = 1.25 and (4 + 6) / 2 = 5
    assert weighted_cross_entropy(nll, weights, call) == (1.25 + 5) / 2
    assert weighted_cross_entropy(nll, weights, call, total=10) == 6.25 / 10


def test_one_call_of_weights_one_is_plain_cross_entropy(problem):
    hidden, lm_head, targets = problem
    ours = weighted_cross_entropy(token_nll(hidden, lm_head, targets), torch.ones(7))
    torch.testing.assert_close(ours, F.cross_entropy(hidden @ lm_head.T, targets), rtol=0, atol=1e-13)


@pytest.mark.parametrize("norm", ["call", "sum"])
def test_masked_call_contributes_exactly_nothing(problem, norm):
    """Theorem A.1: with the erroneous call masked, the loss and its gradient are those of the others alone."""
    hidden, lm_head, targets = problem
    call = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    weights = torch.tensor([2.0, 1.0, 0.0, 0.0, 0.0, 3.0, 1.0])
    loss = weighted_cross_entropy(token_nll(hidden, lm_head, targets), weights, call, norm)
    grad_hidden, grad_head = gradients(loss, hidden, lm_head)
    assert (grad_hidden[2:5] == 0).all()

    rest = torch.tensor([0, 1, 5, 6])
    alone = weighted_cross_entropy(token_nll(hidden[rest], lm_head, targets[rest]), weights[rest], call[rest], norm)
    torch.testing.assert_close(loss, alone, rtol=0, atol=1e-14)
    torch.testing.assert_close(grad_head, gradients(alone, lm_head)[0], rtol=0, atol=1e-14)


def test_key_token_gradient_is_w_times_its_unweighted_one(problem):
    """Theorem A.2, under the paper's plain sum."""
    hidden, lm_head, targets = problem
    weights = torch.tensor([9.0, 1.0, 2.5, 1.0, 1.0, 1.0, 1.0], dtype=F64)
    weighted = gradients(weighted_cross_entropy(token_nll(hidden, lm_head, targets), weights, norm="sum"), hidden)[0]
    plain = gradients(token_nll(hidden, lm_head, targets).sum(), hidden)[0]
    torch.testing.assert_close(weighted, weights[:, None] * plain, rtol=1e-14, atol=0)


def test_doubling_all_weights_changes_nothing_under_call():
    nll, call = torch.tensor([1.0, 2.0, 4.0, 6.0]), torch.tensor([0, 0, 1, 1])
    weights = torch.tensor([3.0, 1.0, 1.0, 0.25])
    assert weighted_cross_entropy(nll, 2 * weights, call) == weighted_cross_entropy(nll, weights, call)
    assert weighted_cross_entropy(nll, 2 * weights, norm="sum") == 2 * weighted_cross_entropy(nll, weights, norm="sum")


def test_weighted_cross_entropy_passes_gradcheck():
    nll = torch.rand(5, dtype=F64, requires_grad=True)
    weights, call = torch.tensor([9.0, 1, 0, 1, 1], dtype=F64), torch.tensor([0, 0, 1, 2, 2])
    for norm in ("call", "sum"):
        assert torch.autograd.gradcheck(lambda x, norm=norm: weighted_cross_entropy(x, weights, call, norm), (nll,))


@pytest.mark.parametrize("norm", ["call", "sum"])
def test_nan_at_a_masked_position_stays_out(norm):
    nll = torch.tensor([1.0, math.nan, math.inf, 3.0], requires_grad=True)
    loss = weighted_cross_entropy(nll, torch.tensor([1.0, 0.0, 0.0, 1.0]), norm=norm)
    loss.backward()
    assert loss == (2 if norm == "call" else 4)
    assert nll.grad[1] == nll.grad[2] == 0 and nll.grad.isfinite().all()


@pytest.mark.parametrize("rows", [2, 4], ids=["chunks", "one chunk"])
def test_nan_in_a_masked_hidden_state_stays_out_of_all_gradients(rows, monkeypatch):
    monkeypatch.setattr(losses, "LOGITS_PER_CHUNK", rows * 5)
    torch.manual_seed(0)
    hidden, lm_head = torch.randn(4, 8), torch.randn(5, 8, requires_grad=True)
    targets, weights = torch.tensor([0, 1, 2, 3]), torch.tensor([1.0, 0.0, 1.0, 2.0])
    broken = hidden.clone()
    broken[1] = math.nan
    gradients = []
    for states in (hidden, broken):
        states.requires_grad_()
        weighted_cross_entropy(token_nll(states, lm_head, targets), weights).backward()
        gradients += [(states.grad, lm_head.grad)]
        lm_head.grad = None
    torch.testing.assert_close(gradients[1], gradients[0])
    assert gradients[1][0][1].eq(0).all()


@pytest.mark.parametrize("norm", ["call", "sum"])
@pytest.mark.parametrize("n", [0, 3])
def test_nothing_to_train_on_gives_zero_loss_and_finite_gradients(problem, norm, n):
    hidden, lm_head, targets = problem
    nll = token_nll(hidden[:n], lm_head, targets[:n])
    for total in (None, 0):
        loss = weighted_cross_entropy(nll, torch.zeros(n), norm=norm, total=total)
        assert loss == 0
        for gradient in gradients(loss, hidden, lm_head):
            assert (gradient == 0).all()
        nll = token_nll(hidden[:n], lm_head, targets[:n])


@pytest.mark.parametrize("norm", ["call", "sum"])
def test_parts_of_a_step_add_up_and_the_average_of_averages_does_not(norm):
    nll = torch.tensor([1.0, 2.0, 4.0, 6.0, 5.0], dtype=F64)
    weights = torch.tensor([3.0, 1.0, 1.0, 1.0, 2.0], dtype=F64)
    call = torch.tensor([0, 0, 1, 1, 2])
    total = 3 if norm == "call" else 5
    whole = weighted_cross_entropy(nll, weights, call, norm, total)
    first, second = slice(0, 2), slice(2, 5)  # one call, and two
    parts = [weighted_cross_entropy(nll[p], weights[p], call[p] - call[p].min(), norm, total) for p in (first, second)]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-15)
    naive = sum(weighted_cross_entropy(nll[p], weights[p], call[p] - call[p].min()) for p in (first, second)) / 2
    assert abs(naive - weighted_cross_entropy(nll, weights, call)) > 0.1


def test_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="expected 'call' or 'sum'"):
        weighted_cross_entropy(torch.ones(1), torch.ones(1), norm="mean")
