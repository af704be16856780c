"""The transducer loss against brute-force enumeration and finite differences."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from streamer.asr.conformer import ConformerConfig, ConformerTransducer  # noqa: E402
from tools.asr_train.lattice import lattice_losses  # noqa: E402
from tools.asr_train.loss import hybrid_loss, transducer_loss  # noqa: E402

TINY = ConformerConfig(
    vocab=9,
    channels=4,
    dim=16,
    hidden=32,
    heads=2,
    blocks=1,
    left=8,
    joint=12,
    embedding=8,
    rotary=8,
)


def brute_force(blank: np.ndarray, label: np.ndarray) -> float:
    """Sum over every path: ``T - 1`` of the ``T - 1 + U`` moves before the last blank go right."""
    frames, states = blank.shape
    total = -np.inf
    moves = frames - 1 + states - 1
    for right in combinations(range(moves), frames - 1):
        t = u = 0
        value = 0.0
        for move in range(moves):
            if move in right:
                value += blank[t, u]
                t += 1
            else:
                value += label[t, u]
                u += 1
        total = np.logaddexp(total, value + blank[t, u])
    return -float(total)


def run(
    blank: np.ndarray, label: np.ndarray, fast: float = 0.0
) -> tuple[float, np.ndarray, np.ndarray]:
    t, s = blank.shape
    args = np.array([0]), np.array([t]), np.array([s - 1])
    losses, d_blank, d_label = lattice_losses(blank.ravel(), label.ravel(), *args, fast)
    return float(losses[0]), d_blank.reshape(t, s), d_label.reshape(t, s)


@pytest.mark.parametrize(("frames", "labels"), [(1, 0), (1, 3), (4, 0), (3, 2), (5, 4), (2, 6)])
def test_loss_equals_the_sum_over_all_paths(frames: int, labels: int) -> None:
    rng = np.random.default_rng(frames * 10 + labels)
    blank = np.log(rng.uniform(0.05, 0.9, (frames, labels + 1)))
    label = np.log(rng.uniform(0.05, 0.9, (frames, labels + 1)))
    assert run(blank, label)[0] == pytest.approx(brute_force(blank, label), rel=1e-9)


def test_gradients_equal_finite_differences() -> None:
    rng = np.random.default_rng(1)
    blank, label = np.log(rng.uniform(0.1, 0.9, (2, 4, 4)))
    _, d_blank, d_label = run(blank, label)
    for values, gradient in ((blank, d_blank), (label, d_label)):
        for index in np.ndindex(*values.shape):
            saved = values[index]
            values[index] = saved + 1e-6
            up = run(blank, label)[0]
            values[index] = saved - 1e-6
            down = run(blank, label)[0]
            values[index] = saved
            assert gradient[index] == pytest.approx((up - down) / 2e-6, abs=1e-7)


def test_every_path_has_each_label_once() -> None:
    rng = np.random.default_rng(2)
    blank, label = np.log(rng.uniform(0.1, 0.9, (2, 6, 4)))
    _, d_blank, d_label = run(blank, label)
    assert np.allclose(-d_label.sum(axis=0), [1, 1, 1, 0])
    assert np.allclose(-d_blank.sum(axis=1), 1)
    assert np.allclose(run(blank, label, fast=0.1)[2], 1.1 * d_label)


def test_very_unlikely_labels_stay_finite() -> None:
    blank, label = np.full((30, 8), -200.0, np.float32), np.full((30, 8), -300.0, np.float32)
    loss, d_blank, d_label = run(blank, label)
    assert np.isfinite(loss) and np.isfinite(d_blank).all() and np.isfinite(d_label).all()


def test_a_packed_batch_equals_its_members() -> None:
    torch.manual_seed(0)
    model = ConformerTransducer(TINY)
    encoded = torch.randn(3, 7, 12)
    frames, labels = torch.tensor([7, 4, 5]), torch.tensor([3, 1, 0])
    targets = torch.randint(0, 8, (3, 3))
    whole = transducer_loss(model, encoded, frames, targets, labels)
    alone = [
        transducer_loss(
            model, encoded[b : b + 1], frames[b : b + 1], targets[b : b + 1], labels[b : b + 1]
        )
        for b in range(3)
    ]
    assert whole.item() == pytest.approx(sum(a.item() for a in alone), rel=1e-5)


def test_gradient_through_the_joiner() -> None:
    torch.manual_seed(0)
    model = ConformerTransducer(TINY).double()
    encoded = torch.randn(2, 4, 12, dtype=torch.float64, requires_grad=True)
    frames, labels, targets = (
        torch.tensor([4, 3]),
        torch.tensor([2, 1]),
        torch.tensor([[1, 2], [3, 0]]),
    )

    def loss() -> float:
        return transducer_loss(model, encoded, frames, targets, labels).item()

    transducer_loss(model, encoded, frames, targets, labels).backward()
    assert encoded.grad is not None
    assert encoded.grad[1, 3].abs().max() == 0.0
    for index in ((0, 0, 0), (0, 3, 5), (1, 1, 11)):
        with torch.no_grad():
            encoded[index] += 1e-2
            up = loss()
            encoded[index] -= 2e-2
            down = loss()
            encoded[index] += 1e-2
        assert float(encoded.grad[index]) == pytest.approx((up - down) / 2e-2, abs=2e-3)


def test_hybrid_loss_has_both_parts_and_keeps_to_its_budget_of_cells() -> None:
    torch.manual_seed(0)
    model = ConformerTransducer(TINY)
    features = torch.randn(4, 8 * 9 + 7, 80)
    rows, labels = torch.tensor([79, 71, 63, 79]), torch.tensor([3, 2, 1, 3])
    targets = torch.randint(0, 8, (4, 3))
    both = hybrid_loss(model, features, rows, targets, labels, 4, 0.3, 0.7)
    both.total.backward()
    assert both.ctc > 0 and both.transducer > 0
    assert float(both.total.detach()) == pytest.approx(
        0.3 * both.ctc + 0.7 * both.transducer, rel=1e-4
    )
    assert all(p.grad is not None for p in model.parameters())
    only = hybrid_loss(model, features, rows, targets, labels, 4, 1.0, 0.0)
    assert np.isnan(only.transducer)
    hybrid_loss(model, features, rows, targets, labels, 4, 0.3, 0.7, max_cells=1)
