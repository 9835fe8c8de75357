"""Time and energy of schemes: by hand, by HALO's own formula, and at the limits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from halo_timing.accelerator.comparison import Macs, compare
from halo_timing.accelerator.components import Memory, sram_pj_per_byte
from halo_timing.accelerator.estimate import speedups
from halo_timing.accelerator.mac_cost import MacUnit, normal_codes
from halo_timing.accelerator.shapes import LinearLayer, ModelShape, find_shape, published_shapes
from halo_timing.accelerator.systolic import Array
from halo_timing.accelerator.tile_levels import QuantizedLevels, SharedLevels
from halo_timing.accelerator.workload import Workload
from halo_timing.costmap import build_cost_map
from halo_timing.costmap.operating_points import at_voltages
from halo_timing.costmap.voltage import load_corners
from halo_timing.errors import CheckpointError, UsageError
from halo_timing.files import write_json
from halo_timing.quantize.model import QuantizeOptions, quantize_checkpoint
from tests.accelerator_macs import VALUES, cost_map, macs, trailing_zeros, unit
from tests.report_folders import write_corners, write_dynamic, write_mac

HALO_LIKE = unit("array", trailing_zeros(1e3 / 3.7, 1e3 / 2.4, 1e3 / 1.9))
FAR = Memory(bandwidth_gb_s=1e12, transition_ns=0)
ONE_LAYER = ModelShape("one", (LinearLayer("x", 1280, 1280),))


# --- shapes ---------------------------------------------------------------------------------------------

# Parameters of the linear layers in billions: the models' published totals without embeddings, norms, biases.
PUBLISHED_BILLIONS = {
    "llama-2-7b": 6.476,
    "llama-2-13b": 12.688,
    "opt-1.3b": 1.208,
    "opt-2.7b": 2.517,
    "opt-6.7b": 6.442,
    "opt-13b": 12.583,
    "opt-30b": 29.595,
    "smollm2-135m": 0.1062,
}


def test_published_shapes_have_the_published_sizes() -> None:
    assert {name: shape.weights / 1e9 for name, shape in published_shapes().items()} == pytest.approx(
        PUBLISHED_BILLIONS, rel=1e-3
    )


def test_shape_of_a_config_file_and_of_a_checkpoint_agree(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    described = find_shape(str(tmp_path))
    sizes = {"q_proj": (24, 24), "k_proj": (12, 24), "v_proj": (12, 24), "o_proj": (24, 24)}
    sizes |= {"gate_proj": (40, 24), "up_proj": (40, 24), "down_proj": (24, 40)}
    tensors = {
        f"model.layers.{block}.{name}.weight": np.zeros(size, np.float32)
        for block in range(2)
        for name, size in sizes.items()
    }
    save_file(
        {**tensors, "model.embed_tokens.weight": np.zeros((99, 24), np.float32)}, tmp_path / "m.safetensors"
    )
    stored = find_shape(str(tmp_path / "m.safetensors"))
    assert stored.weights == described.weights

    def counts(shape: ModelShape) -> dict[tuple[int, int], int]:
        result: dict[tuple[int, int], int] = {}
        for layer in shape.layers:
            key = layer.inputs, layer.outputs
            result[key] = result.get(key, 0) + layer.count
        return result

    assert counts(stored) == counts(described)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an object is wanted"),
        ("{", "is not a readable config.json"),
        ('{"model_type": "mamba"}', "model_type 'mamba' is not known"),
        ('{"model_type": "opt"}', "has no hidden_size"),
        ('{"model_type": "opt", "hidden_size": -1}', "hidden_size is -1"),
    ],
)
def test_a_wrong_config_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        find_shape(str(tmp_path / "config.json"))


def test_unknown_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model of that name"):
        find_shape("llama-9")
    with pytest.raises(CheckpointError):
        find_shape(str(tmp_path))


# --- time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [0.0, 0.25, 0.5, 0.97, 1.0])
def test_speed_up_is_the_formula_behind_halos(fast: float) -> None:
    # With its three clocks and p = 4 - effective bits: T / T_W8A8 = p * 1.9/3.7 + (1 - p) * 1.9/2.4.
    workload = Workload(ONE_LAYER, "prefill", batch=64, sequence=2048)
    result = compare(macs(HALO_LIKE), SharedLevels((fast, 1 - fast)), [workload], Array(), FAR)
    ratio = speedups(result.estimates[workload])["w8a8"]
    assert ratio is not None
    assert 1 / ratio == pytest.approx(fast * 1.9 / 3.7 + (1 - fast) * 1.9 / 2.4, rel=2e-3)


def test_halos_published_ratios_follow_from_its_clocks() -> None:
    # Effective bits and speed-ups over W8A8 of its three variants of Llama-2-7B.
    for bits, published in ((3.03, 1.87), (3.75, 1.53), (3.88, 1.30)):
        fast = 4 - bits
        ours = 1 / (fast * 1.9 / 3.7 + (1 - fast) * 1.9 / 2.4)
        # The published ones are means over its models, whose bits differ a little.
        assert ours == pytest.approx(published, rel=0.13)


def test_time_of_a_layer_by_hand() -> None:
    shape = ModelShape("two", (LinearLayer("x", 8, 8, count=3),))
    workload = Workload(shape, "prefill", batch=1, sequence=10)
    memory = Memory(bandwidth_gb_s=1e9, transition_ns=7)
    result = compare(
        macs(HALO_LIKE), SharedLevels((0.5, 0.5), 0.25), [workload], Array(4, 4, sparse_lanes=4), memory
    )
    halo, same_mac = result.estimates[workload][:2]
    layer = halo.layers[0]
    # 2 of 4 tiles at each level: 4 rows of weights, 2 tiles of 10 vectors, 3 + 3 + 2 cycles to drain.
    assert layer.cycles == (3 * 32, 3 * 32)
    # One change in each of the three matrices: they begin where the one before has ended.
    assert layer.transitions == 3
    assert layer.array_ns == pytest.approx(96 / 3.7 + 96 / 2.4 + 21)
    # 16 of 64 weights apart: 160 products a matrix on 4 MACs at the slowest clock.
    assert layer.sparse_ns == pytest.approx(3 * 40 / 1.9)
    assert same_mac.layers[0].cycles == (3 * 52,)
    assert same_mac.layers[0].array_ns == pytest.approx(3 * 52 / 1.9)
    assert (layer.limit, same_mac.layers[0].limit) == ("array", "array")


def test_what_memory_limits_gains_by_bits_alone() -> None:
    workload = Workload(ONE_LAYER, "decode")
    slow = Memory(bandwidth_gb_s=0.001)
    result = compare(macs(HALO_LIKE), SharedLevels((1.0,)), [workload], Array(), slow)
    items = {item.scheme.key: item for item in result.estimates[workload]}
    assert {layer.limit for item in items.values() for layer in item.layers} == {"memory"}
    ratios = speedups(result.estimates[workload])
    assert ratios["self"] == ratios["best"] == 1.0
    vectors = 8 * 2560
    weights = 1280 * 1280
    bits = 3 + 16 / 128
    assert ratios["w8a8"] == pytest.approx((weights * 8 + vectors) / (weights * bits + vectors))
    assert ratios["fp16"] == pytest.approx((weights * 16 + 2 * vectors) / (weights * bits + vectors))


def test_uniform_grids_may_use_the_same_fast_values() -> None:
    workload = Workload(ONE_LAYER, "prefill", batch=64)
    result = compare(macs(HALO_LIKE), SharedLevels((0.0, 1.0)), [workload], Array(), FAR)
    items = {item.scheme.key: item for item in result.estimates[workload]}
    # Shifted by 4, a four-bit grid is exactly the middle class: HALO without HALO.
    assert items["w4a8_shifted"].scheme.label == "W4A8 << 4"
    assert items["w4a8_shifted"].time_ms == pytest.approx(items["halo"].time_ms)
    assert items["w4a8"].time_ms == items["w8a8"].time_ms
    assert items["w3a8_shifted"].scheme.points[0].period_ps == pytest.approx(1e3 / 3.7, rel=1e-6)
    assert items["w4a8_best"].time_ms == items["best"].time_ms


def test_an_unknown_float_mac_stays_unknown() -> None:
    known = macs(HALO_LIKE)
    workload = Workload(ONE_LAYER, "prefill")
    unknown = type(known)(known.unit, known.cost_map, known.best, None)
    assert speedups(compare(unknown, SharedLevels((1.0,)), [workload]).estimates[workload])["fp16"] is None


# --- energy ---------------------------------------------------------------------------------------------


def test_energy_is_unknown_where_the_tables_have_none() -> None:
    workload = Workload(ONE_LAYER, "prefill")
    item = compare(macs(HALO_LIKE), SharedLevels((1.0,)), [workload]).estimates[workload][0]
    assert item.energy_mj.mac is None
    assert item.energy_mj.total is None
    assert item.energy_mj.memory > 0
    json.dumps(item.to_json(), allow_nan=False)


def test_energy_of_macs_by_hand() -> None:
    # The cost of a value is its distance from 0: the mean over a level's codes is that of their histogram.
    mac = unit("array", trailing_zeros(200, 300, 400), np.abs(VALUES).astype(float))
    workload = Workload(ONE_LAYER, "prefill", sequence=100)
    result = compare(macs(mac), SharedLevels((0.25, 0.75)), [workload])
    item = result.estimates[workload][0]
    fast, mid = (
        normal_codes(VALUES, level.codebook) @ np.abs(VALUES).astype(float)
        for level in cost_map(mac).levels[:2]
    )
    assert item.energy_mj.mac == pytest.approx(1280 * 1280 * 100 * (0.25 * fast + 0.75 * mid) * 1e-12)
    assert item.energy_mj.total == pytest.approx(
        item.energy_mj.mac + item.energy_mj.buffers + item.energy_mj.memory
    )


def test_normal_codes_are_those_of_rounded_normal_weights() -> None:
    rng = np.random.default_rng(1)
    codebook = VALUES[VALUES % 16 == 0]
    draws = rng.standard_normal(400_000) * 128 / 2.86
    nearest = codebook[np.abs(draws[:, None] - codebook[None, :]).argmin(axis=1)]
    counts = np.array([(nearest == value).mean() for value in VALUES])
    np.testing.assert_allclose(normal_codes(VALUES, codebook), counts, atol=3e-3)


def test_buffers_cost_what_was_published() -> None:
    assert [8 * sram_pj_per_byte(size, 0.9) for size in (1, 8, 32, 1024, 4096)] == pytest.approx(
        [10, 10, 20, 100, 200]
    )
    assert sram_pj_per_byte(8, 1.8) == pytest.approx(4 * sram_pj_per_byte(8, 0.9))


# --- tiles of a model -----------------------------------------------------------------------------------


@given(shares=st.lists(st.floats(0.01, 1), min_size=1, max_size=3), inputs=st.integers(1, 999))
def test_shares_give_whole_tiles_that_add_up(shares: list[float], inputs: int) -> None:
    total = sum(shares)
    levels = SharedLevels(tuple(share / total for share in shares))
    array = Array(32, 16)
    layer = LinearLayer("x", inputs, 200)
    counts = levels.counts(layer, array)
    tiles = np.prod(array.tiles(inputs, 200))
    assert sum(counts) == tiles
    assert all(abs(count - share * tiles) < 1 for count, share in zip(counts, levels.shares, strict=True))


@pytest.mark.parametrize("shares", [(0.5, 0.6), (-0.5, 1.5), (0.0,)])
def test_wrong_shares_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="must add to 1"):
        SharedLevels(shares)


@pytest.mark.parametrize("rows", [8, 16, 24, 32, 80])
def test_tiles_of_a_quantized_model_are_counted_weight_by_weight(rows: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source, out = tmp_path / "m.safetensors", tmp_path / "out"
    save_file({"a.weight": rng.standard_normal((72, 80), np.float32)}, source)
    levels = cost_map(HALO_LIKE)
    quantize_checkpoint(source, levels, out, QuantizeOptions(tile=16, baselines=False))
    model = QuantizedLevels.open(out)
    layer = model.shape.layers[0]
    array = Array(rows, 24)
    of_weight = np.kron(model.tile_levels["a.weight"], np.ones((16, 16), np.uint8))[:72, :80]
    expected = np.zeros(3, int)
    for output in range(0, 72, 24):
        for block in range(0, 80, rows):
            expected[of_weight[output : output + 24, block : block + rows].max()] += 1
    assert model.counts(layer, array) == tuple(expected)
    assert model.code_counts.sum() == 72 * 80
    for level, counts in zip(levels.levels, model.code_counts, strict=True):
        assert set(np.flatnonzero(counts) - 128) <= set(level.codebook.tolist())


# --- supplies -------------------------------------------------------------------------------------------


def write_two_supplies(folder: Path, scale: float = 1.0) -> None:
    """A MAC whose tables at 0.9 V are those at 1.1 V, slower and cheaper by known factors."""
    tables = write_mac(folder, folder.name, scale=scale)
    synthesis = json.loads((folder / "synthesis.json").read_text())
    write_json(folder / "synthesis.json", {**synthesis, "reference": {"latency": 3}})
    write_dynamic(folder, tables)
    write_corners(folder, [0.9], dynamic_scale=0.6)


def test_a_mac_at_another_supply(tmp_path: Path) -> None:
    write_two_supplies(tmp_path / "own")
    home = MacUnit.load(tmp_path / "own")
    low = MacUnit.load(tmp_path / "own" / "corners" / "typ_0p90V")
    moved = home.at_supply(0.9)
    np.testing.assert_allclose(moved.period_ps, low.period_ps, rtol=1e-6)
    np.testing.assert_allclose(moved.cycle_fj, low.cycle_fj, rtol=1e-6)
    np.testing.assert_allclose(moved.leakage_nw, low.leakage_nw, rtol=1e-6)
    np.testing.assert_allclose(moved.at_supply(1.1).cycle_fj, home.cycle_fj, rtol=1e-6)
    # Straight against the square: 1.0 V is (1.00 - 0.81) / (1.21 - 0.81) of the way.
    np.testing.assert_allclose(
        home.at_supply(1.0).cycle_fj, low.cycle_fj + 0.475 * (home.cycle_fj - low.cycle_fj), rtol=1e-6
    )
    assert np.all(low.period_ps > home.at_supply(1.0).period_ps)
    assert np.all(home.at_supply(1.0).period_ps > home.period_ps)
    with pytest.raises(UsageError, match=r"1\.2 V: the PDK was timed from 0\.9 to 1\.1 V"):
        home.at_supply(1.2)


def test_baselines_run_at_the_highest_supply_of_the_levels(tmp_path: Path) -> None:
    own, best = tmp_path / "own", tmp_path / "best"
    write_two_supplies(own)
    write_two_supplies(best, scale=0.5)
    corners = load_corners(own)
    at_voltages(build_cost_map(corners[0], levels=3), corners, vdd_v=0.9).save(own)
    slow = Macs.load(own, [best])
    assert (slow.unit.vdd_v, slow.best.vdd_v) == pytest.approx((0.9, 0.9))
    build_cost_map(corners[0], levels=3).save(own)
    fast = Macs.load(own, [best])
    for moved, home in ((slow.unit, fast.unit), (slow.best, fast.best)):
        assert moved.worst().period_ps > 1.2 * home.worst().period_ps
        assert (moved.worst().energy_fj or 0) < 0.8 * (home.worst().energy_fj or 0)
    # One that was timed at 1.1 V alone is no match for levels at 0.9 V.
    (best / "corners.json").unlink()
    at_voltages(build_cost_map(corners[0], levels=3), corners, vdd_v=0.9).save(own)
    with pytest.raises(UsageError, match=r"best was characterised at 1\.1 V alone .* --corners"):
        Macs.load(own, [best])


def test_baselines_have_the_margin_and_the_periods_of_the_levels(tmp_path: Path) -> None:
    own, best = tmp_path / "own", tmp_path / "best"
    write_two_supplies(own)
    write_two_supplies(best, scale=0.5)
    tables = load_corners(own)[0]
    for source, margin in (("bound", 0.0), ("bound", 0.1), ("dynamic", 0.05)):
        build_cost_map(tables, levels=3, source=source, margin=margin).save(own)
        loaded = Macs.load(own, [best])
        for mac, folder in ((loaded.unit, own), (loaded.best, best)):
            known = load_corners(folder)[0]
            periods = known.bound_ps if source == "bound" else known.dynamic_ps
            assert periods is not None
            assert mac.worst().period_ps == pytest.approx(float(periods.max()) * (1 + margin), rel=1e-6)
