"""What weights are expected to be: a named distribution, or those of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.distributions import (
    DISTRIBUTIONS,
    Distribution,
    empirical,
    magnitudes,
    named_distribution,
)
from halo_timing.errors import CheckpointError
from halo_timing.models import model_path
from halo_timing.quantize.checkpoint import Checkpoint
from halo_timing.quantize.selection import reason_left_out

# Weights that share a scale, as everywhere in the quantizer.
_GROUP = 128
_SAMPLE = 1 << 16
_SEED = 1


def sample_weights(source: str, notify: Callable[[str], None]) -> NDArray[np.float32] | None:
    """Draw weights of a checkpoint, over the root mean square of their group; None for a named distribution.

    Raises
    ------
    UsageError, CheckpointError
        If there is no such distribution or checkpoint, or it holds no matrix of a linear layer.
    """
    if source in DISTRIBUTIONS:
        return None
    checkpoint = Checkpoint.open(model_path(source, notify))
    chosen = [(file, entry) for file, entry in checkpoint.entries() if reason_left_out(entry) is None]
    total = sum(entry.shape[0] * (entry.shape[1] // _GROUP) for _, entry in chosen)
    if not total:
        raise CheckpointError(f"{checkpoint.path}: holds no matrix of a linear layer with {_GROUP} inputs")
    rng, parts = np.random.default_rng(_SEED), []
    for file, entry in chosen:
        matrix = file.read_float32(entry.name)
        groups = matrix[:, : matrix.shape[1] // _GROUP * _GROUP].reshape(-1, _GROUP)
        share = min(len(groups), -(-_SAMPLE * len(groups) // (total * _GROUP)))
        drawn = groups[np.sort(rng.choice(len(groups), share, replace=False))].astype(np.float64)
        rms = np.sqrt(np.mean(drawn**2, axis=1, keepdims=True))
        parts.append((drawn / np.where(rms > 0, rms, 1)).astype(np.float32).ravel())
    return np.concatenate(parts)


def distribution_of(name: str, sample: NDArray[np.float32] | None, *, signed: bool) -> Distribution:
    """Distribution of a name, or of a sample; of magnitudes where the operand has no sign."""
    found = named_distribution(name) if sample is None else empirical(sample, name)
    return found if signed else magnitudes(found)
