"""Proof that a mapped netlist computes what its RTL says.

Both are cut at their registers, which carry the same names. Every next-state function and output is then
compared: by evaluating all inputs where they are few enough, by SAT otherwise. Registers that start equal and
take equal next states stay equal, so the two machines are equal.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from halo_timing.errors import FlowError, ToolError
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Netlist, Words
from halo_timing.pdk.library import Library, read_library
from halo_timing.pdk.logic import BooleanFunction
from halo_timing.resources import flows_dir
from halo_timing.rtl import Mac
from halo_timing.synthesis import fill_script, stage_sources
from halo_timing.tools.yosys import Yosys

# 2**22 patterns of a thousand gates are evaluated in seconds; SAT on a multiplier can take a minute.
_EXHAUSTIVE_INPUTS = 22
# Of them 2**18 at a time: a few thousand nets of these are 0.1 GB.
_BLOCK_INPUTS = 18
_SAT_TIMEOUT_S = 600
_ALL_ONES = (1 << 64) - 1
_LOW_PATTERNS = (
    0xAAAAAAAAAAAAAAAA,
    0xCCCCCCCCCCCCCCCC,
    0xF0F0F0F0F0F0F0F0,
    0xFF00FF00FF00FF00,
    0xFFFF0000FFFF0000,
    0xFFFFFFFF00000000,
)

# A net by meaning, the same in RTL and netlist: register or port, and bit.
Signal = tuple[str, int]


@dataclass(frozen=True)
class Proof:
    """What was proved, and how.

    Parameters
    ----------
    exhaustive
        Functions compared over all their inputs.
    sat
        Functions proved equal by SAT.
    patterns
        Largest number of input patterns that one exhaustive comparison took.
    seconds
        Wall time.
    """

    exhaustive: int
    sat: int
    patterns: int
    seconds: float


@lru_cache(maxsize=1)
def _generic_library() -> Library:
    return read_library([flows_dir() / "generic_cells.lib"])


def prove_equivalence(mac: Mac, netlist: Netlist, yosys: Yosys, log_folder: Path) -> Proof:
    """Prove `netlist` equal to the RTL that it was mapped from.

    Raises
    ------
    FlowError
        If a function differs (with the operands that show it), or can neither be evaluated nor proved.
    ToolError
        If Yosys fails.
    """
    started = time.monotonic()
    golden = _golden_netlist(mac, yosys, log_folder)
    wanted, found = _functions(golden), _functions(netlist)
    if wanted.keys() != found.keys():
        odd = ", ".join(f"{name}[{bit}]" for name, bit in sorted(wanted.keys() ^ found.keys())[:8])
        raise FlowError(f"{netlist.name}: registers or outputs {odd} are not in both RTL and netlist")
    patterns, remaining = 0, []
    for signals in _batches(golden, netlist, wanted.keys()):
        inputs = sorted(_inputs_of(golden, signals) | _inputs_of(netlist, signals))
        if len(inputs) > _EXHAUSTIVE_INPUTS:
            remaining.extend(signals)
            continue
        _compare(golden, netlist, signals, inputs)
        patterns = max(patterns, 1 << len(inputs))
    if remaining:
        _prove_by_sat(golden, netlist, remaining, yosys, log_folder)
    return Proof(len(wanted) - len(remaining), len(remaining), patterns, time.monotonic() - started)


def _golden_netlist(mac: Mac, yosys: Yosys, log_folder: Path) -> Netlist:
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        script = fill_script("golden.ys", stage_sources(folder, mac))
        yosys.run_script(script, cwd=folder, log_path=log_folder / "golden.log")
        return Netlist.from_yosys_json(folder / "golden.json", _generic_library())


def _signals(netlist: Netlist) -> dict[int, Signal]:
    """Meaning of each net at which the netlist is cut."""
    cuts = {
        net: (port.name, bit)
        for port in netlist.ports
        if port.direction == "input"
        for bit, net in enumerate(port.nets)
    }
    for register in netlist.registers:
        pins = netlist.instances[register.instance].pins
        cuts |= {pins[pin]: (register.group, register.bit) for pin in register.state_pins}
    return cuts


def _functions(netlist: Netlist) -> dict[Signal, tuple[int, ...]]:
    """Nets that each next state and output depends on directly."""
    functions: dict[Signal, tuple[int, ...]] = {}
    for register in netlist.registers:
        operands = netlist.next_state_operands(register).values()
        functions[f"next {register.group}", register.bit] = tuple(net for net, _ in operands)
    for port in netlist.ports:
        if port.direction == "output":
            functions |= {(f"output {port.name}", bit): (net,) for bit, net in enumerate(port.nets)}
    return functions


def _inputs_of(netlist: Netlist, signals: Iterable[Signal]) -> set[Signal]:
    functions, cuts = _functions(netlist), _signals(netlist)
    return {cuts[net] for net in netlist.support(net for signal in signals for net in functions[signal])}


def _batches(golden: Netlist, netlist: Netlist, signals: Iterable[Signal]) -> list[list[Signal]]:
    """Functions that share a register or port and are evaluated together."""
    groups: dict[str, list[Signal]] = {}
    for signal in sorted(signals):
        groups.setdefault(signal[0], []).append(signal)
    batches = []
    for group in groups.values():
        inputs = _inputs_of(golden, group) | _inputs_of(netlist, group)
        # A wide group may still have narrow members (a weight register with load and reset).
        batches += [group] if len(inputs) <= _EXHAUSTIVE_INPUTS else [[signal] for signal in group]
    return batches


def _compare(golden: Netlist, netlist: Netlist, signals: list[Signal], inputs: list[Signal]) -> None:
    low = min(len(inputs), _BLOCK_INPUTS)
    words = {signal: _counting_words(position, low) for position, signal in enumerate(inputs[:low])}
    count = max(1, (1 << low) // 64)
    for block in range(1 << (len(inputs) - low)):
        for position, signal in enumerate(inputs[low:]):
            words[signal] = np.full(count, -(block >> position & 1) & _ALL_ONES, np.uint64)
        _compare_block(golden, netlist, signals, words)


def _compare_block(
    golden: Netlist, netlist: Netlist, signals: list[Signal], words: Mapping[Signal, Words]
) -> None:
    wanted, found = _evaluate(golden, words), _evaluate(netlist, words)
    for signal in signals:
        difference = wanted[signal] ^ found[signal]
        if difference.any():
            word = int(np.flatnonzero(difference)[0])
            bit = (int(difference[word]) & -int(difference[word])).bit_length() - 1
            operands = _operands(words, word, bit)
            raise FlowError(
                f"{netlist.name}: netlist and RTL differ in {signal[0]}[{signal[1]}] at "
                + ", ".join(f"{name} = {value}" for name, value in sorted(operands.items()))
            )


def _counting_words(position: int, inputs: int) -> Words:
    """Word for input `position`, so that pattern number i gives input k the value of bit k of i."""
    count = max(1, (1 << inputs) // 64)
    if position < len(_LOW_PATTERNS):
        return np.full(count, _LOW_PATTERNS[position], np.uint64)
    index = np.arange(count, dtype=np.uint64) >> np.uint64(position - len(_LOW_PATTERNS))
    high = (index & np.uint64(1)).astype(bool)
    return np.asarray(np.where(high, ~np.uint64(0), np.uint64(0)), np.uint64)


def _operands(words: Mapping[Signal, Words], word: int, bit: int) -> dict[str, int]:
    values: dict[str, int] = {}
    for (name, position), row in words.items():
        values[name] = values.get(name, 0) | (int(row[word]) >> bit & 1) << position
    return values


def _evaluate(netlist: Netlist, words: Mapping[Signal, Words]) -> dict[Signal, Words]:
    """Every next state and output for the given inputs; inputs that are not named are 0."""
    shape = next(iter(words.values())).shape if words else (1,)
    zero = np.zeros(shape, np.uint64)
    sources = {
        net: words.get((port.name, bit), zero)
        for port in netlist.ports
        if port.direction == "input"
        for bit, net in enumerate(port.nets)
    }
    for register in netlist.registers:
        sources |= netlist.state_values(register, words.get((register.group, register.bit), zero))
    values = netlist.evaluate(sources)
    result = {
        (f"next {register.group}", register.bit): netlist.next_state(register, values)
        for register in netlist.registers
    }
    for port in netlist.ports:
        if port.direction == "output":
            result |= {(f"output {port.name}", bit): values[net] for bit, net in enumerate(port.nets)}
    return result


def _prove_by_sat(
    golden: Netlist, netlist: Netlist, signals: list[Signal], yosys: Yosys, log_folder: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        inputs = sorted(_inputs_of(golden, signals) | _inputs_of(netlist, signals))
        (folder / "golden.blif").write_text(_blif("golden", golden, signals, inputs))
        (folder / "mapped.blif").write_text(_blif("mapped", netlist, signals, inputs))
        script = fill_script("equivalence.ys", {"TIMEOUT_S": str(_SAT_TIMEOUT_S)})
        try:
            yosys.run_script(script, cwd=folder, log_path=log_folder / "equivalence.log")
        except ToolError as error:
            names = ", ".join(f"{name}[{bit}]" for name, bit in signals[:4])
            raise FlowError(
                f"{netlist.name}: SAT did not prove that netlist and RTL agree in {names}, …: {error}"
            ) from error


def _blif(name: str, netlist: Netlist, signals: list[Signal], inputs: list[Signal]) -> str:
    """Next states and outputs as a combinational BLIF model, with inputs ``i0``… and outputs ``o0``…."""
    position_of = {signal: position for position, signal in enumerate(inputs)}
    output_of = {signal: position for position, signal in enumerate(signals)}
    lines = [
        f".model {name}",
        ".inputs " + " ".join(f"i{position}" for position in range(len(inputs))),
        ".outputs " + " ".join(f"o{position}" for position in range(len(signals))),
        f".names n{CONSTANT_0}",
        f".names n{CONSTANT_1}",
        "1",
    ]
    inverted = _inverted_nets(netlist)
    for net, signal in _signals(netlist).items():
        if signal in position_of:
            lines += [f".names i{position_of[signal]} n{net}", "0 1" if net in inverted else "1 1"]
    for index in netlist.order:
        instance = netlist.instances[index]
        for pin, net in instance.pins.items():
            if function := netlist.cell_of(instance).pins[pin].function:
                lines += _cover(function, [f"n{instance.pins[name]}" for name in function.inputs], f"n{net}")
    for register in netlist.registers:
        position = output_of.get((f"next {register.group}", register.bit))
        flip_flop = netlist.cell_of(netlist.instances[register.instance]).flip_flop
        if position is not None and flip_flop is not None:
            operands = []
            for name, (net, same) in netlist.next_state_operands(register).items():
                operands.append(f"{name}_{position}")
                lines += [f".names n{net} {operands[-1]}", "1 1" if same else "0 1"]
            lines += _cover(flip_flop.next_state, operands, f"o{position}")
    for port in netlist.ports:
        for bit, net in enumerate(port.nets):
            if (position := output_of.get((f"output {port.name}", bit))) is not None:
                lines += [f".names n{net} o{position}", "1 1"]
    return "\n".join([*lines, ".end", ""])


def _inverted_nets(netlist: Netlist) -> set[int]:
    """Nets on which a register shows the complement of what it holds."""
    return {
        netlist.instances[register.instance].pins[pin]
        for register in netlist.registers
        for pin, same in register.state_pins.items()
        if not same
    }


def _cover(function: BooleanFunction, inputs: Sequence[str], output: str) -> list[str]:
    rows = [row for row in range(1 << len(inputs)) if function.truth_table >> row & 1]
    bits = ("".join(str(row >> position & 1) for position in range(len(inputs))) for row in rows)
    return [f".names {' '.join([*inputs, output])}", *(f"{text} 1".strip() for text in bits)]
