"""A PDK never seen before: from Liberty files to a report with two commands and no editing."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from halo_timing.cli import main
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.tables import Tables
from tests.conftest import SMALL


def halo(*arguments: object) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def cells_of(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split a library into its header and its cells, by name."""
    begins = [match.start() for match in re.finditer(r"^\s*cell ?\(", text, re.MULTILINE)]
    ends = [*begins[1:], text.rindex("}")]
    cells = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return text[: begins[0]], [(re.search(r"\((\w+)\)", cell)[1], cell) for cell in cells]  # type: ignore[index]


@pytest.fixture(scope="module")
def disguised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pdk, list[Path]]:
    """Return a real PDK, and its library under other names, in two files, one of them packed."""
    real = load_pdk("osu018", install=True)
    header, cells = cells_of(real.default_corner.liberty[0].read_text())
    is_state = re.compile(r"\b(ff|latch) ?\(")
    texts = []
    for name, wanted in (("acme_gates", False), ("acme_state", True)):
        body = "".join(text for _, text in cells if bool(is_state.search(text)) == wanted)
        for cell, _ in cells:
            body = re.sub(rf"\b{cell}\b", f"acme_{cell.lower()}", body)
        texts.append(header.replace("osu018_stdcells", name) + body + "\n}\n")
    folder = tmp_path_factory.mktemp("acme [new]")
    gates, state = folder / "gates.lib", folder / "state.lib.gz"
    gates.write_text(texts[0])
    state.write_bytes(gzip.compress(texts[1].encode()))
    return real, [gates, state]


def test_two_commands_lead_to_a_report(
    disguised: tuple[Pdk, list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, files = disguised
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    out, mac = tmp_path / "out", f"array:{SMALL}"
    assert halo("pdk", "add", "acme", *files) == 0
    assert "flip-flop acme_dffposx1, buffer acme_bufx2, inverter acme_invx1" in capsys.readouterr().out
    options = ("--mac", mac, "--reference", f"booth:{SMALL}", "--no-model", "--out", out)
    assert halo("run", "--pdk", "acme", *options, "-j", 1) == 0
    assert "acme" in (out / "report.html").read_text()
    # The same cells under other names are as fast.
    assert halo("characterize", "--pdk", real.name, "--mac", mac, "--out", tmp_path / "real", "-j", 1) == 0
    ours, expected = Tables.load(out), Tables.load(tmp_path / "real")
    np.testing.assert_array_equal(ours.stage_bound_ps, expected.stage_bound_ps)


def test_half_of_a_library_is_refused_with_the_mend(
    disguised: tuple[Pdk, list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    assert halo("pdk", "add", "acme", disguised[1][0]) == 1
    said = capsys.readouterr().err
    assert re.search(r"gates\.lib: .* has no rising-edge D flip-flop among .*; add the Liberty file", said)
    assert not (tmp_path / "config").exists()
