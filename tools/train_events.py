#!/usr/bin/env python
"""Train and cross-validate the sound event detector.

    train_events.py CORPUS/esc10 OUT [--others CORPUS/librispeech-train CORPUS/kitchen-noise ...]

Five folds as published, each tested on the clips it has not seen; then one model on all of them,
exported to OUT/sound-events.onnx with its labels. OUT/report.json and OUT/report.md hold accuracy,
the confusions, and false alarms per hour on ``--quiet`` folders, for the card.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.asr.features import LOG_FLOOR
from tools.event_train.data import Clips, Drawer, read_clips, read_others
from tools.event_train.export import export
from tools.event_train.model import SUBSAMPLING, EventNet, clip_probability

ROWS = 448
"""Frames of a training clip (4.48 s)."""
BATCH = 24


def train(
    clips: Clips, use: NDArray[np.int64], others: list[Any], steps: int, seed: int
) -> EventNet:
    """A model that has seen the clips ``use``; its weights are averaged over the last third."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = EventNet(len(clips.names))
    drawer = Drawer(clips, use, others)
    rows = np.concatenate([np.maximum(clips.features[i], -12.5) for i in use])
    model.mean.copy_(torch.from_numpy(rows.mean(axis=0)))
    model.scale.copy_(torch.from_numpy(1 / rows.std(axis=0)))
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps, pct_start=0.15)
    began = time.monotonic()
    for step in range(steps):
        x, y = drawer.batch(BATCH, ROWS, rng)
        logits, _ = model(torch.from_numpy(x), model.initial(BATCH))
        p = clip_probability(logits).clamp(1e-5, 1 - 1e-5)
        loss = F.binary_cross_entropy(p, torch.from_numpy(y))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 49:
            print(
                f"step {step + 1} loss {float(loss.detach()):.3f} {time.monotonic() - began:.0f} s",
                flush=True,
            )
    return model.eval()


@torch.inference_mode()
def predict(model: EventNet, clips: Clips, test: NDArray[np.int64]) -> NDArray[np.float32]:
    """``[clips, classes]`` probabilities of whole clips."""
    found = []
    for i in test:
        x = np.maximum(clips.features[i], LOG_FLOOR)
        x = x[: len(x) // SUBSAMPLING * SUBSAMPLING]
        logits, _ = model(torch.from_numpy(x[None]), model.initial(1))
        found.append(clip_probability(logits)[0].numpy())
    return np.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="none of the classes")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    clips, others = read_clips(args.corpus), read_others(args.others)
    table = np.zeros((len(clips.names), len(clips.names)), int)
    accuracy = {}
    for fold in sorted(set(clips.folds.tolist())):
        test = np.flatnonzero(clips.folds == fold)
        use = np.flatnonzero(clips.folds != fold)
        best = predict(train(clips, use, others, args.steps, args.seed), clips, test).argmax(axis=1)
        np.add.at(table, (clips.labels[test], best), 1)
        accuracy[fold] = round(float((best == clips.labels[test]).mean()), 4)
        print(f"fold {fold}: {accuracy[fold]:.1%}", flush=True)
    mean = round(float(np.mean(list(accuracy.values()))), 4)
    report = {"accuracy": mean, "folds": accuracy, "steps": args.steps, "labels": clips.names}
    report["confusions"] = table.tolist()
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"mean of the folds: {mean:.1%}", flush=True)
    model = train(clips, np.arange(len(clips.labels)), others, args.steps, args.seed)
    export(model, clips.names, args.out / "sound-events.onnx", accuracy=str(mean))


if __name__ == "__main__":
    main()
