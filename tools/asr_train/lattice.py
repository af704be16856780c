"""Forward-backward over the transducer lattice, compiled with numba.

Works on log-probabilities of blank and of the right label alone, packed: utterance ``b``
occupies ``T_b * (U_b + 1)`` cells from ``offset_b`` on, row ``t`` holding the ``U_b + 1``
predictor states. Graves 2012, arXiv:1211.3711, section 2.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["lattice_losses"]

NEG = -1.0e30


@njit(cache=True, fastmath=False)  # type: ignore[untyped-decorator, unused-ignore]
def _logadd(a: float, b: float) -> float:
    if a < b:
        a, b = b, a
    if b <= NEG:
        return a
    return a + np.log1p(np.exp(b - a))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def lattice_losses(
    blank: NDArray[np.float32],
    label: NDArray[np.float32],
    offsets: NDArray[np.int64],
    frames: NDArray[np.int64],
    labels: NDArray[np.int64],
    fast_emit: float,
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Negative log-likelihood per utterance and its gradients.

    ``blank``, ``label`` ``[N]`` (``label`` of the last state in a row is ignored), ``offsets``,
    ``frames`` (T_b >= 1), ``labels`` (U_b) ``[B]``. Returns losses ``[B]`` and the gradients
    with respect to ``blank`` and ``label``; ``fast_emit`` scales the latter (arXiv:2010.11148).
    """
    batch = offsets.shape[0]
    losses = np.zeros(batch, np.float64)
    d_blank = np.zeros_like(blank)
    d_label = np.zeros_like(label)
    for b in range(batch):
        base, T, S = offsets[b], frames[b], labels[b] + 1
        alpha = np.full((T, S), NEG)
        beta = np.full((T, S), NEG)
        for t in range(T):
            row = base + t * S
            for u in range(S):
                if t == 0 and u == 0:
                    alpha[t, u] = 0.0
                    continue
                value = NEG
                if t > 0:
                    value = alpha[t - 1, u] + blank[row - S + u]
                if u > 0:
                    value = _logadd(value, alpha[t, u - 1] + label[row + u - 1])
                alpha[t, u] = value
        for t in range(T - 1, -1, -1):
            row = base + t * S
            for u in range(S - 1, -1, -1):
                if t == T - 1 and u == S - 1:
                    beta[t, u] = blank[row + u]
                    continue
                value = NEG
                if t < T - 1:
                    value = beta[t + 1, u] + blank[row + u]
                if u < S - 1:
                    value = _logadd(value, beta[t, u + 1] + label[row + u])
                beta[t, u] = value
        total = beta[0, 0]
        losses[b] = -total
        for t in range(T):
            row = base + t * S
            for u in range(S):
                if t < T - 1:
                    stay = beta[t + 1, u]
                elif u == S - 1:
                    stay = 0.0
                else:
                    stay = NEG
                if stay > NEG:
                    d_blank[row + u] = -np.exp(alpha[t, u] + blank[row + u] + stay - total)
                if u < S - 1:
                    go = alpha[t, u] + label[row + u] + beta[t, u + 1] - total
                    d_label[row + u] = -(1.0 + fast_emit) * np.exp(go)
    return losses, d_blank, d_label
