"""Reading and writing safetensors files, held against the safetensors library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from halo_timing.errors import CheckpointError
from halo_timing.quantize.tensor_file import (
    DTYPE_BITS,
    TensorFile,
    encode_float32,
    make_header,
    write_tensor_file,
)

ARRAYS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.float16([[1.5, -2.0]]),
    "empty": np.zeros((0, 5), np.float32),
    "ids": np.arange(3, dtype=np.int64),
    "scalar": np.array(7, np.float32),
}
per_function = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)


def raw_file(table: object, data: bytes = b"") -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_reads_what_the_library_wrote(work_dir: Path) -> None:
    path = work_dir / "model.safetensors"
    path.write_bytes(save(ARRAYS, metadata={"format": "pt"}))
    file = TensorFile.open(path)
    assert file.metadata == {"format": "pt"}
    assert file.header == path.read_bytes()[: len(file.header)]
    assert set(file.entries) == set(ARRAYS)
    for name in ("a.weight", "b", "empty", "scalar"):
        np.testing.assert_array_equal(file.read_float32(name), ARRAYS[name].astype(np.float32))
        assert file.read_float32(name).dtype == np.float32
    assert b"".join(file.chunks("ids")) == ARRAYS["ids"].tobytes()


@given(
    arrays=st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        hnp.arrays(
            st.sampled_from([np.float32, np.float16, np.int8, np.uint8, np.uint32, np.uint64]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    )
)
@per_function
def test_round_trip_through_the_writer(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    names = {
        "float32": "F32",
        "float16": "F16",
        "int8": "I8",
        "uint8": "U8",
        "uint32": "U32",
        "uint64": "U64",
    }
    path = tmp_path / "out.safetensors"
    specs = [(name, names[str(array.dtype)], array.shape) for name, array in arrays.items()]
    write_tensor_file(path, make_header(specs, {"k": "é"}), (array.tobytes() for array in arrays.values()))
    loaded = load_file(path)
    file = TensorFile.open(path)
    assert len(file.header) % 8 == 0
    assert file.metadata == {"k": "é"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        np.testing.assert_array_equal(file.read(name), array)


def bf16_by_decimal_search(value: float) -> float:
    """Nearest of the two enclosing BF16 numbers, ties to the even one, found without bit tricks."""
    exponent = np.frexp(np.float64(value))[1]
    step = np.ldexp(1.0, max(int(exponent) - 8, -133))
    nearest = float(np.rint(np.float64(value) / step) * step)
    largest = float(np.ldexp(255.0, 120))
    return float(np.clip(nearest, -largest, largest))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_bf16_rounds_to_nearest_even(values: list[float]) -> None:
    data = encode_float32(np.float32(values), "BF16")
    read = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    assert read.tolist() == [bf16_by_decimal_search(value) for value in values]


def test_bf16_file(tmp_path: Path) -> None:
    values = np.float32([[1, -1.5, 3.0e38, -3.4e38]])
    path = tmp_path / "bf16.safetensors"
    write_tensor_file(path, make_header([("w", "BF16", (1, 4))], {}), [encode_float32(values, "BF16")])
    read = TensorFile.open(path).read_float32("w")
    assert np.isfinite(read).all()
    np.testing.assert_allclose(read, values, rtol=2**-8)
    with safe_open(path, "numpy") as library:
        assert library.get_slice("w").get_dtype() == "BF16"


def test_f16_stays_finite() -> None:
    read = np.frombuffer(encode_float32(np.float32([1e6, -1e6, 2.5]), "F16"), "<f2")
    assert read.tolist() == [65504, -65504, 2.5]
    with pytest.raises(ValueError, match="I8 is none of"):
        encode_float32(np.zeros(1, np.float32), "I8")


def test_a_wrong_amount_of_data_is_never_put_in_place(tmp_path: Path) -> None:
    header = make_header([("w", "F32", (4,))], {})
    for data in (b"\0" * 15, b"\0" * 17):
        with pytest.raises(CheckpointError):
            write_tensor_file(tmp_path / "x.safetensors", header, [data])
    assert list(tmp_path.iterdir()) == []


DAMAGED = {
    "nothing": (b"", "has 0 bytes"),
    "only a length": (b"\x08" + b"\0" * 7, "should be 8 bytes long"),
    "length beyond the file": (b"\xff" * 16, "cut off"),
    "length beyond the limit": ((200_000_000).to_bytes(8, "little") + b"{}", "cut off"),
    "text instead": (b"version https://git-lfs.github.com/spec/v1\n", "not a safetensors file"),
    "zip, as torch.save writes": (b"PK\x03\x04" + b"\0" * 60, "pickle"),
    "pickle": (b"\x80\x02}q\x00X\x07\x00\x00\x00weightsq\x01K\x01s.", "pickle"),
    "no JSON": (raw_file(b"{not json"), "not valid JSON"),
    "a list": (raw_file(b"[1]"), "not a safetensors file"),
    "half a surrogate pair": (raw_file(b'{"\\ud800":{}}'), "not valid JSON"),
    "a name twice": (raw_file(b'{"a":1,"a":1}'), "occurs twice"),
    "deep nesting": (raw_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not valid JSON"),
    "not a number": (raw_file(b'{"a":NaN}'), "NaN is not a number"),
    "metadata of numbers": (raw_file({"__metadata__": {"a": 1}}), "must map text to text"),
    "metadata list": (raw_file({"__metadata__": [1]}), "must map text to text"),
    "no entry": (raw_file({"a": 5}), "lacks its dtype"),
    "unknown dtype": (raw_file({"a": entry("F33")}, b"\0" * 4), "unknown dtype 'F33'"),
    "negative size": (raw_file({"a": entry(shape=[-1])}, b"\0" * 4), "not a list of sizes"),
    "true as a size": (raw_file({"a": entry(shape=[True])}, b"\0" * 4), "not a list of sizes"),
    "fraction as a size": (raw_file({"a": entry(shape=[1.0])}, b"\0" * 4), "not a list of sizes"),
    "huge size": (raw_file({"a": entry(shape=[10**30, 0], offsets=[0, 0])}), "not a list of sizes"),
    "end before start": (raw_file({"a": entry(offsets=[4, 0])}, b"\0" * 4), "not a start and an end"),
    "shape and bytes differ": (raw_file({"a": entry(shape=[2])}, b"\0" * 4), "needs 8 bytes.*gives it 4"),
    "cut off": (raw_file({"a": entry()}, b"\0" * 3), "cut off"),
    "too long": (raw_file({"a": entry()}, b"\0" * 5), "followed by unknown data"),
    "a hole": (raw_file({"a": entry(offsets=[4, 8])}, b"\0" * 8), "starts at byte"),
    "overlap": (raw_file({"a": entry(), "b": entry()}, b"\0" * 4), "'b' starts at byte"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named(case: str, work_dir: Path) -> None:
    data, sentence = DAMAGED[case]
    path = work_dir / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        TensorFile.open(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            TensorFile.open(path)


def test_file_that_shrinks_or_goes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(ARRAYS))
    file = TensorFile.open(path)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 2)
    last = list(file.entries)[-1]
    with pytest.raises(CheckpointError, match="lacks 2 bytes; the file was changed"):
        file.read(last)
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        file.read(last)


GOOD = save({"a": np.arange(6, dtype=np.float32), "b": np.int8([[1, 2]])}, metadata={"m": "x"})


@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=3), st.integers(0, 3)),
        min_size=1,
        max_size=3,
    )
)
@settings(per_function, max_examples=400)
def test_mutated_files_are_refused_whenever_the_library_refuses_them(
    edits: list[tuple[int, bytes, int]], tmp_path: Path
) -> None:
    data = GOOD
    for position, inserted, removed in edits:
        data = data[:position] + inserted + data[position + removed :]
    path = tmp_path / "mutated.safetensors"
    path.write_bytes(data)
    try:
        with safe_open(path, "numpy") as library:
            names = set(library.keys())
    except (SafetensorError, OSError):
        names = None
    try:
        file = TensorFile.open(path)
    except CheckpointError:
        return
    assert names == set(file.entries)
    for name in file.entries:
        assert len(b"".join(file.chunks(name))) == file.entries[name].end - file.entries[name].start


@given(
    table=st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__"]),
        st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {
                    "dtype": st.sampled_from([*DTYPE_BITS, "x", 3]),
                    "shape": st.lists(st.integers(-1, 4), max_size=3) | st.just("x"),
                    "data_offsets": st.lists(st.integers(-1, 40), min_size=1, max_size=3) | st.none(),
                }
            ),
            st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
        ),
    ),
    size=st.integers(0, 40),
)
@settings(per_function, max_examples=300)
def test_invented_headers_never_crash(table: dict[str, object], size: int, tmp_path: Path) -> None:
    path = tmp_path / "invented.safetensors"
    path.write_bytes(raw_file(table, b"\0" * size))
    try:
        file = TensorFile.open(path)
    except CheckpointError:
        return
    with safe_open(path, "numpy") as library:
        assert set(library.keys()) == set(file.entries)
