"""Damaged Liberty: whatever is done to a real file, it is read or refused by name, soon and in little memory.

The short run is part of every test run. The long one:
``HALO_TIMING_FUZZ_S=600 pytest -m fuzz tests/test_liberty_fuzz.py``.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.errors import HaloTimingError
from halo_timing.pdk.descriptor import CellValues, ConstraintValues
from halo_timing.pdk.library import read_library
from halo_timing.pdk.registry import list_pdks
from halo_timing.pdk.selection import choose_cells, derive_constraints
from halo_timing.pdk.verilog_models import verilog_models
from tests.pdk_support import liberty

SECONDS_EACH = 10.0
MEGABYTES = 2048
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


MUTATIONS: list[Mutation] = [flip_bytes, cut_off, leave_out, repeat, insert_word, change_number]


def use(path: Path) -> None:
    """Do what the flow does with a library."""
    with contextlib.suppress(HaloTimingError):
        library = read_library([path])
        cells = choose_cells(library, CellValues())
        derive_constraints(library, cells, ConstraintValues())
        verilog_models(library, [name for name, cell in library.cells.items() if cell.is_combinational])


def attack(data: bytes, path: Path, seed: int) -> None:
    chooser = random.Random(seed)
    for _ in range(chooser.choice([1, 1, 2, 4])):
        data = chooser.choice(MUTATIONS)(chooser, data) or b" "
    packed = gzip.compress(data, 1) if chooser.random() < 0.05 else data
    path.write_bytes(flip_bytes(chooser, packed) if packed is not data else data)
    begin = time.monotonic()
    try:
        use(path)
    except Exception as error:
        raise AssertionError(f"seed {seed}") from error
    assert time.monotonic() - begin < SECONDS_EACH, f"seed {seed}"


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
    seed = int(os.environ.get("HALO_TIMING_FUZZ_SEED", "1000000"))
    chooser = random.Random(seed)
    while time.monotonic() < end:
        attack(chooser.choice(texts), tmp_path / "damaged.lib", seed)
        seed += 1
    assert peak_megabytes() < MEGABYTES
