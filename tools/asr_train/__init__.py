"""Training of the streaming Conformer-transducer: data, augmentation, loss, batches, loop.

Nothing in ``streamer/`` imports this package; ``tools/train_asr.py`` and its neighbours do.
"""
