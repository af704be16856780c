#!/usr/bin/env python
"""Train the streaming Conformer-transducer.

    train_asr.py RUN --stores STORES --tokenizer bpe.model --recipe recipe.json --minutes 120

RUN holds checkpoint.pt (written every three minutes, resumed from when it exists), log.jsonl
and losses.png. Stop it with SIGINT or SIGTERM at any time, pause it with SIGSTOP; the clock of the
curriculum counts minutes of training, not of the wall. Build STORES with build_features.py.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

# glibc must keep freed memory, or every step pays for page faults (41 s an hour, not 26 s)
ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
    # waiting threads spin shortly, then sleep: endless spinning starves when others take a core
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "20000",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--stores", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument(
        "--recipe", type=Path, default=Path(__file__).parent / "asr_train" / "recipe.json"
    )
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="of training in all, earlier runs counted in"
    )
    parser.add_argument("--dev", default="librispeech-other-dev,speechocean762-dev")
    parser.add_argument(
        "--start-from", type=Path, help="encoder_model.ort of Moonshine base, for a new run"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--busy", action="store_true", help="use all threads whoever else works")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    if any(os.environ.get(k) != v for k, v in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    from streamer.asr.conformer import ConformerConfig
    from tools.asr_train.plots import plot_losses
    from tools.asr_train.trainer import Paths, Trainer

    torch.set_num_threads(args.threads)
    paths = Paths(args.run, args.stores, args.tokenizer, args.recipe, tuple(args.dev.split(",")))
    trainer = Trainer(ConformerConfig(), paths, args.bf16, args.seed, args.start_from)
    size = sum(p.numel() for p in trainer.model.parameters())
    trainer.log("start", parameters=size, torch=torch.__version__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        trainer.run(args.minutes, polite=not args.busy)
    except KeyboardInterrupt:
        trainer.save()
        print("stopped; run the same command to go on")
    plot_losses(args.run / "log.jsonl", args.run / "losses.png")


if __name__ == "__main__":
    main()
