"""The sound bound for each weight: OpenSTA with case analysis, one value held at a time.

The MAC is judged as one element among equals: what leaves a chained output (activation, partial sum) enters
the next element's input, so that input arrives when the output is stable. Delays are written once to SDF and
held fixed over the sweep, so that every value, every OpenSTA version and the dynamic simulation use the same
arcs.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import FlowError
from halo_timing.files import atomic_path, write_text
from halo_timing.held_weight import HeldWeight
from halo_timing.interface import Interface
from halo_timing.merged_arcs import raise_merged_arcs
from halo_timing.netlist import Netlist
from halo_timing.resources import flows_dir
from halo_timing.tools.opensta import OpenSta
from halo_timing.tools.quoting import tcl_quote
from halo_timing.tools.staging import liberty_names, stage_files, stage_liberty

# Any period serves: the period that a path allows is its arrival plus its setup time.
_PERIOD_PS = 10_000
_CASES_PER_RUN = 64
_COMBINATIONAL_STAGE = "output"


@dataclass(frozen=True)
class TimingConditions:
    """What surrounds the MAC: corner files and constraints.

    Parameters
    ----------
    liberty
        Liberty files of the corner.
    output_load_ff, input_slew_ps
        Load of each output and transition at each input.
    wire_load
        ``"ideal"``, or the name of a wire-load model of the library.
    """

    liberty: tuple[Path, ...]
    output_load_ff: float
    input_slew_ps: float
    wire_load: str = "ideal"


@dataclass(frozen=True)
class TimingPath:
    """The slowest path into one group of endpoints.

    Parameters
    ----------
    startpoint, endpoint
        Names of the instance or port where it begins and ends.
    launch_ps, arrival_ps, setup_ps
        When the data leaves the startpoint's clock-to-output arc (0 from a port), when it reaches the
        endpoint, and how long before the edge it must.
    points
        (pin, cell, arrival_ps) of every pin on the way.
    """

    startpoint: str
    endpoint: str
    launch_ps: float
    arrival_ps: float
    setup_ps: float
    points: tuple[tuple[str, str, float], ...]

    @property
    def period_ps(self) -> float:
        """Shortest clock period that the path allows."""
        return self.arrival_ps + self.setup_ps


@dataclass(frozen=True)
class Sweep:
    """Bounds of all weights.

    Parameters
    ----------
    values
        Operand values, ascending, shape ``(n,)``.
    stages
        Names of the groups of endpoints.
    paths
        ``paths[i][k]`` is the slowest path of value ``values[i]`` into stage ``stages[k]``, or None where
        nothing can switch.
    """

    values: NDArray[np.int32]
    stages: tuple[str, ...]
    paths: tuple[tuple[TimingPath | None, ...], ...]

    @property
    def stage_bound_ps(self) -> NDArray[np.float64]:
        """Period per value and stage, shape ``(n, stages)``; 0 where nothing can switch."""
        return np.array([[path.period_ps if path else 0.0 for path in row] for row in self.paths])

    @property
    def stage_logic_ps(self) -> NDArray[np.float64]:
        """What is left of it without launch and setup, shape ``(n, stages)``: the delay of the logic."""
        return np.array(
            [[path.arrival_ps - path.launch_ps if path else 0.0 for path in row] for row in self.paths]
        )

    @property
    def bound_ps(self) -> NDArray[np.float64]:
        """Period per value, the largest over the stages, shape ``(n,)``."""
        return np.asarray(self.stage_bound_ps.max(axis=1))

    def worst_path(self, index: int) -> TimingPath | None:
        """Slowest path of value ``values[index]`` over all stages."""
        paths = [path for path in self.paths[index] if path is not None]
        return max(paths, key=lambda path: path.period_ps, default=None)


def write_delays(
    netlist: Netlist,
    interface: Interface,
    conditions: TimingConditions,
    sta: OpenSta,
    sdf_path: Path,
    log_path: Path,
) -> dict[str, float]:
    """Write the netlist's delays as SDF; return when each chained input arrives.

    Returns
    -------
    dict
        Arrival in ps per input port that an equal element's output feeds.

    Raises
    ------
    ToolError
        If OpenSTA fails.
    """
    outputs = _list(
        _pair(output, _list(map(tcl_quote, _bits(netlist, output)))) for output in interface.chains
    )
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        _stage(folder, netlist, conditions)
        script = (
            f"{_settings(netlist, interface, conditions, {})}set job(sdf) delays.sdf\n"
            f"set job(outputs) {outputs}\nsource timing_delays.tcl"
        )
        text = sta.run_script(script, cwd=folder, log_path=log_path)
        reports = _reports(text)
        sdf = (folder / "delays.sdf").read_text()
    with atomic_path(sdf_path) as part:
        # The date would make equal runs differ.
        text = re.sub(r'^ \(DATE ".*"\)\n', "", sdf, flags=re.MULTILINE)
        part.write_text(raise_merged_arcs(text, netlist, conditions.output_load_ff, conditions.input_slew_ps))
    arrivals = {}
    for output, target in interface.chains.items():
        path = reports[output]
        if path is None:
            raise FlowError(
                f"{netlist.name}: no path reaches output {output!r}; is the clock {interface.clock!r} right?"
            )
        arrivals[target] = path.arrival_ps
    return arrivals


def stages_of(netlist: Netlist, interface: Interface, held: HeldWeight) -> dict[str, list[str]]:
    """Endpoints of each stage: data pins of each register group outside the weight, or the output ports."""
    weight = {register.instance for register in held.registers}
    stages: dict[str, list[str]] = {}
    for register in netlist.registers:
        if register.instance not in weight:
            name = netlist.instances[register.instance].name
            stages.setdefault(register.group, []).extend(f"{name}/{pin}" for pin in register.data_pins)
    return stages or {_COMBINATIONAL_STAGE: _bits(netlist, interface.result)}


def sweep(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    *,
    sdf_path: Path,
    arrivals_ps: Mapping[str, float],
    log_folder: Path,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Sweep:
    """Bound every weight value.

    Parameters
    ----------
    sdf_path, arrivals_ps
        Result of :func:`write_delays`.
    jobs
        OpenSTA processes at a time; the result does not depend on it.
    progress
        Called with the number of values done since the last call.

    Raises
    ------
    ToolError
        If OpenSTA fails.
    """
    stages = stages_of(netlist, interface, held)
    blocks = [
        range(start, min(start + _CASES_PER_RUN, len(held.values)))
        for start in range(0, len(held.values), _CASES_PER_RUN)
    ]

    def run(block: range) -> list[tuple[TimingPath | None, ...]]:
        cases = {str(held.values[index]): held.case(netlist, interface, index) for index in block}
        log_path = log_folder / f"sta_sweep_{block.start:05d}.log"
        reports = _run_cases(
            netlist, interface, conditions, sta, sdf_path, arrivals_ps, stages, cases, log_path
        )
        if progress:
            progress(len(block))
        return [tuple(reports[f"{case} {stage}"] for stage in stages) for case in cases]

    with ThreadPoolExecutor(jobs) as pool:
        rows = [row for block_rows in pool.map(run, blocks) for row in block_rows]
    return Sweep(held.values, tuple(stages), tuple(rows))


@dataclass(frozen=True)
class Probe:
    """A first look at a netlist.

    Parameters
    ----------
    stages
        Names of the groups of endpoints.
    worst_ps
        Period that is right for any weight, per stage, without case analysis: what a designer would sign off.
    values, bound_ps
        Some operand values, and their bounds per stage, shape ``(n, stages)``.
    """

    stages: tuple[str, ...]
    worst_ps: tuple[float, ...]
    values: tuple[int, ...]
    bound_ps: NDArray[np.float64]


def probe(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    log_folder: Path,
    values: Sequence[int] = (),
) -> Probe:
    """Time a netlist without case analysis on the weight, and with some of the operand's values.

    Raises
    ------
    ToolError
        If OpenSTA fails.
    """
    stages = stages_of(netlist, interface, held)
    position = {int(value): index for index, value in enumerate(held.values)}
    # Without case analysis first: constants that are set stay set.
    cases: dict[str, list[tuple[str, int]]] = {"any": []}
    cases |= {str(value): held.case(netlist, interface, position[value]) for value in values}
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        sdf_path = Path(name) / "delays.sdf"
        arrivals = write_delays(netlist, interface, conditions, sta, sdf_path, log_folder / "sta_delays.log")
        log_path = log_folder / "sta_worst.log"
        reports = _run_cases(netlist, interface, conditions, sta, sdf_path, arrivals, stages, cases, log_path)
    periods = [
        [path.period_ps if (path := reports[f"{case} {stage}"]) else 0.0 for stage in stages]
        for case in cases
    ]
    bounds = np.array(periods[1:], np.float64).reshape(len(values), len(stages))
    return Probe(tuple(stages), tuple(periods[0]), tuple(values), bounds)


def worst_period_ps(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    log_folder: Path,
) -> float:
    """Period that is right for any weight, without case analysis on it: what a designer would sign off.

    Raises
    ------
    ToolError
        If OpenSTA fails.
    """
    return max(probe(netlist, interface, held, conditions, sta, log_folder).worst_ps, default=0.0)


def _run_cases(
    netlist: Netlist,
    interface: Interface,
    conditions: TimingConditions,
    sta: OpenSta,
    sdf_path: Path,
    arrivals_ps: Mapping[str, float],
    stages: Mapping[str, Sequence[str]],
    cases: Mapping[str, Sequence[tuple[str, int]]],
    log_path: Path,
) -> dict[str, TimingPath | None]:
    """Slowest path per case and stage, keyed ``"case stage"``, in one OpenSTA process."""
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        _stage(folder, netlist, conditions)
        stage_files(folder, {"delays.sdf": sdf_path})
        script = _settings(netlist, interface, conditions, arrivals_ps) + _case_settings(
            netlist, interface, stages, cases
        )
        return _reports(sta.run_script(script, cwd=folder, log_path=log_path))


def _stage(folder: Path, netlist: Netlist, conditions: TimingConditions) -> None:
    flows = ("timing_setup.tcl", "timing_delays.tcl", "timing_cases.tcl", "no_wires.lib")
    stage_files(folder, {name: flows_dir() / name for name in flows})
    stage_liberty(folder, conditions.liberty)
    write_text(folder / "netlist.v", netlist.to_verilog())


def _settings(
    netlist: Netlist, interface: Interface, conditions: TimingConditions, arrivals_ps: Mapping[str, float]
) -> str:
    arrival = [
        _pair(bit, f"{time:.6f}") for port, time in arrivals_ps.items() for bit in _bits(netlist, port)
    ]
    settings = {
        "liberty": _list(liberty_names(conditions.liberty)),
        "netlist": "netlist.v",
        "top": tcl_quote(netlist.name),
        "clock": tcl_quote(interface.clock),
        "period": str(_PERIOD_PS),
        "load": f"{conditions.output_load_ff:.6f}",
        "slew": f"{conditions.input_slew_ps:.6f}",
        "wire_load": tcl_quote(conditions.wire_load),
        "arrival": _list(arrival),
    }
    return "".join(f"set job({name}) {value}\n" for name, value in settings.items())


def _case_settings(
    netlist: Netlist,
    interface: Interface,
    stages: Mapping[str, Sequence[str]],
    cases: Mapping[str, Sequence[tuple[str, int]]],
) -> str:
    quiet = [
        _pair(netlist.net_names[net], str((value >> bit) & 1))
        for port, value in interface.hold.items()
        for bit, net in enumerate(netlist.port(port).nets)
    ]
    groups = [_pair(name, _list(map(tcl_quote, endpoints))) for name, endpoints in stages.items()]
    constants = [
        _pair(case, _list(_pair(pin, str(value)) for pin, value in pins)) for case, pins in cases.items()
    ]
    return (
        "set job(sdf) delays.sdf\n"
        f"set job(quiet) {_list(quiet)}\n"
        f"set job(groups) {_list(groups)}\n"
        f"set job(cases) {_list(constants)}\n"
        "source timing_cases.tcl"
    )


def _bits(netlist: Netlist, port_name: str) -> list[str]:
    port = netlist.port(port_name)
    return [f"{port.name}[{bit}]" for bit in range(len(port.nets))] if len(port.nets) > 1 else [port.name]


def _list(words: Iterable[str]) -> str:
    """Tcl command that makes a list of `words`, each a Tcl word already."""
    return f"[list {' '.join(words)}]"


def _pair(name: str, value: str) -> str:
    return _list([tcl_quote(name), value])


_REPORT = re.compile(r"^@begin (.+)\n((?:.*\n)*?)^@end \1$", re.MULTILINE)
_POINT = re.compile(r"^ *(-?[\d.]+) +(-?[\d.]+) [\^v] (\S+) \((\S+)\)$", re.MULTILINE)


def _reports(text: str) -> dict[str, TimingPath | None]:
    """Read the marked path reports; None where OpenSTA found no path."""
    return {mark: _path(mark, body) for mark, body in _REPORT.findall(text)}


def _path(mark: str, body: str) -> TimingPath | None:
    if "Startpoint:" not in body:
        if "No paths found" not in body:
            raise FlowError(f"OpenSTA's report for {mark!r} cannot be read: {body.strip()[:200]!r}")
        return None
    points = [(pin, cell, float(time)) for _, time, pin, cell in _POINT.findall(body)]
    arrival = re.search(r"^ *(-?[\d.]+) +data arrival time$", body, re.MULTILINE)
    start = re.search(r"^Startpoint: (\S+)", body, re.MULTILINE)
    setup = re.search(r"^ *(-?[\d.]+) +-?[\d.]+ +library setup time$", body, re.MULTILINE)
    if not (arrival and start and points):
        raise FlowError(f"OpenSTA's report for {mark!r} cannot be read: {body.strip()[:200]!r}")
    arrival_ps = float(arrival[1])
    starts_at_register = "/" in points[0][0] and len(points) > 1 and points[0][0].split("/")[0] == start[1]
    return TimingPath(
        startpoint=start[1],
        endpoint=points[-1][0],
        launch_ps=points[1][2] if starts_at_register else points[0][2],
        arrival_ps=arrival_ps,
        setup_ps=-float(setup[1]) if setup else 0.0,
        points=tuple(points),
    )
