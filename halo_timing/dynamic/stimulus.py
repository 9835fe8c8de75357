"""What a sampled run draws: the weights of a column, its activations, and how hard the worst is searched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from halo_timing.errors import UsageError

Integers = NDArray[np.int64]

#: Values within this many standard deviations fill the range of a Gaussian weight.
GAUSSIAN_SIGMAS = 3
#: Name of the array in an activation file.
PAIRS_NAME = "pairs"
# How the names of joint histograms end in a calibration file.
_JOINT = ".joint"


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Transitions of a column of equal MACs.

    Parameters
    ----------
    samples
        Transitions per weight value; every value gets the same ones, so that values can be compared.
    seed
        Of everything that is drawn.
    rows
        Elements in a column, or terms of a sum where a MAC adds into a register of its own.
    weights
        Weights of the other elements: ``"gaussian"`` (normal, three standard deviations at the largest
        value, rounded), ``"uniform"``, or a tile of integers, shape ``(rows, columns)``, whose columns are
        drawn.
    pairs
        How often each activation follows each, shape ``(2**bits, 2**bits)`` = before, after, operand values
        ascending; all alike if None. Elements of a column get streams of their own.
    shift
        Tile fact: every weight of the column is a multiple of ``2**shift``, and so is every partial sum.
    search_rounds
        Rounds of the directed search that starts from the slowest samples; 0 for none.
    """

    samples: int = 1024
    seed: int = 1
    rows: int = 64
    weights: Literal["gaussian", "uniform"] | Integers = "gaussian"
    pairs: NDArray[np.float64] | None = None
    shift: int = 0
    search_rounds: int = 12

    def describe(self) -> str:
        """Say in one line what is drawn; results carry it."""
        weights = self.weights if isinstance(self.weights, str) else "from a tile"
        parts = [
            f"columns of {self.rows} rows",
            f"weights {weights}",
            f"activations {'uniform' if self.pairs is None else 'from a histogram of pairs'}",
        ]
        if self.shift:
            parts.append(f"every weight of the column a multiple of {1 << self.shift}")
        search = f" + directed search (at most {self.search_rounds} rounds)" if self.search_rounds else ""
        return f"sampled(n={self.samples}, seed={self.seed}, {', '.join(parts)}){search}: a lower estimate"

    def draw_weights(self, values: NDArray[np.int32], count: int) -> Integers:
        """Draw weights for `count` columns, as positions in `values`, shape ``(rows, count)``.

        Raises
        ------
        UsageError
            If a tile does not fit: its rows, its values, or the tile fact.
        """
        rng = np.random.default_rng([self.seed, 0])
        low, high = int(values[0]), int(values[-1])
        step = 1 << self.shift
        shape = (self.rows, count)
        if not isinstance(self.weights, str):
            chosen = self._tile(low, high, step)[:, rng.integers(0, self.weights.shape[1], count)]
        elif self.weights == "uniform":
            chosen = rng.integers(-(-low // step), high // step + 1, shape) * step
        elif self.weights == "gaussian":
            center = 0.0 if low < 0 else (high + 1) / 2
            drawn = rng.normal(center, (high - center) / GAUSSIAN_SIGMAS, shape)
            chosen = np.rint(drawn / step).astype(np.int64)
            chosen = np.clip(chosen, -(-low // step), high // step) * step
        else:
            raise UsageError(f"weights {self.weights!r}: neither gaussian, nor uniform, nor a tile")
        return np.asarray(chosen, np.int64) - low

    def _tile(self, low: int, high: int, step: int) -> Integers:
        tile = np.asarray(self.weights)
        if tile.ndim != 2 or tile.shape[0] != self.rows or not np.issubdtype(tile.dtype, np.integer):
            raise UsageError(
                f"tile: shape {tile.shape} of {tile.dtype}; "
                f"integers of shape ({self.rows}, columns) are expected"
            )
        if tile.min() < low or tile.max() > high:
            raise UsageError(f"tile: values {tile.min()} to {tile.max()}; the weight holds {low} to {high}")
        if (tile % step).any():
            raise UsageError(f"tile: not every weight is a multiple of {step}; give another shift")
        return tile.astype(np.int64)

    def draw_activations(self, bits: int, signed: bool, streams: tuple[int, ...]) -> Integers:
        """Draw streams of activations.

        Parameters
        ----------
        bits, signed
            Of the operand.
        streams
            Shape ``(length, *rest)``: along the first axis activations follow one another.

        Returns
        -------
        ndarray
            Bit patterns.

        Raises
        ------
        UsageError
            If the histogram of pairs is of another width.
        """
        rng = np.random.default_rng([self.seed, 1])
        count = 1 << bits
        if self.pairs is None:
            return rng.integers(0, count, streams)
        if self.pairs.shape != (count, count):
            raise UsageError(
                f"activation pairs: shape {self.pairs.shape}; {bits} bits need ({count}, {count})"
            )
        # A chain whose first pair follows the histogram; where it says nothing of what follows, any may.
        first = self.pairs.sum(axis=1)
        rows = np.where(first[:, None] > 0, self.pairs, first[None, :] + 1e-300)
        rows = np.cumsum(rows / rows.sum(axis=1, keepdims=True), axis=1)
        result = np.empty(streams, np.int64)
        result[0] = rng.choice(count, streams[1:], p=first / first.sum())
        for time in range(1, streams[0]):
            threshold = rng.random(streams[1:])
            result[time] = _following(rows, result[time - 1], threshold)
        return (result + (count >> 1 if signed else 0)) % count


def _following(rows: NDArray[np.float64], now: Integers, threshold: NDArray[np.float64]) -> Integers:
    """Index of the first entry of ``rows[now]`` above each threshold."""
    result = np.empty_like(now)
    order = np.argsort(now, axis=None, kind="stable")
    flat, level, out = now.ravel()[order], threshold.ravel()[order], result.reshape(-1)
    begins = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    for begin, end in zip(begins, np.r_[begins[1:], len(flat)], strict=True):
        row = rows[flat[begin]]
        out[order[begin:end]] = np.minimum(np.searchsorted(row, level[begin:end], "right"), len(row) - 1)
    return result


def load_pairs(path: Path) -> NDArray[np.float64]:
    """Read how often each activation follows each.

    From an ``.npz`` file with one array ``pairs``, or from a calibration (``halo-timing calibrate``): the
    joint histograms of all its inputs together.

    Raises
    ------
    UsageError
        If it is no such file, not square, or holds a negative count or none at all.
    """
    pairs: NDArray[Any]
    if path.suffix == ".safetensors":
        pairs = _joint_histograms(path)
    else:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                pairs = arrays[PAIRS_NAME]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: not an .npz file with an array {PAIRS_NAME!r} ({error})") from error
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1] or pairs.dtype.kind not in "uif":
        raise UsageError(
            f"{path}: {PAIRS_NAME!r} has shape {pairs.shape} of {pairs.dtype}; square counts are needed"
        )
    if not np.isfinite(pairs).all() or (pairs < 0).any() or not pairs.any():
        raise UsageError(f"{path}: {PAIRS_NAME!r} must hold finite counts, none negative, not all 0")
    return pairs.astype(np.float64)


def _joint_histograms(path: Path) -> NDArray[np.float64]:
    try:
        with safe_open(path, framework="numpy") as stream:
            names = [name for name in stream.keys() if name.endswith(_JOINT)]  # noqa: SIM118 (no mapping)
            counts = [stream.get_tensor(name).astype(np.float64) for name in names]
        total: NDArray[np.float64] = np.sum(counts, axis=0)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"{path}: not a calibration file ({error})") from error
    if not names:
        raise UsageError(f"{path}: holds no joint histogram; make it with `halo-timing calibrate`")
    return total
