"""The floating-point MAC of ``rtl/fp_mac.v``: its interface, and what it computes, in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.interface import Interface
from halo_timing.resources import rtl_dir
from halo_timing.rtl import Mac

CANONICAL_NAN = 0x7FC00000
#: Edges from an activation to the adder: its register, its unpacked form, the product.
EDGES_BEFORE_ADDER = 3
STAGES = range(1, 6)
#: The fastest: a baseline is not to be held back.
DEFAULT_STAGES = 5


def float_mac(stages: int = DEFAULT_STAGES, multiplier: str = "dadda") -> Mac:
    """MAC with an adder of `stages` stages."""
    return Mac(
        name=f"fp16_{stages}",
        description=f"FP16 operands, FP32 sums, adder in {stages} stages",
        files=tuple(sorted(rtl_dir().glob("*.v"))),
        top="fp_mac",
        parameters={"ADD_STAGES": stages, "MULTIPLIER": multiplier},
        interface=Interface(
            weight="weight_in",
            activation="activation_in",
            partial_sum="psum_in",
            result="psum_out",
            clock="clk",
            load={"rst_n": 1, "weight_load": 1},
            hold={"rst_n": 1, "weight_load": 0},
            chains={"activation_out": "activation_in", "psum_out": "psum_in"},
            signed=False,
        ),
        recipes=("delay", "speed"),
        conventional=True,
    )


def latency(stages: int) -> int:
    """Clock edges from an activation to its sum."""
    return EDGES_BEFORE_ADDER + stages


def multiply_add(
    weight: NDArray[np.integer], activation: NDArray[np.integer], partial_sum: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Bits of ``partial_sum + weight * activation``, rounded once to single precision.

    The product of two half-precision numbers has 22 bits of significand and is exact in single precision, so
    that numpy's product and sum round exactly where the MAC does.

    Parameters
    ----------
    weight, activation
        Bit patterns of half-precision numbers.
    partial_sum
        Bit patterns of single-precision numbers.

    Returns
    -------
    ndarray of int64
        Bit patterns; every NaN is :data:`CANONICAL_NAN`.
    """
    w, x = (
        np.asarray(bits).astype(np.uint16).view(np.float16).astype(np.float32)
        for bits in (weight, activation)
    )
    c = np.asarray(partial_sum).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        total = w * x + c
    bits = total.view(np.uint32).astype(np.int64)
    return np.where(np.isnan(total), CANONICAL_NAN, bits)
