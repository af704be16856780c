"""What the speech endpoint of the tests says: one second of a tone, 16 bit at 24 kHz."""

from __future__ import annotations

import numpy as np

TONE = (np.sin(np.arange(24000) * 0.05) * 20000).astype("<i2")
