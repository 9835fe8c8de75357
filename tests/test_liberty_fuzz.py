"""Damaged Liberty: whatever is done to a real file, it is read or refused by name, soon and in little memory.

The short run is part of every test run. The long one:
``HALO_TIMING_FUZZ_S=600 pytest -m fuzz tests/test_liberty_fuzz.py``.
"""

from __future__ import annotations

import faulthandler
import gzip
import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.errors import HaloTimingError
from halo_timing.pdk.check import check_corner
from halo_timing.pdk.descriptor import CornerEntry, Descriptor, FilesSource
from halo_timing.pdk.library import read_library, survey_library
from halo_timing.pdk.registry import Corner, Pdk, list_pdks
from halo_timing.pdk.verilog_models import verilog_models
from tests.pdk_support import liberty

SECONDS_EACH = 10.0
MEGABYTES = 2048
DESCRIPTOR = Descriptor(
    name="fuzzed",
    title="",
    licence="",
    source=FilesSource(kind="files"),
    default_corner="any",
    corner=[CornerEntry(name="any", files=["any.lib"], voltage_v=1, temperature_c=25)],
)
Mutation = Callable[[random.Random, bytes], bytes]


def flip_bytes(chooser: random.Random, data: bytes) -> bytes:
    mutable = bytearray(data)
    for _ in range(chooser.choice([1, 3, 30])):
        mutable[chooser.randrange(len(mutable))] = chooser.randrange(256)
    return bytes(mutable)


def cut_off(chooser: random.Random, data: bytes) -> bytes:
    return data[: chooser.randrange(len(data))]


def leave_out(chooser: random.Random, data: bytes) -> bytes:
    begin = chooser.randrange(len(data))
    return data[:begin] + data[begin + chooser.choice([1, 10, 1000]) :]


def repeat(chooser: random.Random, data: bytes) -> bytes:
    begin = chooser.randrange(len(data))
    piece = data[begin : begin + chooser.choice([1, 20, 400])]
    return data[:begin] + piece * chooser.choice([2, 50]) + data[begin:]


def insert_word(chooser: random.Random, data: bytes) -> bytes:
    words = [
        b"{",
        b"}",
        b"(",
        b")",
        b'"',
        b"/*",
        b"*/",
        b"\\\n",
        b";",
        b":",
        b"1e999",
        b"-",
        b"nan",
        b"\0",
        b"\xff",
    ]
    words += [b"cell (X) {" * 100, b"9" * 5000, b"(" * 5000, b'values ("1");', b"index_1 (1);", b"'" * 300]
    at = chooser.randrange(len(data))
    return data[:at] + chooser.choice(words) + data[at:]


def change_number(chooser: random.Random, data: bytes) -> bytes:
    at = data.find(b"0.", chooser.randrange(len(data)))
    number = chooser.choice([b"1e308", b"-1e308", b"-0.", b"1e-320", b"999999999999999999999999.", b"."])
    return data if at < 0 else data[:at] + number + data[at + 2 :]


def change_lines(chooser: random.Random, data: bytes) -> bytes:
    """Leave out, repeat or exchange lines: what stays is whole statements, as in files mended by hand."""
    lines = data.split(b"\n")
    one, two = chooser.randrange(len(lines)), chooser.randrange(len(lines))
    kind = chooser.randrange(3)
    if kind == 0:
        del lines[one : one + chooser.choice([1, 2, 20])]
    elif kind == 1:
        lines[two:two] = lines[one : one + chooser.choice([1, 20])]
    else:
        lines[one], lines[two] = lines[two], lines[one]
    return b"\n".join(lines)


def exchange_strings(chooser: random.Random, data: bytes) -> bytes:
    """Put one quoted string where another was: functions, pins, units and tables of another place."""
    strings = list(re.finditer(rb'"[^"\n]*"', data))
    if not strings:
        return data
    target = chooser.choice(strings)
    return data[: target.start()] + chooser.choice(strings).group() + data[target.end() :]


def nest(chooser: random.Random, data: bytes) -> bytes:
    depth = chooser.choice([10, 63, 64, 65, 5000])
    at = data.find(b"{", chooser.randrange(len(data))) + 1
    return data[:at] + b"a () {" * depth + b"}" * depth + data[at:]


MUTATIONS: list[Mutation] = [
    flip_bytes, cut_off, leave_out, repeat, insert_word, change_number, change_lines, exchange_strings, nest,
]  # fmt: skip


def use(path: Path) -> bool:
    """Do what the flow does with a library; say whether it could be used."""
    try:
        corner = Corner("any", (path,), *astuple(survey_library(path))[:2])
        pdk = Pdk("fuzzed", DESCRIPTOR, path.parent, {"any": corner})
        check_corner(pdk, corner, None)
        library = pdk.library(corner)
        verilog_models(library, [name for name, cell in library.cells.items() if cell.is_combinational])
    except HaloTimingError as error:
        complaint = str(error)
    else:
        return True
    assert any(place in complaint for place in (path.name, "cell", "library")), complaint
    return False


def attack(data: bytes, path: Path, seed: int) -> bool:
    chooser = random.Random(seed)
    for _ in range(chooser.choice([1, 1, 2, 4])):
        data = chooser.choice(MUTATIONS)(chooser, data) or b" "
    packed = gzip.compress(data, 1) if chooser.random() < 0.05 else data
    path.write_bytes(flip_bytes(chooser, packed) if packed is not data else data)
    # Of the processor: on a machine that others use too, the clock on the wall says little.
    begin = time.process_time()
    # What hangs for good ends the test run, with a trace that shows where.
    faulthandler.dump_traceback_later(30 * SECONDS_EACH, exit=True)
    try:
        usable = use(path)
    except Exception as error:
        raise AssertionError(f"seed {seed}") from error
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert time.process_time() - begin < SECONDS_EACH, f"seed {seed}"
    return usable


def peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def slices(data: bytes, size: int) -> bytes:
    """Return a library with the header and the first cells of a large one."""
    end = data.index(b"\n  cell", size) if len(data) > size else len(data)
    return data[:end] + b"\n}\n" if end < len(data) else data


def test_damaged_files_are_read_or_refused(nangate45_liberty: Path, tmp_path: Path) -> None:
    real = slices(nangate45_liberty.read_bytes(), 200_000)
    small = liberty().encode()
    path = tmp_path / "damaged.lib"
    path.write_bytes(real)
    assert len(read_library([path]).cells) > 2
    for seed in range(400):
        attack(small, path, seed)
    for seed in range(60):
        attack(real, path, seed)
    assert peak_megabytes() < MEGABYTES


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_noise_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, inside: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.lib"
    path.write_bytes(b"library (x) {" + data + b"}" if inside else data)
    use(path)


@pytest.mark.fuzz
def test_damaged_files_for_long(tmp_path: Path) -> None:
    files = [path for status in list_pdks() for corner in status.corners for path in corner.liberty]
    texts = [
        gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in (f.read_bytes() for f in files)
    ]
    texts = [slices(text, 400_000) for text in texts if len(text) < 8_000_000] + [liberty().encode()]
    end = time.monotonic() + float(os.environ.get("HALO_TIMING_FUZZ_S", "600"))
    seed = begin = int(os.environ.get("HALO_TIMING_FUZZ_SEED", "1000000"))
    chooser = random.Random(seed)
    usable = 0
    while time.monotonic() < end:
        usable += attack(chooser.choice(texts), tmp_path / "damaged.lib", seed)
        seed += 1
    tried = seed - begin
    print(f"{tried} damaged files of {len(texts)}, {usable} usable all the same, {peak_megabytes():.0f} MB")
    # Damage that is always refused, or never, would be no test.
    assert 0 < usable < tried
    assert peak_megabytes() < MEGABYTES
