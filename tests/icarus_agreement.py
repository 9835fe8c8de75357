"""Comparison of the ``icarus`` semantics with Icarus Verilog, toggle by toggle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.icarus_bench import Annotation, simulate_walks_in_icarus
from halo_timing.dynamic.walks import Toggles, Walk, simulate_walks
from halo_timing.pdk.verilog_models import unconditional_sdf
from halo_timing.sdf import Sdf, parse_sdf
from halo_timing.tools.icarus import find_icarus
from tests.dynamic_support import Bench

Delays = Literal["conditional", "annotated", "annotated plain"]


@dataclass(frozen=True)
class Agreement:
    """What was compared.

    Parameters
    ----------
    nets, transitions, toggles
        Nets watched, transitions simulated, toggles that Icarus found.
    different_toggles
        Toggles that only one of the two has: another time of the same toggle counts twice.
    different_settles, different_counts
        (net, transition) pairs whose last toggle or number of toggles differ.
    """

    nets: int
    transitions: int
    toggles: int
    different_toggles: int
    different_settles: int
    different_counts: int

    def __add__(self, other: Agreement) -> Agreement:
        """Both, of one netlist."""
        return Agreement(
            self.nets,
            self.transitions + other.transitions,
            self.toggles + other.toggles,
            self.different_toggles + other.different_toggles,
            self.different_settles + other.different_settles,
            self.different_counts + other.different_counts,
        )


def compare_with_icarus(
    bench: Bench, walks: Sequence[Walk], folder: Path, delays: Delays = "conditional"
) -> Agreement:
    """Simulate walks here and in Icarus, with the same delays.

    Parameters
    ----------
    delays
        ``"conditional"``: those of the SDF, in cell models of each instance. ``"annotated"``: the largest of
        each path, by ``$sdf_annotate``. ``"annotated plain"``: the same, with cells that are expressions.
    """
    if delays == "conditional":
        return compare_delays(bench, walks, folder, bench.sdf, bench.sdf)
    text = bench.sdf_path.read_text()
    unconditional = parse_sdf(unconditional_sdf(text), "unconditional SDF")
    return compare_delays(
        bench, walks, folder, unconditional, Annotation(text, plain_cells=delays == "annotated plain")
    )


def compare_delays(
    bench: Bench, walks: Sequence[Walk], folder: Path, sdf: Sdf, given: Sdf | Annotation
) -> Agreement:
    """Simulate walks here with the delays of `sdf`, and in Icarus with those given to it."""
    model = bench.model(sdf)
    nets = [source.net for source in model.sources] + [gate.net for gate in model.gates]
    ours, _ = simulate_walks(model, bench.nets, walks, "icarus")
    theirs = simulate_walks_in_icarus(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        given,
        walks,
        nets,
        model.longest_fs,
        find_icarus(),
        folder / "icarus.log",
    )
    transitions = sum(walk.transitions for walk in walks)
    return _compare(ours, theirs, len(nets), transitions)


def _compare(ours: Toggles, theirs: Toggles, nets: int, transitions: int) -> Agreement:
    if ours == theirs:
        return Agreement(nets, transitions, len(theirs), 0, 0, 0)
    span = 1 + max(int(side.time_fs.max(initial=0)) for side in (ours, theirs))
    keys = [(side.net * transitions + side.transition) * span + side.time_fs for side in (ours, theirs)]
    settles, counts = zip(*(_per_pair(key // span, key % span) for key in keys), strict=True)
    return Agreement(
        nets,
        transitions,
        len(theirs),
        len(np.setxor1d(*keys)),
        len({pair for pair, _ in settles[0] ^ settles[1]}),
        len({pair for pair, _ in counts[0] ^ counts[1]}),
    )


def _per_pair(
    pair: NDArray[np.int64], time: NDArray[np.int64]
) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Last toggle, and number of toggles, of each pair of net and transition; pairs ascend."""
    found, first, count = np.unique(pair, return_index=True, return_counts=True)
    last = time[first + count - 1]
    return set(zip(found.tolist(), last.tolist(), strict=True)), set(
        zip(found.tolist(), count.tolist(), strict=True)
    )
