"""The loop: resume, recipe re-read, and the overfitting run that guards the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for name in ("numba", "sentencepiece", "soundfile", "scipy"):
    pytest.importorskip(name)

from streamer.asr.conformer import ConformerConfig, ConformerTransducer  # noqa: E402
from tools.asr_train.batching import pad_batch  # noqa: E402
from tools.asr_train.recipe import Recipe, Stage  # noqa: E402
from tools.asr_train.scoring import ctc_greedy, edit_distance, score, transducer_greedy  # noqa: E402
from tools.asr_train.trainer import Paths, Trainer, train_step  # noqa: E402
from tools.build_features import train_tokenizer  # noqa: E402

TINY = ConformerConfig(
    vocab=41,
    channels=4,
    dim=16,
    hidden=32,
    heads=2,
    blocks=1,
    left=16,
    joint=16,
    embedding=8,
    rotary=8,
)


def speech_like(rng: np.random.Generator, tokens: list[int], each: int = 24) -> np.ndarray:
    """Every token is a band of its own for ``each`` frames: learnable like easy speech."""
    x = np.full((len(tokens) * each + 24, 80), -14.0, np.float32)
    for i, token in enumerate(tokens):
        centre = 2 + (token * 37) % 76
        x[i * each : i * each + each - 6, centre - 2 : centre + 3] = -3.0
    return (x + rng.normal(0, 0.5, x.shape)).astype(np.float32)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    rng = np.random.default_rng(0)
    store = tmp_path / "stores" / "tiny"
    store.mkdir(parents=True)
    words = "sun moon star sky rain wind snow".split()
    train_tokenizer([" ".join(words)] * 30, tmp_path / "bpe", 40)
    position = 0
    with (store / "feats.f16").open("wb") as data, (store / "index.tsv").open("w") as index:
        for i in range(30):
            chosen = [int(w) for w in rng.integers(0, len(words), 3)]
            x = speech_like(rng, chosen)
            data.write(x.astype(np.float16).tobytes())
            text = " ".join(words[w] for w in chosen)
            index.write(f"u{i}\t{position}\t{len(x)}\ts\t{text}\n")
            position += len(x)
    recipe = tmp_path / "recipe.json"
    stages = [
        {
            "name": "all",
            "until_hours": 1,
            "sources": {"tiny": 1},
            "batch_seconds": 6,
            "transducer_weight": 0.5,
        }
    ]
    recipe.write_text(json.dumps({"stages": stages}))
    bpe = tmp_path / "bpe" / "bpe.model"
    return Paths(tmp_path / "run", tmp_path / "stores", bpe, recipe, ("tiny",))


def test_a_run_can_be_stopped_and_resumed(paths: Paths) -> None:
    first = Trainer(TINY, paths, autocast=False, seed=1)
    first.run(0.02, checkpoint_minutes=0.0)
    assert first.step > 0 and paths.checkpoint.exists()
    second = Trainer(TINY, paths, autocast=False, seed=1)
    assert second.step == first.step and second.minutes == first.minutes
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert second.optimiser.state_dict()["state"]
    second.run(first.minutes + 0.01)
    assert second.step > first.step
    kinds = {
        json.loads(line)["kind"] for line in (paths.run / "log.jsonl").read_text().splitlines()
    }
    assert {"stage", "dev"} <= kinds
    again = ConformerTransducer.from_checkpoint(str(paths.checkpoint))
    assert torch.equal(again.encoder.norm.weight, second.average.encoder.norm.weight)


def test_a_broken_recipe_keeps_the_run_alive(paths: Paths) -> None:
    trainer = Trainer(TINY, paths, autocast=False, seed=1)
    paths.recipe.write_text("{not json")
    trainer._recipe_time = 0.0
    assert not trainer._refresh()
    assert trainer.recipe.stages[0].name == "all"


def test_edit_distance_and_scores() -> None:
    assert edit_distance("kitten", "sitting") == 3  # type: ignore[arg-type]
    assert edit_distance([], ["a", "b"]) == 2
    result = score([["a", "b"], ["c", "d"]], [["a", "b"], ["c", "x"]])
    assert result.rate == 25.0 and result.low <= 25.0 <= result.high
    assert result.errors == 1 and result.units == 4


def test_ctc_greedy_merges_repeats_and_drops_blanks() -> None:
    path = [2, 0, 0, 2, 0, 1, 1, 2]
    log_probs = torch.nn.functional.one_hot(torch.tensor([path]), 3).float()
    assert ctc_greedy(log_probs, torch.tensor([8])) == [[0, 0, 1]]
    assert ctc_greedy(log_probs, torch.tensor([3])) == [[0]]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_recipe_overfits_48_utterances() -> None:
    """Initialisation decides whether anything is learnt: CTC falls below 1.0 in 120 steps.

    With a LayerNorm at the end of every block and default initialisation the same run
    stands at 4.2 per token.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = ConformerConfig()
    model = ConformerTransducer(config)
    targets = [[int(t) for t in rng.integers(1, 60, int(rng.integers(4, 9)))] for _ in range(48)]
    utterances = [speech_like(rng, t) for t in targets]
    stage = Stage("overfit", 1, {}, ctc_weight=1.0, transducer_weight=0.0)
    recipe = Recipe((stage,), learning_rate=1e-3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    batch = pad_batch(utterances, targets)
    for _ in range(120):
        losses, _ = train_step(model, optimiser, batch, stage, recipe, chunk=8)
    assert losses.ctc < 1.0
    stage = Stage("hybrid", 1, {}, ctc_weight=0.3, transducer_weight=0.7)
    for _ in range(60):
        losses, _ = train_step(model, optimiser, batch, stage, recipe, chunk=8)
    assert losses.transducer < 1.0
    model.eval()
    with torch.inference_mode():
        encoded, _, lengths = model.encoder(batch.features, batch.rows, 8)
        found = transducer_greedy(model, encoded, lengths)
    wrong = sum(edit_distance(a, b) for a, b in zip(found, targets, strict=True))  # type: ignore[arg-type]
    assert wrong < 0.1 * sum(len(t) for t in targets)
