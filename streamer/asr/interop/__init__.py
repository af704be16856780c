"""Streaming models in the layouts of sherpa-onnx: ours and public ones."""

from streamer.asr.interop.load import load_engine

__all__ = ["load_engine"]
