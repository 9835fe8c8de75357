"""What a capturing pin makes of the waveforms that reach it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic import capture_kernels
from halo_timing.dynamic.model import Endpoint
from halo_timing.dynamic.run import Waveforms


def required_times(wave: Waveforms, end: Endpoint) -> NDArray[np.int32]:
    """Last toggle plus setup per entry in fs, -1 where nothing moves; adds the pin's energy to the wave's."""
    required = np.empty(len(wave.starts) - 1, np.int32)
    capture_kernels.capture(
        wave.events,
        wave.slew_bits,
        wave.starts,
        len(wave.before),
        wave.before,
        *end.setup_segments,
        np.array(end.pin_fj, np.float32),
        np.array(end.state_fj, np.float32),
        required,
        wave.spent,
    )
    return required
