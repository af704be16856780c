"""The training loop: steps, averaging, checkpoints, development scores."""

from __future__ import annotations

import copy
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece as spm
import torch
from numpy.typing import NDArray
from torch import nn

from streamer.asr.conformer import ConformerConfig, ConformerTransducer
from tools.asr_train.batching import Batch, Prefetcher, Sampler, pad_batch
from tools.asr_train.governor import Governor
from tools.asr_train.loss import Losses, hybrid_loss
from tools.asr_train.moonshine import initialise
from tools.asr_train.recipe import Recipe, Stage
from tools.asr_train.scoring import ctc_greedy, score, transducer_greedy
from tools.asr_train.store import Store

__all__ = ["Paths", "Trainer", "feature_statistics", "train_step"]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a run reads and writes."""

    run: Path
    stores: Path
    tokenizer: Path
    recipe: Path
    dev: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> Path:
        """The newest state of the run."""
        return self.run / "checkpoint.pt"


def feature_statistics(stores: list[Store], count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and 1/deviation of each mel bin over a sample, ``[80]`` each."""
    rng = np.random.default_rng(0)
    sample = []
    for store in stores:
        for i in rng.integers(0, len(store), count // len(stores)):
            x = store.features(int(i))
            sample.append(np.logaddexp(x, np.float32(-12.5)))
    rows = np.concatenate(sample)
    scale = 1.0 / np.maximum(rows.std(axis=0), 0.5)
    return torch.from_numpy(rows.mean(axis=0)).float(), torch.from_numpy(scale).float()


def train_step(
    model: ConformerTransducer,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    stage: Stage,
    recipe: Recipe,
    chunk: int,
    autocast: bool = False,
) -> tuple[Losses, float]:
    """One update; returns the losses and the gradient's norm."""
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = hybrid_loss(
            model,
            batch.features,
            batch.rows,
            batch.targets,
            batch.labels,
            chunk,
            stage.ctc_weight,
            stage.transducer_weight,
            recipe.max_cells,
            recipe.fast_emit,
            batch.teacher,
            batch.taught,
            stage.teacher_weight,
            stage.lower,
            stage.dropout,
        )
    losses.total.backward()  # type: ignore[no-untyped-call, unused-ignore]
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), recipe.clip))
    if np.isfinite(norm):
        optimiser.step()
    return losses, norm


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is a number; -1 where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else -1.0


class Trainer:
    """Owns the model, its average, the optimiser and the clock of one run."""

    def __init__(
        self,
        config: ConformerConfig,
        paths: Paths,
        autocast: bool,
        seed: int,
        start_from: Path | None = None,
    ) -> None:
        self.paths, self.autocast, self.seed = paths, autocast, seed
        self.recipe = Recipe.read(paths.recipe)
        self._recipe_time = paths.recipe.stat().st_mtime
        torch.manual_seed(seed)
        self.model = ConformerTransducer(config)
        if start_from is not None and not paths.checkpoint.exists():
            initialise(self.model, start_from)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.step = 0
        self.minutes = 0.0
        self.audio_hours = 0.0
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, p in self.model.named_parameters():
            block = re.search(r"blocks\.(\d+)\.(attention|feed_forward)", name)
            inherited = block is not None and int(block[1]) < config.blocks
            groups.setdefault((inherited, p.ndim > 1), []).append(p)
        self.optimiser = torch.optim.AdamW(
            [
                {
                    "params": params,
                    "weight_decay": self.recipe.weight_decay if decayed else 0.0,
                    "inherited": inherited,
                }
                for (inherited, decayed), params in groups.items()
            ],
            lr=self.recipe.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        paths.run.mkdir(parents=True, exist_ok=True)
        if paths.checkpoint.exists():
            self._load()
        elif start_from is None or start_from.suffix != ".pt":  # a checkpoint has its own
            first = [
                Store.open(paths.stores / n)
                for n in self.recipe.stages[-1].sources
                if (paths.stores / n).exists()
            ]
            mean, scale = feature_statistics(first)
            for m in (self.model, self.average):
                m.encoder.feature_mean.copy_(mean)
                m.encoder.feature_scale.copy_(scale)
        self._rng = np.random.default_rng((seed, self.step))
        self._tokenizer = spm.SentencePieceProcessor(model_file=str(paths.tokenizer))

    def _load(self) -> None:
        saved = torch.load(self.paths.checkpoint, map_location="cpu", weights_only=True)
        self.model.load_state_dict(saved["live"])
        self.average.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.minutes, self.audio_hours = (
            saved["step"],
            saved["minutes"],
            saved["audio_hours"],
        )

    def save(self) -> None:
        """Write the checkpoint so that a crash leaves the old or the new one, never half."""
        state: dict[str, Any] = {
            "config": self.model.config.as_dict(),
            "model": self.average.state_dict(),
            "live": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "audio_hours": self.audio_hours,
        }
        part = self.paths.checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.paths.checkpoint)

    def log(self, kind: str, **values: Any) -> None:
        """One JSON line; also to the terminal."""
        line = {
            "kind": kind,
            "step": self.step,
            "minutes": round(self.minutes, 2),
            "audio_h": round(self.audio_hours, 2),
        }
        line.update({k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()})
        with (self.paths.run / "log.jsonl").open("a", encoding="utf-8") as sink:
            sink.write(json.dumps(line) + "\n")
        print(" ".join(f"{k}={v}" for k, v in line.items()), flush=True)

    def _average_step(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            mine, theirs = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(mine, theirs, 1.0 - decay)

    def _refresh(self) -> bool:
        """Read the recipe again if it changed."""
        stamp = self.paths.recipe.stat().st_mtime
        if stamp == self._recipe_time:
            return False
        self._recipe_time = stamp
        try:
            self.recipe = Recipe.read(self.paths.recipe)
        except (ValueError, TypeError, KeyError) as error:
            self.log("recipe-error", message=str(error))
            return False
        return True

    def run(
        self,
        until_minutes: float,
        checkpoint_minutes: float = 3.0,
        dev_every: int = 2,
        polite: bool = True,
    ) -> None:
        """Train until the run's clock shows ``until_minutes``; ``polite`` gives way to others."""
        stage = self.recipe.stage_at(self.audio_hours)
        batches = self._open(stage)
        shown = saved = time.monotonic()
        spent, checkpoints, window = 0.0, 0, []
        governor = Governor(torch.get_num_threads())
        while self.minutes < until_minutes:
            began = time.monotonic()
            for group in self.optimiser.param_groups:
                rate = self.recipe.rate_at(self.step, self.minutes)
                group["lr"] = rate * (self.recipe.inherited_rate if group["inherited"] else 1.0)
            batch = next(batches)
            names = list(stage.chunks)
            share = np.asarray([stage.chunks[n] for n in names])
            chunk = int(names[int(self._rng.choice(len(names), p=share / share.sum()))])
            losses, norm = train_step(
                self.model, self.optimiser, batch, stage, self.recipe, chunk, self.autocast
            )
            self.step += 1
            self._average_step()
            if polite:
                governor.update()
            # a pause by SIGSTOP must not count as training
            spent = min(time.monotonic() - began, 60.0)
            self.minutes += spent / 60
            self.audio_hours += batch.seconds / 3600
            window.append(
                (losses.ctc, losses.transducer, norm, batch.seconds, spent, losses.teacher)
            )
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                table = np.asarray(window)
                self.log(
                    "train",
                    ctc=float(table[:, 0].mean()),
                    rnnt=_mean(table[:, 1]),
                    teacher=_mean(table[:, 5]),
                    norm=float(np.median(table[:, 2])),
                    lr=self.recipe.rate_at(self.step, self.minutes) * 1000,
                    speed=float(table[:, 3].sum() / table[:, 4].sum()),
                    stage=stage.name,
                    threads=governor.threads,
                )
                window = []
            if time.monotonic() - saved > checkpoint_minutes * 60:
                self.save()
                checkpoints += 1
                if checkpoints % dev_every == 0:
                    self.development()
                saved = time.monotonic()
                changed = self._refresh()
                following = self.recipe.stage_at(self.audio_hours)
                if changed or following != stage:
                    batches.close()
                    stage = following
                    batches = self._open(stage)
        batches.close()
        self.save()
        self.development()

    def _open(self, stage: Stage) -> Prefetcher:
        sampler = Sampler(
            self.paths.stores, self.paths.tokenizer, stage, self.recipe.noise, self.seed + self.step
        )
        self.log("stage", name=stage.name, hours=sampler.hours)
        return Prefetcher(iter(sampler))

    def development(self, chunk: int = 8) -> None:
        """Word error rates of the averaged weights on the development stores."""
        self.average.eval()
        for name in self.paths.dev:
            if not (self.paths.stores / name).exists():
                continue
            store = Store.open(self.paths.stores / name)
            order = np.argsort(store.rows)
            refs, by_ctc, by_rnnt = [], [], []
            for begin in range(0, len(order), 25):
                group = [int(i) for i in order[begin : begin + 25]]
                tail = np.full((64, 80), store.features(group[0]).min(), np.float32)
                batch = pad_batch(
                    [np.concatenate([store.features(i), tail]) for i in group], [[0]] * len(group)
                )
                with torch.inference_mode():
                    encoded, log_probs, lengths = self.average.encoder(
                        batch.features, batch.rows, chunk
                    )
                    by_ctc += ctc_greedy(log_probs, lengths)
                    by_rnnt += transducer_greedy(self.average, encoded, lengths, max_symbols=2)
                refs += [store.texts[i].split() for i in group]
            words = [
                [self._tokenizer.decode(h).split() for h in hyps] for hyps in (by_ctc, by_rnnt)
            ]
            middle = len(refs) // 2
            self.log(
                "dev",
                set=name,
                ctc_wer=score(refs, words[0], 2).rate,
                rnnt_wer=score(refs, words[1], 2).rate,
                reference=" ".join(refs[middle]),
                ctc=" ".join(words[0][middle]),
                rnnt=" ".join(words[1][middle]),
            )
