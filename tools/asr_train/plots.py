"""A picture of a run: losses, learning rate, development error rates."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["plot_losses"]


def plot_losses(log: Path, out: Path) -> None:
    """Read ``log.jsonl`` and write a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line]
    train = [r for r in rows if r["kind"] == "train"]
    dev = [r for r in rows if r["kind"] == "dev"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot([r["audio_h"] for r in train], [r["ctc"] for r in train], label="CTC")
    spoken = [r for r in train if r["rnnt"] >= 0]
    left.plot([r["audio_h"] for r in spoken], [r["rnnt"] for r in spoken], label="transducer")
    left.set(xlabel="hours of audio seen", ylabel="loss per token (nat)", ylim=(0, None))
    left.legend()
    for name in sorted({r["set"] for r in dev}):
        mine = [r for r in dev if r["set"] == name]
        for key, style in (("ctc_wer", "--"), ("rnnt_wer", "-")):
            hours = [r["audio_h"] for r in mine]
            right.plot(hours, [r[key] for r in mine], style, label=f"{name} {key[:-4]}")
    right.set(xlabel="hours of audio seen", ylabel="WER (%), 640 ms chunks, greedy", ylim=(0, 105))
    if dev:
        right.legend(fontsize=7)
    figure.savefig(out, dpi=110)
    plt.close(figure)
