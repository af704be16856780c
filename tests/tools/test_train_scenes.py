"""Scenes for the speech and music detector: the labels fit what was mixed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("soundfile")
pytest.importorskip("scipy")

from streamer.asr.features import LOG_FLOOR
from tools.event_train.scenes import GROUPS, Sounds, active, montage, scenes

RATE = 16000


def sounds() -> Sounds:
    rng = np.random.default_rng(3)

    def noise(seconds: float, loud: float) -> np.ndarray:
        return (rng.normal(size=int(seconds * RATE)) * loud).astype(np.float32)

    talk = np.concatenate([noise(1.0, 0.1), noise(1.5, 1e-5), noise(1.0, 0.1)])
    return Sounds([talk] * 3, [noise(20.0, 0.1)] * 2, [noise(6.0, 0.05)] * 2)


def test_short_pauses_belong_to_the_sound_and_long_ones_do_not() -> None:
    x = np.full((300, 80), LOG_FLOOR, np.float32)
    for begin, end in ((20, 60), (80, 120), (200, 260)):
        x[begin:end] = -2.0
    loud = active(x)
    assert loud[20:120].all() and loud[200:260].all()
    assert not loud[:20].any() and not loud[121:200].any() and not loud[260:].any()
    assert active(x, pause=100)[20:260].all()


def test_scenes_hold_what_their_labels_say() -> None:
    batches = scenes(sounds(), 24, 320, np.random.default_rng(1))
    x, y = next(batches)
    assert x.shape == (24, 320, 80) and y.shape == (24, 320, 2)
    assert np.isfinite(x).all() and x.min() >= LOG_FLOOR and set(np.unique(y)) == {0.0, 1.0}
    kinds = {(bool(a), bool(b)) for a, b in y.any(axis=1)}
    assert kinds == {(True, False), (False, True), (True, True), (False, False)}


def test_a_montage_is_as_long_as_its_labels_and_true_to_its_groups() -> None:
    samples, truth, groups = montage(sounds(), 1.0, np.random.default_rng(2))
    assert len(samples) == len(truth) * 160 and len(groups) == len(truth)
    assert np.abs(samples).max() < 1.5
    names = np.array(groups)
    for group, (says, plays) in GROUPS.items():
        mine = truth[names == group]
        assert mine[:, 0].any() == bool(says) and mine[:, 1].any() == bool(plays)
    talking = truth[names == "speech"][:, 0]
    assert 0.4 < talking.mean() < 0.8  # 1.5 s of 3.5 are a pause
