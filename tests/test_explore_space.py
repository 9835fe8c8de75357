"""Space files: what they stand for, what is skipped and why, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_timing.errors import HaloTimingError
from halo_timing.explore.space import Point, Skipped, expand, read_space
from halo_timing.rtl import family, find_mac

ROOT = Path(__file__).parents[1]
CORNERS = [("nangate45", "typ")]


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def points_of(folder: Path, axes: str) -> tuple[list[Point], list[Skipped]]:
    path = written(folder, f"[space]\n{axes}\n")
    return expand(path, read_space(path).space, CORNERS)


def test_axes_are_combined_and_each_point_means_its_mac(tmp_path: Path) -> None:
    points, skipped = points_of(
        tmp_path,
        'pdk = "nangate45"\nmac = ["booth", "one_digit"]\nadder = ["ripple", "sklansky"]\n'
        'width = ["4x4+12", "4x6+16"]\nrecipe = ["speed", "area_units"]',
    )
    assert len(points) == 16
    assert not skipped
    assert len({point.name for point in points}) == 16
    for point in points:
        mac = find_mac(point.spec)
        assert (mac.parameters, mac.recipes) == (point.mac.parameters, point.mac.recipes)
        assert mac.parameters["ADDER"] == point.adder
        weight, activation, total = (
            mac.parameters[f"{name}_WIDTH"] for name in ("WEIGHT", "ACTIVATION", "ACCUMULATOR")
        )
        assert point.width == f"{weight}x{activation}+{total}"
        assert point.mac.conventional == (point.structure == "booth")


def test_without_axes_macs_are_as_they_are_named(tmp_path: Path) -> None:
    points, _ = points_of(tmp_path, 'pdk = "nangate45"')
    assert {(point.structure, point.recipe) for point in points} == {
        (name, recipe) for name, member in family().items() for recipe in member.recipes
    }
    assert all(point.mac.parameters == family()[point.structure].parameters for point in points)


def test_what_is_no_point_of_its_own_is_skipped_with_a_reason(tmp_path: Path) -> None:
    points, skipped = points_of(
        tmp_path,
        'pdk = "nangate45"\nmac = ["booth", "booth:ADDER=ripple"]\nadder = ["ripple", "sklansky"]\n'
        'width = ["8x8+12", "4x4+12"]\nrecipe = "speed"',
    )
    reasons = [each.reason for each in skipped]
    assert len(points) == 2
    assert sum("narrower than a product of 16" in reason for reason in reasons) == 4
    assert sum(reason.startswith("is the same as nangate45/typ/booth-") for reason in reasons) == 2


def test_own_verilog_takes_part(tmp_path: Path) -> None:
    axes = 'pdk = "nangate45"\nmac = ["own.toml"]\nconventional = ["own.toml"]\nadder = "ripple"'
    path = written(tmp_path, f"[space]\n{axes}")
    text = (ROOT / "examples" / "own_mac.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace("mac.v", str(ROOT / "examples" / "mac.v")))
    points, _ = expand(path, read_space(path).space, CORNERS)
    assert [point.recipe for point in points] == ["area_units", "speed", "speed_units"]
    assert all(point.structure == "my_mac" and point.mac.conventional for point in points)
    assert find_mac(points[1].spec).recipes == ("speed",)


def test_any_parameter_can_be_an_axis(tmp_path: Path) -> None:
    points, _ = points_of(
        tmp_path,
        'pdk = "nangate45"\nmac = "array"\nparameters = { ROW_ORDER = ["low_first", "high_first"] }',
    )
    assert [point.mac.parameters["ROW_ORDER"] for point in points] == ["low_first", "high_first"]
    assert len({point.name for point in points}) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "space: Field required"),
        ("[space", "not a space file"),
        ("[space]\n", "names no PDK"),
        ('[space]\npdk = "nangate45"\nspeed = 1', r"space.speed: Extra inputs .* found 1"),
        ('[space]\npdk = "nangate45"\nadder = "adder"', "space.adder: 'adder': one of brent_kung, "),
        ('[space]\npdk = "nangate45"\npipeline = "three"', "space.pipeline: 'three': one of .*two_stage"),
        ('[space]\npdk = "nangate45"\nwidth = "8x8"', r"space.width: '8x8': .* 8x8\+24"),
        ('[space]\npdk = "nangate45"\nwidth = "99x8+24"', "2 to 16 bits"),
        ('[space]\npdk = "nangate45"\nrecipe = "fast"', "space.recipe: 'fast': flows/recipes.toml has"),
        ('[space]\npdk = "nangate45"\nmac = "abacus"', "space.mac: 'abacus': unknown MAC"),
        ('[space]\npdk = "nangate45"\nconventional = "own.toml"', "is not among space.mac"),
        ('[space]\npdk = "nangate45"\nparameters = { ADDER = ["x"] }', "is set by space.adder"),
        ('[space]\npdk = "nangate45"\nparameters = { NONE = [1] }', "sets no parameter of mac"),
        ('[space]\npdk = "nangate45"\n[goal]\nsizes = [8, 8]', "different sizes"),
        ('[space]\npdk = "nangate45"\n[goal]\nobjectives = ["area"]', "time must be among them"),
        ('[space]\npdk = "nangate45"\n[goal]\nmin_sqnr_db = -1', "goal.min_sqnr_db: .* found -1"),
    ],
)
def test_mistakes_name_key_and_mend(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(HaloTimingError, match=message) as caught:
        expand(path, read_space(path).space, CORNERS)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 1


def test_the_example_is_large_enough_and_can_be_read() -> None:
    path = ROOT / "examples" / "explore.toml"
    points, _ = expand(path, read_space(path).space, CORNERS)
    assert len(points) >= 60
