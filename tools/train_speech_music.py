#!/usr/bin/env python
"""Train the speech and music detector, a second model for ``events.sound``.

    train_speech_music.py CORPUS MUSIC OUT --train PACKAGE ... --test PACKAGE ...

MUSIC has a folder of music files for each package they come from. Speech is held out by speaker,
music by package, other sound by the folds of ESC-10. Writes OUT/speech-music.onnx and prints how
the model fares, as a stream, on a montage of what was held out.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from streamer.events.sound import SoundModel, SoundRules, SoundStream
from streamer.packets import AudioEvent, AudioFrame
from tools.event_train.export import export
from tools.event_train.model import SUBSAMPLING, EventNet
from tools.event_train.scenes import GROUPS, LABELS, Sounds, montage, read_sounds, scenes

ROWS = 640
BATCH = 20
RATE = 16000


def train(sounds: Sounds, steps: int, seed: int) -> EventNet:
    """A model that has seen ``steps`` batches of scenes."""
    torch.manual_seed(seed)
    model = EventNet(len(LABELS))
    batches = scenes(sounds, BATCH, ROWS, np.random.default_rng(seed))
    x, _ = next(batches)
    rows = x.reshape(-1, x.shape[-1])
    model.mean.copy_(torch.from_numpy(rows.mean(axis=0)))
    model.scale.copy_(torch.from_numpy(1 / rows.std(axis=0)))
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps, pct_start=0.15)
    began, losses = time.monotonic(), list[float]()
    for step in range(steps):
        x, y = next(batches)
        truth = torch.from_numpy(y).unflatten(1, (-1, SUBSAMPLING)).amax(dim=2)
        logits, _ = model(torch.from_numpy(x), model.initial(BATCH))
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % 50 == 49:
            mean, took = np.mean(losses[-50:]), time.monotonic() - began
            print(f"step {step + 1} loss {mean:.3f} {took:.0f} s", flush=True)
    return model.eval()


def hear(model: SoundModel, samples: NDArray[np.float32], rules: SoundRules) -> list[AudioEvent]:
    """What the stream tells of a recording."""
    stream = SoundStream(model, rules)
    events: list[AudioEvent] = []
    for at in range(0, len(samples), 1600):
        ended, pieces = stream.take(AudioFrame(samples[at : at + 1600, None], RATE, at))
        events += ended
        for piece in pieces:
            events += stream.heard(model.run([piece])[0])
    return events + stream.finish()


def report(model: SoundModel, sounds: Sounds, minutes: float, rules: SoundRules) -> None:
    """Precision and recall by time, by condition, and how late the starts are."""
    samples, truth, groups = montage(sounds, minutes, np.random.default_rng(7))
    said = np.zeros_like(truth)
    late: dict[str, list[float]] = {label: [] for label in LABELS}
    for event in hear(model, samples, rules):
        if event.state == "end" and event.end is not None:
            k = LABELS.index(event.label)
            said[int(event.start * 100) : int(event.end * 100), k] = True
            begun = np.flatnonzero(np.diff(truth[:, k].astype(int)) == 1) / 100
            near = np.abs(begun - event.start)
            if len(near) and near.min() < 2:
                late[event.label].append(event.start - begun[near.argmin()])
    print(f"{len(truth) / 6000:.1f} minutes, shares of time:")
    for k, label in enumerate(LABELS):
        right = (said & truth)[:, k].sum()
        print(
            f"{label}: precision {right / said[:, k].sum():.1%}, recall "
            f"{right / truth[:, k].sum():.1%}, starts {np.median(late[label]):+.2f} s (median)"
        )
    names = np.array(groups)
    for group in GROUPS:
        mine = names == group
        cells = []
        for k, label in enumerate(LABELS):
            there, heard = truth[mine, k], said[mine, k]
            if there.any():
                cells.append(f"{label} heard in {heard[there].mean():.1%} of its time")
            if not there.all():
                cells.append(f"{label} in {heard[~there].mean():.1%} of the rest")
        print(f"  {group}: {'; '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("music", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", nargs="+", required=True, metavar="PACKAGE")
    parser.add_argument("--test", nargs="+", required=True, metavar="PACKAGE")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--minutes", type=float, default=20.0, help="of the montage")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    path = args.out / "speech-music.onnx"
    args.out.mkdir(parents=True, exist_ok=True)
    if args.steps:
        known = read_sounds(args.corpus, args.music, args.train, True)
        counts = [len(known.speech), len(known.music), len(known.other)]
        print(f"speech, music, other: {counts} pieces", flush=True)
        export(train(known, args.steps, args.seed), LABELS, path)
    held = read_sounds(args.corpus, args.music, args.test, False)
    print(f"held out: {[len(held.speech), len(held.music), len(held.other)]} pieces")
    rules = SoundRules(on=0.5, off=0.5, min_on=0.3, min_off=0.4, smooth=0.3)
    report(SoundModel(path), held, args.minutes, rules)


if __name__ == "__main__":
    main()
