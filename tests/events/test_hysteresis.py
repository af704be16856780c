"""Starts and ends out of a wavering value."""

from __future__ import annotations

import pytest

from streamer.events.hysteresis import Change, Hysteresis


def run(state: Hysteresis, values: list[float], step: float = 0.1) -> list[tuple[str, float]]:
    said = [state.push(v, i * step, (i + 1) * step) for i, v in enumerate(values)]
    return [
        (c.state, pytest.approx(c.start if c.end is None else c.end)) for c in said if c is not None
    ]


def test_between_the_thresholds_nothing_changes() -> None:
    assert run(Hysteresis(0.5, 0.3), [0.4, 0.5, 0.4, 0.31, 0.29, 0.4]) == [
        ("start", 0.1),
        ("end", 0.4),
    ]


def test_short_peaks_and_short_pauses_do_not_count() -> None:
    state = Hysteresis(0.5, 0.3, min_on_s=0.2, min_off_s=0.3)
    values = [0.9, 0.0, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0]
    assert run(state, values) == [("start", 0.2), ("end", 0.7)]


def test_the_peak_is_of_the_event_alone() -> None:
    state = Hysteresis(0.5, 0.3, min_on_s=0.2)
    run(state, [0.95, 0.1, 0.6, 0.7])
    assert state.active and state.began == pytest.approx(0.2)
    change = state.close(0.4)
    assert change is not None and (change.start, change.end, change.peak) == (
        pytest.approx(0.2),
        0.4,
        0.7,
    )


def test_the_end_of_the_stream_ends_it() -> None:
    state = Hysteresis(0.5, 0.3, min_off_s=5)
    run(state, [0.9, 0.1])
    assert state.close(0.2) == Change("end", 0.0, 0.1, 0.9)
    assert state.close(0.3) is None
