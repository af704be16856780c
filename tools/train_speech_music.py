"""Trains the weights of events.speech_music: a small perceptron on the figures of two seconds.

    python tools/train_speech_music.py CORPUS MUSIC models/speech-music/speech-music.json \
        --train PACKAGE ... --test PACKAGE ...

MUSIC has a folder of music files for each package they come from. Speech is held out by speaker,
music by package, other sound by the folds of ESC-10. Prints how the held-out windows fare.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tools.event_train.material import RATE, music_pieces, noises, other_pieces, speech_pieces
from numpy.typing import NDArray

from streamer.asr.features import LOG_FLOOR, NUM_MEL, log_mel
from streamer.events.speech_music import LABELS, SILENT, WINDOW, describe

Samples = NDArray[np.float32]
Example = tuple[NDArray[np.float64], str]
GROUPS = {"speech": (1, 0), "music": (0, 1), "both": (1, 1), "neither": (0, 0)}
SPEECH_SHARE = (0.05, 0.3)
"""Windows with less speech than the first are none, with less than the second are left out."""


def level(x: Samples) -> float:
    return float(np.sqrt((x**2).mean()) + 1e-6)


def mix(a: Samples, b: Samples, decibel: float) -> Samples:
    """``a`` over ``b``, which lies ``decibel`` below it."""
    b = np.tile(b, -(-len(a) // len(b)))[: len(a)]
    return a + b * np.float32(level(a) / level(b) * 10 ** (-decibel / 20))


def coloured(rows: Samples, rng: np.random.Generator) -> Samples:
    """Another microphone: a steady slope and bend, sometimes a telephone's band."""
    x = np.linspace(-1, 1, NUM_MEL)
    gain = rng.normal(0, 0.7) * x + rng.normal(0, 0.5) * (x**2 - 0.3) + rng.normal(0, 1)
    if rng.random() < 0.15:
        gain = gain - 6 * (np.arange(NUM_MEL) > rng.integers(50, 75))
    return np.maximum(rows + gain, LOG_FLOOR).astype(np.float32)


def windows(x: Samples, group: str, hop: int, rng: np.random.Generator | None) -> Iterator[Example]:
    rows = np.maximum(log_mel(x), LOG_FLOOR)
    energy = np.log(np.exp(rows).sum(axis=1))
    active = energy > np.percentile(energy, 95) - 5
    if rng is not None:
        rows = coloured(rows, rng)
    for at in range(0, len(rows) - WINDOW + 1, hop):
        part = rows[at : at + WINDOW]
        if np.percentile(part, 99) < SILENT:
            continue
        share = active[at : at + WINDOW].mean()
        if group in ("speech", "both") and share < SPEECH_SHARE[1]:
            if group == "both" or share > SPEECH_SHARE[0]:
                continue
            yield describe(part), "neither"
        elif group != "music" or share > 0.1:
            yield describe(part), group


def gather(args: argparse.Namespace, train: bool) -> list[Example]:
    """Figures and group of all windows of one side."""
    rng = np.random.default_rng(0 if train else 1)
    hop = 100
    music = list(music_pieces(args.music, args.train if train else args.test, 45.0 if train else 30))
    other = [*other_pieces(args.corpus, train), *noises(rng, 60 if train else 10)]
    speech: list[Samples] = []
    held: list[Samples] = []
    for piece in speech_pieces(args.corpus, train, 330 if train else 120):
        pause = rng.normal(size=int(rng.uniform(0.05, 0.6) * RATE)) * 1e-3 * rng.random()
        held += [piece, pause.astype(np.float32)]
        if sum(map(len, held)) > 20 * RATE:
            speech.append(np.concatenate(held))
            held = []
    found: list[Example] = []
    change = rng if train else None
    for n, x in enumerate(speech):
        y = mix(x, other[rng.integers(len(other))], rng.uniform(5, 30)) if n % 3 == 0 else x
        found += windows(y, "speech", hop, change)
        y = mix(x, music[rng.integers(len(music))], rng.uniform(0, 10))
        found += windows(y, "both", hop * 2, change)
    for n, x in enumerate(music):
        y = mix(x, other[rng.integers(len(other))], rng.uniform(10, 30)) if n % 3 == 0 else x
        found += windows(y, "music", hop, change)
    for x in other:
        found += windows(x, "neither", hop // 2 if train else hop, change)
        if train:
            found += windows(x, "neither", hop // 2, change)
    return found


def fit(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64], hidden: int,
    steps: int, decay: float,
) -> list[NDArray[np.float64]]:  # fmt: skip
    """A perceptron with one hidden layer by Adam on batches: w1, b1, w2, b2."""
    rng = np.random.default_rng(0)
    theta = [rng.normal(size=(x.shape[1], hidden)) / np.sqrt(x.shape[1]), np.zeros(hidden),
             rng.normal(size=(hidden, 2)) / np.sqrt(hidden), np.zeros(2)]  # fmt: skip
    first = [np.zeros_like(p) for p in theta]
    second = [np.zeros_like(p) for p in theta]
    for step in range(1, steps + 1):
        pick = rng.choice(len(x), 1024, p=weight)
        a = x[pick] + rng.normal(size=(1024, x.shape[1])) * 0.1
        h = np.tanh(a @ theta[0] + theta[1])
        error = (1 / (1 + np.exp(-(h @ theta[2] + theta[3]))) - y[pick]) / 1024
        back = (error @ theta[2].T) * (1 - h**2)
        slopes = [a.T @ back, back.sum(0), h.T @ error, error.sum(0)]
        rate = 0.01 * min(1.0, 2 * (1 - step / steps))
        for k, slope in enumerate(slopes):
            slope = slope + decay * theta[k] * (theta[k].ndim == 2)
            first[k] = 0.9 * first[k] + 0.1 * slope
            second[k] = 0.999 * second[k] + 0.001 * slope**2
            scaled = np.sqrt(second[k] / (1 - 0.999**step)) + 1e-9
            theta[k] = theta[k] - rate * first[k] / (1 - 0.9**step) / scaled
    return theta


def report(p: NDArray[np.float64], groups: NDArray[np.str_]) -> None:
    """Precision and recall of each label, and what each group was taken for."""
    truth = np.array([GROUPS[g] for g in groups], bool)
    for k, label in enumerate(LABELS):
        said = p[:, k] > 0.5
        right = (said & truth[:, k]).sum()
        print(f"{label}: precision {right / said.sum():.3f} recall {right / truth[:, k].sum():.3f}")
    for group in GROUPS:
        some = (p[groups == group] > 0.5).astype(int)
        names = list(GROUPS)
        counts = [int((some == GROUPS[name]).all(axis=1).sum()) for name in names]
        print(f"{group:8} -> " + ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("music", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--test", nargs="+", required=True)
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--decay", type=float, default=1e-4)
    parser.add_argument("--cache", type=Path, help="figures of an earlier run (.npz), or for it")
    args = parser.parse_args()
    if args.cache and args.cache.exists():
        sides = dict(np.load(args.cache))
    else:
        sides = {}
        for side in ("train", "test"):
            found = gather(args, side == "train")
            sides[f"{side}_x"] = np.stack([figures for figures, _ in found])
            sides[f"{side}_g"] = np.array([group for _, group in found])
        if args.cache:
            np.savez(args.cache, **sides)
    x, groups = sides["train_x"], sides["train_g"]
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    weight = np.zeros(len(x))
    for group in GROUPS:
        mine = groups == group
        weight[mine] = (0.5 if group == "both" else 1.0) / mine.sum()
        print(f"{group}: {mine.sum()} windows train, {(sides['test_g'] == group).sum()} test")
    y = np.array([GROUPS[g] for g in groups], float)
    normal = np.clip((x - mean) / scale, -4, 4)
    w1, b1, w2, b2 = fit(normal, y, weight / weight.sum(), args.hidden, args.steps, args.decay)
    for side in ("train", "test"):
        a = np.clip((sides[f"{side}_x"] - mean) / scale, -4, 4)
        print(f"-- {side}")
        report(1 / (1 + np.exp(-(np.tanh(a @ w1 + b1) @ w2 + b2))), sides[f"{side}_g"])
    names = {"mean": mean, "scale": scale, "w1": w1, "b1": b1, "w2": w2, "b2": b2}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lists = {name: np.round(value, 4).tolist() for name, value in names.items()}
    args.out.write_text(json.dumps(lists, separators=(",", ":")) + "\n", "utf-8")
    print(f"{args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
