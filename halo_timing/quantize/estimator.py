"""What all quantizers have in common; the conventions are scikit-learn's."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError, HaloTimingError, UsageError
from halo_timing.quantize.calibration import LayerStatistics
from halo_timing.quantize.tensor import QuantizedTensor

#: What quantizers take beside the weight.
Statistics: TypeAlias = LayerStatistics | NDArray[np.floating] | None

_Quantizer = TypeVar("_Quantizer", bound="Quantizer")


class NotFittedError(HaloTimingError):
    """A quantizer was asked for a result before :meth:`Quantizer.fit`."""


class Quantizer(ABC):
    """A way to turn one weight matrix into codes.

    Constructors only store their arguments; :meth:`fit` checks them and computes; what it learned has names
    that end in ``_``.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor arguments by name; `deep` is for scikit-learn's sake, nothing is nested."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: _Quantizer, **params: Any) -> _Quantizer:
        """Change constructor arguments.

        Raises
        ------
        UsageError
            If there is no parameter of that name.
        """
        known = inspect.signature(type(self)).parameters
        for name, value in params.items():
            if name not in known:
                raise UsageError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    @abstractmethod
    def fit(self: _Quantizer, weight: NDArray[np.floating], statistics: Statistics = None) -> _Quantizer:
        """Learn scales (and levels) for `weight`.

        Parameters
        ----------
        weight
            Weight of a linear layer, shape ``(out, in)``.
        statistics
            What calibration tells of the layer. Or how much the squared error of a weight counts: per input,
            shape ``(in,)``, such as the mean square of the input; or per weight, shape ``(out, in)``. None
            where all count alike.

        Raises
        ------
        CheckpointError
            If the weight is not a matrix or holds NaN or infinities.
        UsageError
            If a parameter or the statistics are not usable.
        """

    @abstractmethod
    def quantize(self) -> QuantizedTensor:
        """Codes of the weight given to :meth:`fit`.

        Raises
        ------
        NotFittedError
            If :meth:`fit` has not been called.
        """

    def fit_quantize(self, weight: NDArray[np.floating], statistics: Statistics = None) -> QuantizedTensor:
        """:meth:`fit`, then :meth:`quantize`."""
        return self.fit(weight, statistics).quantize()

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(f"{type(self).__name__} is not fitted; call fit(weight) first")


def check_weight(weight: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the weight as float32, refused unless it is a finite matrix.

    Raises
    ------
    CheckpointError
        If it is not 2-D, is empty, or holds NaN or infinities.
    """
    weight = np.asarray(weight)
    if weight.ndim != 2 or weight.size == 0:
        raise CheckpointError(f"shape {weight.shape} is not that of a weight matrix (out, in)")
    result = np.ascontiguousarray(weight, np.float32)
    # The sum is finite unless an element is not (or the sum overflows, which the second look settles).
    if not np.isfinite(result.sum(dtype=np.float64)):
        bad = np.argwhere(~np.isfinite(result))
        if len(bad):
            row, column = bad[0]
            raise CheckpointError(
                f"{len(bad)} of {result.size} weights are NaN or infinite, first at [{row}, {column}]; "
                "repair the checkpoint, or leave this tensor out"
            )
    return result


@dataclass(frozen=True)
class Weighing:
    """How much the squared error of each weight counts.

    Parameters
    ----------
    inputs
        Importance by input, shape ``(in,)``, or by weight, shape ``(out, in)``, the largest 1; None where all
        count alike.
    outputs
        Importance by output, shape ``(out,)``, the largest 1; None where all count alike.
    unit
        What a squared error of importance 1 is worth: with statistics of inputs and gradients, weighted
        errors times this predict what the error adds to the loss of a token (to second order, with inputs
        and gradients taken as independent, and all errors too).
    statistics
        As given, checked.
    """

    inputs: NDArray[np.float32] | None
    outputs: NDArray[np.float32] | None
    unit: float
    statistics: LayerStatistics

    @classmethod
    def of(cls, given: Statistics, shape: tuple[int, int]) -> Weighing:
        """Check statistics, and see what they say.

        Raises
        ------
        UsageError
            If they do not belong to a weight of this shape, or are not usable.
        """
        if given is None or not isinstance(given, LayerStatistics):
            return cls(check_importance(given, shape), None, 1.0, LayerStatistics())
        statistics = given.check(shape)
        inputs = statistics.mean_square
        if inputs is None and statistics.hessian is not None:
            inputs = statistics.hessian.diagonal()
        outputs = statistics.gradient_square
        # A layer that no token has reached, or that the loss does not depend on: all its weights count alike.
        inputs = inputs if inputs is not None and inputs.max() > 0 else None
        outputs = outputs if outputs is not None and outputs.max() > 0 else None
        unit = 0.5
        for part in (inputs, outputs):
            unit *= 1.0 if part is None else float(part.max())
        return cls(
            None if inputs is None else (inputs / inputs.max()).astype(np.float32),
            None if outputs is None else (outputs / outputs.max()).astype(np.float32),
            unit,
            statistics,
        )


def check_importance(
    importance: NDArray[np.floating] | None, shape: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Return the importance as float32, divided by its largest value.

    Raises
    ------
    UsageError
        If it fits neither the inputs nor the weight, or is negative, NaN, infinite or all zero.
    """
    if importance is None:
        return None
    result = np.asarray(importance, np.float32)
    if result.shape not in ((shape[1],), shape):
        raise UsageError(f"importance has shape {result.shape}, expected ({shape[1]},) or {shape}")
    largest = float(result.max())
    if not np.isfinite(result).all() or result.min() < 0 or largest == 0:
        raise UsageError("importance must be finite, nowhere negative, and not 0 throughout")
    scaled: NDArray[np.float32] = result / np.float32(largest)
    return scaled


def check_tile(tile: int | tuple[int, int]) -> tuple[int, int]:
    """Return outputs and inputs of a tile; one number stands for a square one.

    Raises
    ------
    UsageError
        If a side is not a positive integer.
    """
    sides = (tile, tile) if isinstance(tile, int) else tuple(tile)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UsageError(f"tile {tile!r}: give one or two positive numbers, such as 128 or (128, 64)")
    return sides[0], sides[1]
