"""How ONNX Runtime is to run here: quiet, and never with more threads than asked for."""

from __future__ import annotations

import onnxruntime

__all__ = ["session_options"]


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """Options of a session; parallelism comes from several sessions.

    Pools that spin while they wait cost 10 ms at the 99th percentile on a busy machine.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
