"""Energy of what is not a MAC: documented constants, and where they come from.

Measured or published for 45 nm at 0.9 V; other supplies scale by the square of the voltage. They are the same
for every scheme that is compared, and say nothing about a particular chip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9: energy
#: of a 64-bit access to caches of these sizes, 45 nm, 0.9 V.
SRAM_KIB = (8.0, 32.0, 1024.0)
SRAM_ACCESS_PJ = (10.0, 20.0, 100.0)
_ACCESS_BYTES, _SRAM_VDD_V = 8, 0.9

#: M. O'Connor et al., "Fine-grained DRAM", MICRO 2017: an HBM2 access takes 3.92 pJ a bit, with interface.
DRAM_PJ_PER_BYTE = 3.92 * 8
#: JEDEC JESD235A: one HBM2 stack, 1024 pins at 2 Gbit/s.
DRAM_GB_PER_S = 256.0
#: W. Kim et al., "System level analysis of fast, per-core DVFS using on-chip switching regulators", HPCA
#: 2008: regulators on the chip change the supply within some tens to a hundred nanoseconds.
TRANSITION_NS = 100.0


def sram_pj_per_byte(bank_kib: float, vdd_v: float) -> float:
    """Energy of a byte read from or written to a bank; between the published sizes log by log.

    Parameters
    ----------
    bank_kib
        Size of one bank; banks below 8 KiB count as 8 KiB, larger ones than 1 MiB grow with the square root.
    vdd_v
        Supply.
    """
    size = math.log(max(bank_kib, SRAM_KIB[0]))
    access = math.exp(float(np.interp(size, np.log(SRAM_KIB), np.log(SRAM_ACCESS_PJ))))
    if bank_kib > SRAM_KIB[-1]:
        access *= math.sqrt(bank_kib / SRAM_KIB[-1])
    return access / _ACCESS_BYTES * (vdd_v / _SRAM_VDD_V) ** 2


@dataclass(frozen=True)
class Memory:
    """Memory around the array.

    Parameters
    ----------
    bandwidth_gb_s
        Bandwidth of the main memory, 10^9 bytes a second.
    buffer_kib
        Size of each of the buffers of activations, weights and sums; they have a bank for each row or column.
    transition_ns, transition_nj
        Time and energy of a change from one level to another.
    """

    bandwidth_gb_s: float = DRAM_GB_PER_S
    buffer_kib: float = 1024.0
    transition_ns: float = TRANSITION_NS
    transition_nj: float = 0.0
