#!/usr/bin/env python
"""Make tests/asr/data/tiny: a small transducer that knows the language of tests/asr/tones.py.

Needs the training extras; run from the repository root. It takes about three minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from streamer.asr.conformer import CHUNKS, STACK, ConformerConfig, ConformerTransducer
from streamer.asr.features import log_mel
from tests.asr.tones import TOKENS, noise, random_tokens, say
from tools.asr_train.loss import transducer_loss
from tools.export_onnx import export

CONFIG = ConformerConfig(
    vocab=len(TOKENS),
    channels=8,
    dim=48,
    hidden=96,
    heads=2,
    rotary=24,
    position_step=1.0,
    blocks=1,
    kernel=5,
    left=16,
    joint=48,
    embedding=16,
)
STEPS = 1000


def batch(rng: np.random.Generator, size: int = 12) -> tuple[torch.Tensor, ...]:
    """Padded features and targets, and the lengths of both."""
    features, targets = [], []
    for _ in range(size):
        tokens = random_tokens(rng, int(rng.integers(1, 16)))
        seed = int(rng.integers(1 << 30))
        pause = [noise(rng.uniform(0.0, 0.6), seed), noise(rng.uniform(0.45, 0.9), seed + 1)]
        features.append(log_mel(np.concatenate([pause[0], say(tokens, rng), pause[1]])))
        targets.append(tokens)
    rows = torch.tensor([len(f) for f in features])
    labels = torch.tensor([len(t) for t in targets])
    x = torch.full((size, int(rows.max()), 80), -15.94)
    y = torch.zeros(size, int(labels.max()), dtype=torch.int64)
    for i, (f, t) in enumerate(zip(features, targets, strict=True)):
        x[i, : len(f)] = torch.from_numpy(f)
        y[i, : len(t)] = torch.tensor(t)
    return x, rows, y, labels


def train() -> ConformerTransducer:
    """CTC first, the transducer once CTC moves; chunk sizes at random."""
    torch.manual_seed(7)
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    model = ConformerTransducer(CONFIG)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, STEPS)
    ctc = torch.nn.CTCLoss(blank=CONFIG.blank, reduction="sum", zero_infinity=True)
    for step in range(STEPS):
        x, rows, y, labels = batch(rng)
        chunk = int(rng.choice(CHUNKS))
        encoded, logps, frames = model.encoder(x, rows, chunk)
        loss = ctc(logps.transpose(0, 1), y, frames, labels) / labels.sum()
        total = loss
        if step > STEPS // 5:
            total = loss + transducer_loss(model, encoded, frames, y, labels) / labels.sum()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(step, f"ctc {float(loss):.3f} all {float(total):.3f}", flush=True)
    model.encoder.rotary = model.encoder.rotary[:, : CONFIG.left + STACK * max(CHUNKS)]
    return model.eval()


def main() -> None:
    model = train()
    out = Path(__file__).parent / "data" / "tiny"
    out.mkdir(parents=True, exist_ok=True)
    torch.save({"config": CONFIG.as_dict(), "model": model.state_dict()}, out / "checkpoint.pt")
    with tempfile.TemporaryDirectory() as folder:
        export(model, Path(folder), chunk=8, int8=True)
        for path in Path(folder).glob("*.onnx"):
            (out / path.name).write_bytes(path.read_bytes())
    (out / "tokens.txt").write_text("".join(f"{t} {i}\n" for i, t in enumerate(TOKENS)))


if __name__ == "__main__":
    main()
