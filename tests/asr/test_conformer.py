"""Streaming equals full context, alone and in batches; shapes and loading."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from streamer.asr.conformer import (  # noqa: E402
    CHUNKS,
    ConformerConfig,
    ConformerTransducer,
    Encoder,
    EncoderState,
    chunk_mask,
)
from streamer.errors import ModelError  # noqa: E402

SMALL = ConformerConfig(
    vocab=20,
    channels=8,
    dim=32,
    hidden=64,
    heads=4,
    blocks=2,
    left=24,
    joint=16,
    embedding=12,
    rotary=8,
)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model() -> ConformerTransducer:
    torch.manual_seed(3)
    made = ConformerTransducer(SMALL).eval()
    with torch.no_grad():  # trained weights are not tiny: undo the small start
        for block in made.encoder.blocks:
            for branch in (
                block.feed_forward.down,
                block.attention.out,
                block.convolution.out,
            ):
                branch.weight.mul_(10)
    return made


def features(batch: int, frames: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(batch, 8 * frames + 7, 80) * 3 - 9


def run(encoder: Encoder, x: torch.Tensor, chunk: int) -> tuple[torch.Tensor, torch.Tensor]:
    state = encoder.initial(x.size(0))
    outs, ctcs = [], []
    rows = torch.full((x.size(0),), 8 * chunk + 7)
    for begin in range(0, x.size(1) - 7, 8 * chunk):
        out, ctc, lengths, state = encoder.step(x[:, begin : begin + 8 * chunk + 7], rows, state)
        assert lengths.tolist() == [chunk] * x.size(0)
        outs.append(out)
        ctcs.append(ctc)
    return torch.cat(outs, 1), torch.cat(ctcs, 1)


@pytest.mark.parametrize("chunk", CHUNKS)
@torch.inference_mode()
def test_chunks_equal_the_masked_whole(model: ConformerTransducer, chunk: int) -> None:
    x = features(2, 96)
    whole, ctc, lengths = model.encoder(x, torch.tensor([x.size(1)] * 2), chunk)
    parts, ctc_parts = run(model.encoder, x, chunk)
    assert lengths.tolist() == [96, 96]
    assert (whole - parts).abs().max() < TOLERANCE
    assert (ctc - ctc_parts).abs().max() < TOLERANCE


@torch.inference_mode()
def test_left_context_is_limited_and_used(model: ConformerTransducer) -> None:
    x = features(1, 96)
    rows = torch.tensor([x.size(1)])
    y, _, _ = model.encoder(x, rows, 8)
    far = x.clone()
    far[:, :8] += 5.0
    moved, _, _ = model.encoder(far, rows, 8)
    change = (moved - y).abs().amax(dim=2)[0]
    assert change[: 24 + 8].max() > 1e-3
    # three blocks reach 3 * left frames through attention, and the convolutions a little further
    reach = 3 * (24 + 8) + 3 * 8
    assert change[reach:].numel() == 0 or change[reach:].max() < TOLERANCE


@torch.inference_mode()
def test_no_look_ahead_beyond_the_chunk(model: ConformerTransducer) -> None:
    x = features(1, 32)
    later = x.clone()
    later[:, 8 * 16 + 7 :] += 3.0
    rows = torch.tensor([x.size(1)])
    for chunk in (2, 4, 8, 16):
        a, _, _ = model.encoder(x, rows, chunk)
        b, _, _ = model.encoder(later, rows, chunk)
        assert (a - b)[:, :16].abs().max() < 1e-6


@torch.inference_mode()
def test_padding_does_not_leak(model: ConformerTransducer) -> None:
    x = features(2, 40)
    short = 8 * 19 + 7
    y, ctc, lengths = model.encoder(x, torch.tensor([x.size(1), short]), 8)
    assert lengths.tolist() == [40, 19]
    alone, ctc_alone, _ = model.encoder(x[1:, :short], torch.tensor([short]), 8)
    assert (y[1, :19] - alone[0]).abs().max() < TOLERANCE
    assert (ctc[1, :19] - ctc_alone[0]).abs().max() < TOLERANCE


@torch.inference_mode()
def test_members_of_a_batch_start_and_stop_at_random(model: ConformerTransducer) -> None:
    """Slots are taken and given back while others run; nobody notices."""
    generator = torch.Generator().manual_seed(5)
    encoder, chunk = model.encoder, 4
    streams = [
        features(1, 4 * int(torch.randint(2, 9, (1,), generator=generator)), s) for s in range(9)
    ]
    expected = [encoder(x, torch.tensor([x.size(1)]), chunk)[0] for x in streams]
    states = [encoder.initial(1) for _ in streams]
    results: list[list[torch.Tensor]] = [[] for _ in streams]
    at = [0] * len(streams)
    while any(p + 7 < x.size(1) for p, x in zip(at, streams, strict=True)):
        able = [i for i, x in enumerate(streams) if at[i] + 7 < x.size(1)]
        order = torch.randperm(len(able), generator=generator).tolist()
        chosen = [
            able[i] for i in order[: 1 + int(torch.randint(len(able), (1,), generator=generator))]
        ]
        window = torch.cat([streams[i][:, at[i] : at[i] + 8 * chunk + 7] for i in chosen])
        state = EncoderState(
            *(torch.cat(parts) for parts in zip(*(states[i] for i in chosen), strict=True))
        )
        rows = torch.full((len(chosen),), window.size(1))
        out, _, _, state = encoder.step(window, rows, state)
        for place, i in enumerate(chosen):
            states[i] = EncoderState(*(part[place : place + 1] for part in state))
            results[i].append(out[place : place + 1])
            at[i] += 8 * chunk
    for got, want in zip(results, expected, strict=True):
        assert (torch.cat(got, 1) - want).abs().max() < TOLERANCE


@torch.inference_mode()
def test_a_short_last_chunk_equals_the_whole(model: ConformerTransducer) -> None:
    x = features(1, 8 + 5)
    whole, _, _ = model.encoder(x, torch.tensor([x.size(1)]), 8)
    state = model.encoder.initial(1)
    first, _, _, state = model.encoder.step(x[:, :71], torch.tensor([71]), state)
    padded = torch.nn.functional.pad(x[:, 64:], (0, 0, 0, 71 - (x.size(1) - 64)), value=-15.9)
    last, _, lengths, _ = model.encoder.step(padded, torch.tensor([x.size(1) - 64]), state)
    assert lengths.tolist() == [5]
    assert (torch.cat([first, last[:, :5]], 1) - whole).abs().max() < TOLERANCE


def test_mask() -> None:
    mask = chunk_mask(6, 2, 2).int().tolist()
    assert mask == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
    ]


def test_predictor_contexts(model: ConformerTransducer) -> None:
    contexts = model.contexts(torch.tensor([[4, 5, 6]]))
    assert contexts.tolist() == [[[19, 19], [19, 4], [4, 5], [5, 6]]]
    assert model.joiner(torch.zeros(2, 7, 1, 16), torch.zeros(2, 1, 3, 16)).shape == (2, 7, 3, 20)


def test_size_of_the_default_model_and_of_its_state() -> None:
    full = ConformerTransducer(ConformerConfig())
    assert 8e6 <= sum(p.numel() for p in full.parameters()) <= 22.5e6
    state = full.encoder.initial(1)
    assert sum(p.numel() * p.element_size() for p in state) < 2 * 2**20


def test_checkpoints(model: ConformerTransducer, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"config": SMALL.as_dict(), "model": model.state_dict()}, path)
    again = ConformerTransducer.from_checkpoint(str(path))
    x = features(1, 8)
    with torch.inference_mode():
        a, b = (m.encoder(x, torch.tensor([71]), 8)[0] for m in (model, again))
    assert torch.equal(a, b)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="not a checkpoint"):
        ConformerTransducer.from_checkpoint(str(path))
