"""What sampled runs draw: weights, activations, and the files that describe them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halo_timing.dynamic import Stimulus, load_pairs
from halo_timing.errors import UsageError
from halo_timing.held_weight import operand_values

BYTES = operand_values(8, signed=True)


@pytest.mark.parametrize("signed", [True, False])
def test_gaussian_weights_fill_the_range(signed: bool) -> None:
    values = operand_values(8, signed)
    drawn = values[Stimulus(rows=64).draw_weights(values, 1000)]
    assert drawn.shape == (64, 1000)
    assert drawn.std() == pytest.approx(127 / 3, rel=0.02)
    assert drawn.mean() == pytest.approx(0 if signed else 128, abs=1)
    assert {values[0], values[-1]} <= set(drawn.ravel().tolist())


@pytest.mark.parametrize("weights", ["gaussian", "uniform"])
def test_a_tile_fact_leaves_multiples(weights: Any) -> None:
    drawn = BYTES[Stimulus(weights=weights, shift=5).draw_weights(BYTES, 500)]
    assert set(drawn.ravel().tolist()) == set(range(-128, 128, 32))


def test_columns_of_a_tile_are_drawn_whole() -> None:
    tile = np.random.default_rng(1).integers(-128, 128, (5, 7))
    drawn = BYTES[Stimulus(rows=5, weights=tile).draw_weights(BYTES, 100)]
    assert {tuple(column) for column in drawn.T} == {tuple(column) for column in tile.T}


@pytest.mark.parametrize(
    ("tile", "shift", "message"),
    [
        (np.zeros((4, 2), np.int64), 0, r"shape \(4, 2\)"),
        (np.zeros((5, 2)), 0, "float64"),
        (np.full((5, 2), 200), 0, "holds -128 to 127"),
        (np.full((5, 2), 3), 1, "multiple of 2"),
    ],
)
def test_a_tile_that_does_not_fit_is_refused(tile: Any, shift: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stimulus(rows=5, weights=tile, shift=shift).draw_weights(BYTES, 3)


def test_activations_follow_the_histogram_of_pairs() -> None:
    rng = np.random.default_rng(4)
    pairs = rng.random((8, 8)) ** 3
    # What comes must go: a histogram of a long stream has equal sums of rows and columns.
    for _ in range(200):
        pairs *= np.sqrt(pairs.sum(axis=0) / pairs.sum(axis=1))[:, None]
        pairs *= np.sqrt(pairs.sum(axis=1) / pairs.sum(axis=0))[None, :]
    drawn = Stimulus(pairs=pairs).draw_activations(3, True, (4, 2, 100_000))
    values = (drawn ^ 4) - 4
    found = np.zeros((8, 8))
    np.add.at(found, (values[:-1].ravel() + 4, values[1:].ravel() + 4), 1)
    assert np.abs(found / found.sum() - pairs / pairs.sum()).max() < 0.002


def test_pairs_that_never_occur_are_not_drawn() -> None:
    pairs = np.zeros((4, 4))
    pairs[1, 2] = pairs[2, 1] = 1
    drawn = Stimulus(pairs=pairs).draw_activations(2, False, (5, 50))
    assert set(drawn.ravel().tolist()) == {1, 2}
    assert (drawn[:-1] != drawn[1:]).all()


def test_a_histogram_of_another_width_is_refused() -> None:
    with pytest.raises(UsageError, match=r"8 bits need \(256, 256\)"):
        Stimulus(pairs=np.ones((4, 4))).draw_activations(8, True, (2, 2))


def test_a_file_of_pairs_is_read(tmp_path: Path) -> None:
    pairs = np.arange(16).reshape(4, 4)
    np.savez(tmp_path / "pairs.npz", pairs=pairs)
    assert (load_pairs(tmp_path / "pairs.npz") == pairs).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.ones((4, 4))}, "no.*array 'pairs'|not an .npz file with an array 'pairs'"),
        ({"pairs": np.ones((4, 5))}, r"shape \(4, 5\)"),
        ({"pairs": np.zeros((4, 4))}, "not all 0"),
        ({"pairs": -np.ones((4, 4))}, "none negative"),
        ({"pairs": np.full((4, 4), np.nan)}, "finite"),
        ({"pairs": np.array([["a", "b"], ["c", "d"]])}, "square counts"),
    ],
)
def test_a_file_without_usable_pairs_is_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.npz"
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match=message):
        load_pairs(path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.npz"
    path.write_text("pairs")
    with pytest.raises(UsageError, match=r"pairs\.npz: not an \.npz file"):
        load_pairs(path)
    with pytest.raises(UsageError, match=r"missing\.npz"):
        load_pairs(tmp_path / "missing.npz")
