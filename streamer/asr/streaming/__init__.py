"""Streaming recognition with a transducer: states in slots, batches of sessions, searches."""

from streamer.asr.streaming.decoder import Decoder, Stream
from streamer.asr.streaming.endpoint import EndpointRules
from streamer.asr.streaming.engine import Encoded, ModelInfo, StreamingEngine
from streamer.asr.streaming.slots import Lease, SlotPool, StateSpec

__all__ = [
    "Decoder",
    "Encoded",
    "EndpointRules",
    "Lease",
    "ModelInfo",
    "SlotPool",
    "StateSpec",
    "Stream",
    "StreamingEngine",
]
