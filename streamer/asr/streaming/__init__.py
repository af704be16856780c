"""Streaming recognition with a transducer: states in slots, batches of sessions, searches."""

from streamer.asr.streaming.decoder import Decoder, Stream
from streamer.asr.streaming.endpoint import EndpointRules
from streamer.asr.streaming.engine import Encoded, ModelInfo, StreamingEngine
from streamer.asr.streaming.recogniser import RecogniserStream, StreamingRecogniser
from streamer.asr.streaming.slots import Lease, SlotPool, StateSpec

__all__ = [
    "Decoder",
    "Encoded",
    "EndpointRules",
    "Lease",
    "ModelInfo",
    "RecogniserStream",
    "SlotPool",
    "StateSpec",
    "Stream",
    "StreamingEngine",
    "StreamingRecogniser",
]
