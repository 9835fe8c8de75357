"""The documentation says what is true: links, commands, keys and formats exist, and examples run.

One result folder is made for all of it, by the run file of the examples with a small MAC and a small model.
"""

from __future__ import annotations

import csv
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import halo_timing as ht
from halo_timing.cli import main
from halo_timing.cli.mac_options import mac_options
from halo_timing.cli.main import cli
from halo_timing.costmap.export import FORMATS
from halo_timing.explore.space import Axes, Goal, Space
from halo_timing.pdk.descriptor import (
    CellValues,
    ConstraintValues,
    DebianSource,
    FilesSource,
    OpenPdksSource,
    OrfsSource,
    WheelSource,
    parse_descriptor,
)
from halo_timing.rtl import OwnMac, family, find_mac
from halo_timing.run.config import RunConfig
from halo_timing.run.pipeline import run
from tests.conftest import SMALL, Silent

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
DOCS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
}


@pytest.fixture(scope="module")
def folder(nangate45: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result folder of examples/run.toml, with a 4 x 4 MAC beside another, and a model of two layers."""
    out = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    tensors = {f"layers.{index}.weight": rng.standard_normal((48, 80), np.float32) for index in range(2)}
    save_file({**tensors, "norm.weight": np.ones(80, np.float32)}, out / "source.safetensors")
    small = {
        "mac": f"array:{SMALL}",
        "reference": (f"array:{SMALL},ROW_ORDER=high_first",),
        "model": str(out / "source.safetensors"),
    }
    run(RunConfig.from_toml(EXAMPLES / "run.toml", {**small, "tile": 32}), out / "results", Silent())
    return out / "results"


def fenced(text: str, language: str) -> Iterator[str]:
    """Blocks of one language."""
    yield from re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def names_under(document: str, heading: str) -> list[set[str]]:
    """Names in the first columns of each table between a heading and the next one."""
    body = re.split(r"^#+ ", DOCS[document].partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert body, f"{document} has no heading {heading!r}"
    tables = re.findall(r"^\|.*\|\n\|[-:| ]+\|\n((?:\|.*\|\n)+)", body, re.MULTILINE)
    return [
        {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
        for table in tables
    ]


def assert_same_names(documented: set[str], real: set[str], places: Mapping[str, str] | None = None) -> None:
    """Hold documented names, in which the words of `places` stand for patterns, against real ones."""
    patterns = {}
    for name in documented:
        pattern = re.escape(name)
        for word, allowed in (places or {}).items():
            pattern = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])|(?<=__){word}(?=__)", allowed, pattern)
        patterns[name] = re.compile(pattern)
    unwritten = {name for name in real if not any(pattern.fullmatch(name) for pattern in patterns.values())}
    imagined = {name for name, pattern in patterns.items() if not any(map(pattern.fullmatch, real))}
    assert not unwritten, f"not documented: {sorted(unwritten)}"
    assert not imagined, f"documented, but not there: {sorted(imagined)}"


def stored(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of a file, with nothing of ours."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return arrays, json.loads(file.metadata()["halo_timing"])


# --- links ----------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Targets that headings make, by GitHub's rule."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(
            r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.MULTILINE
        )
    }


@pytest.mark.parametrize("document", DOCS)
def test_links_lead_somewhere(document: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", DOCS[document], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        place = (ROOT / document).parent / path if path else ROOT / document
        assert place.exists(), f"{document}: {target}"
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), f"{document}: {target}"


def test_every_page_can_be_reached() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", DOCS["README.md"]))
    assert {name for name in DOCS if name.startswith("docs/")} <= linked


@pytest.mark.parametrize("document", DOCS)
def test_named_files_of_the_repository_exist(document: str) -> None:
    names = re.findall(r"`((?:rtl|flows|libs|halo_timing|tests|examples)/[\w/.*-]*)`", DOCS[document])
    assert all(list(ROOT.glob(name.rstrip("/"))) for name in names), names


# --- commands -------------------------------------------------------------------------------------------


def shell_commands() -> list[str]:
    """Every ``halo-timing …`` line of the shell blocks, with the page that it is on."""
    return [
        f"{document}: {line}"
        for document, text in DOCS.items()
        for block in fenced(text, "sh")
        for line in block.replace("\\\n", " ").splitlines()
        if re.match(r"\S*halo-timing ", line)
    ]


def prose_commands() -> list[str]:
    """Every ``halo-timing …`` between backquotes, often without its arguments."""
    return sorted({name for text in DOCS.values() for name in re.findall(r"`(halo-timing [^`]+)`", text)})


def command_of(text: str) -> tuple[click.Command, list[str]]:
    """Command that a line calls, and the words that are left for it."""
    words = shlex.split(text.replace("…", ""), comments=True)[1:]
    found: click.Command = cli
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(click.Context(found), words[0])
        assert inner is not None, f"no command {words[0]!r}"
        found = inner
        del words[0]
    return found, words


@pytest.mark.parametrize("command", shell_commands())
def test_commands_parse(command: str) -> None:
    found, words = command_of(command.partition(": ")[2])
    assert not isinstance(found, click.Group)
    found.make_context(found.name, words)


@pytest.mark.parametrize("command", prose_commands())
def test_commands_in_prose_exist(command: str) -> None:
    found, words = command_of(command)
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_every_command_is_documented() -> None:
    def paths(command: click.Command, prefix: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from paths(inner, f"{prefix} {name}")
        else:
            yield prefix

    documented = " ".join(shell_commands()) + " "
    assert [path for path in paths(cli, "halo-timing") if f"{path} " not in documented] == []


def test_options_in_tables_are_those_of_the_command() -> None:
    (options,) = names_under("docs/getting-started.md", "A quantized model")
    quantize = cli.get_command(click.Context(cli), "quantize")
    assert quantize is not None
    known = {name for parameter in quantize.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert options <= known
    options, keys = names_under("docs/adding-a-mac.md", "Verilog of your own")
    assert keys == set(OwnMac.model_fields)
    own = click.command()(mac_options(lambda **_: None))
    assert options == {name for parameter in own.params for name in parameter.opts} - {"--mac"}


def test_the_main_figures_name_a_mac_to_beat() -> None:
    (name,) = re.findall(r"best conventional MAC \((\w+)\)", DOCS["README.md"])
    assert family()[name].conventional


def test_make_targets_exist() -> None:
    rules = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shell = "".join(block for text in DOCS.values() for block in fenced(text, "sh"))
    asked = set(re.findall(r"^make ([\w-]+)", shell, re.MULTILINE))
    asked |= {name for text in DOCS.values() for name in re.findall(r"`make ([\w-]+)", text)}
    assert {"demo", "test"} <= asked <= rules


# --- tables of keys -------------------------------------------------------------------------------------


def test_keys_of_run_files() -> None:
    (keys,) = names_under("docs/getting-started.md", "Everything at once")
    assert keys == set(RunConfig.model_fields)


def test_keys_of_space_files() -> None:
    axes, goal = names_under("docs/explore.md", "The space")
    assert axes == set(Axes.model_fields)
    assert goal == set(Goal.model_fields)
    (shown,) = fenced(DOCS["docs/explore.md"], "toml")
    Space.model_validate(tomllib.loads(shown))


def test_variables_are_read_and_all_are_named() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "halo_timing").rglob("*.py"))
    read = set(re.findall(r'environ\.get\("(\w+)"\)|find_executable\(\s*"(\w+)"', code))
    named = {name for pair in read for name in pair if name}
    named |= {"ORFS_ROOT", "FLOW_HOME"} & set(re.findall(r'"(\w+)"', code))
    named |= set(
        re.findall(
            r'^environment = "(\w+)"', "\n".join(p.read_text() for p in (ROOT / "libs").glob("*")), re.M
        )
    )
    (documented,) = names_under("docs/getting-started.md", "Variables")
    assert documented == named


def test_keys_of_descriptors() -> None:
    sources = (WheelSource, DebianSource, OpenPdksSource, OrfsSource, FilesSource)
    page = DOCS["docs/adding-a-pdk.md"]
    for source in sources:
        fields = dict(source.model_fields)
        (kind,) = fields.pop("kind").annotation.__args__  # type: ignore[union-attr]
        row = next(line for line in page.splitlines() if line.startswith(f"| `{kind}` "))
        assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == set(fields)
    cells, constraints = names_under("docs/adding-a-pdk.md", "Cells and constraints")
    assert cells == set(CellValues.model_fields)
    assert constraints == set(ConstraintValues.model_fields)


def test_the_descriptor_shown_is_the_one_in_use() -> None:
    whole, corners = fenced(DOCS["docs/adding-a-pdk.md"], "toml")
    used = (ROOT / "libs" / "nangate45.toml").read_text()
    assert parse_descriptor(whole, Path("docs")) == parse_descriptor(used, Path("libs"))
    shown = tomllib.loads(corners)["corner_files"]
    assert shown == tomllib.loads((ROOT / "libs" / "ihp-sg13g2.toml").read_text())["corner_files"]


def test_the_entry_shown_is_the_one_in_use() -> None:
    own, shown = fenced(DOCS["docs/adding-a-mac.md"], "toml")
    assert tomllib.loads(own) == tomllib.loads((EXAMPLES / "own_mac.toml").read_text())
    entry = tomllib.loads(shown)
    members = tomllib.loads((ROOT / "rtl" / "family.toml").read_text())
    assert entry == {name: members[name] for name in entry}
    # Tables of results follow.
    keys, *_ = names_under("docs/adding-a-mac.md", "The family")
    assert {key for body in members.values() for key in body} <= keys
    (keys,) = names_under("docs/adding-a-mac.md", "Mapping recipes")
    recipes = tomllib.loads((ROOT / "flows" / "recipes.toml").read_text())
    assert all(set(body) == keys for body in recipes.values())


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def bare(requirements: list[str]) -> set[str]:
        names = {re.split(r"[\[<>=;~! ]", requirement)[0] for requirement in requirements}
        return names - {project["name"]}

    (packages,) = names_under("docs/dependencies.md", "Installed with the package")
    assert packages == bare(project["dependencies"])
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \|", DOCS["docs/dependencies.md"].partition("## Extras")[2], re.M
    )
    extras = {name: set(re.findall(r"`([\w-]+)`", listed)) for name, listed in rows}
    assert extras == {name: bare(listed) for name, listed in project["optional-dependencies"].items()}


# --- formats --------------------------------------------------------------------------------------------


def test_files_of_a_result_folder(folder: Path) -> None:
    (documented,) = names_under("docs/formats.md", "Formats")
    real = {path.name + "/" * path.is_dir() for path in folder.iterdir()} - {"reference/"} | {
        "reference/NAME/"
    }
    assert documented == real
    assert (folder / "model" / "quantization.json").is_file()
    assert (folder / "model" / "native" / "model.safetensors").is_file()


def test_tables_are_as_described(folder: Path) -> None:
    arrays, metadata = names_under("docs/formats.md", "`tables.safetensors`")
    real_arrays, real_metadata = stored(folder / "tables.safetensors")
    assert_same_names(arrays, set(real_arrays))
    assert_same_names(metadata, set(real_metadata))
    assert real_arrays["stage_bound_ps"].shape == (16, len(real_metadata["stages"]))
    with (folder / "weights.csv").open() as stream:
        columns = next(csv.reader(stream))
    assert_same_names(names_under("docs/formats.md", "`weights.csv`")[0], set(columns), {"STAGE": r"\\w+"})
    paths = json.loads((folder / "paths.json").read_text())
    assert_same_names(names_under("docs/formats.md", "`paths.json`")[0], set(paths[0]))


def test_cost_maps_are_as_described(folder: Path) -> None:
    arrays, metadata, keys = names_under("docs/formats.md", "`costmap.safetensors`")
    real_arrays, real_metadata = stored(folder / "costmap.safetensors")
    assert_same_names(arrays, set(real_arrays), {"K": r"\\d"})
    of_tables = set(stored(folder / "tables.safetensors")[1])
    assert_same_names(metadata - {"schema_version"}, set(real_metadata) - of_tables)
    assert of_tables <= set(real_metadata)
    text = json.loads((folder / "costmap.json").read_text())
    assert keys == set(text)
    for name, dtype in re.findall(r"^\| `([\w.]+)` \| (\w+), ", DOCS["docs/formats.md"], re.MULTILINE):
        array = real_arrays.get(name.replace("K", "0"))
        assert array is None or array.dtype == dtype, name


def test_netlists_are_as_described(folder: Path) -> None:
    netlist = json.loads((folder / "netlist.json").read_text())
    assert_same_names(names_under("docs/formats.md", "`netlist.json`")[0], set(netlist))
    synthesis = json.loads((folder / "synthesis.json").read_text())
    assert_same_names(names_under("docs/formats.md", "`synthesis.json`")[0], set(synthesis))


def test_models_are_as_described(folder: Path) -> None:
    arrays, metadata = names_under("docs/formats.md", "`native/model.safetensors`")
    native, real_metadata = stored(folder / "model" / "native" / "model.safetensors")
    assert_same_names(arrays, set(native), {"TENSOR": r"layers\\.\\d\\.weight"})
    assert_same_names(metadata, set(real_metadata))
    report = json.loads((folder / "model" / "quantization.json").read_text())
    assert_same_names(names_under("docs/formats.md", "`quantization.json`")[0], set(report))
    # The formula of the page gives the checkpoint that lies beside.
    with safe_open(folder / "model" / "source.safetensors", framework="numpy") as file:
        dense = file.get_tensor("layers.0.weight")
    part = {name.rpartition(".")[2]: array for name, array in native.items() if name.startswith("layers.0.")}
    columns = np.arange(80) // real_metadata["tile"][1]
    expected = part["codes"].astype(np.float32) * part["scales"].astype(np.float32)[:, columns]
    rows = part["sparse_indices"].astype(int) // 80
    expected.ravel()[part["sparse_indices"]] = (
        part["sparse_values"] * part["sparse_scales"].astype(np.float32)[rows]
    )
    np.testing.assert_array_equal(dense, expected)


def test_metrics_and_manifest_are_as_described(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    places = {"K": r"\\d", "NAME": r"\\w+?", "METHOD": r"\\w+?", "CORNER": r"\\w+"}
    assert_same_names(names_under("docs/formats.md", "`metrics.json`")[0], set(metrics), places)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert_same_names(names_under("docs/formats.md", "`manifest.json`")[0], set(manifest))
    record = json.loads((folder / ".steps" / "tables.json").read_text())
    assert_same_names(names_under("docs/formats.md", "`.steps`")[0], set(record))


# --- examples -------------------------------------------------------------------------------------------


def test_the_reader_on_the_page_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = fenced(DOCS["docs/formats.md"], "python")
    assert len(code.strip().splitlines()) <= 12
    monkeypatch.chdir(folder)
    exec(compile(code, "docs/formats.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    levels = json.loads(Path("costmap.json").read_text())["levels"]
    assert [line.split(" GHz")[0] for line in lines] == [f"{level['freq_ghz']:.2f}" for level in levels]


def test_the_example_script_reads_a_cost_map_without_this_package(folder: Path) -> None:
    script = EXAMPLES / "read_costmap.py"
    blocked = "import sys; sys.modules['halo_timing'] = None; import runpy; sys.argv = sys.argv[1:]; "
    command = [sys.executable, "-c", f"{blocked}runpy.run_path(sys.argv[0], run_name='__main__')"]
    done = subprocess.run(
        [*command, str(script), str(folder / "costmap.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    decibels = [float(text) for text in re.findall(r"([\d.]+) dB", done.stdout)]
    assert len(decibels) >= 2
    assert decibels == sorted(decibels)
    assert "nangate45" in done.stdout


def test_the_example_that_takes_numpy_alone_reads_every_array(folder: Path) -> None:
    read = runpy.run_path(str(EXAMPLES / "read_with_numpy.py"))["read"]
    arrays, about = read(folder / "costmap.safetensors")
    expected, metadata = stored(folder / "costmap.safetensors")
    assert about == metadata
    assert arrays.keys() == expected.keys()
    assert all(np.array_equal(arrays[name], expected[name], equal_nan=True) for name in expected)


def test_the_formats_of_exports_are_listed() -> None:
    (listed,) = names_under("docs/exports.md", "Exports")
    assert listed == set(FORMATS)


def test_python_of_the_readme(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = fenced(DOCS["README.md"], "python")
    assert set(re.findall(r"\bht\.(\w+)", code)) <= set(ht.__all__)
    small = code.replace('mac="array"', f'mac="array:{SMALL}"')
    assert small != code
    # What the run has made need not be made again.
    shutil.copytree(folder, tmp_path / "results" / "array")
    monkeypatch.chdir(tmp_path)
    exec(compile(small, "README.md", "exec"), {})
    assert re.search(r"[\d.]+ bits a weight", capsys.readouterr().out)


def test_python_of_the_checkpoints_page(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = fenced(DOCS["docs/checkpoints.md"], "python")
    exec(compile(code, "docs/checkpoints.md", "exec"), {})
    assert capsys.readouterr().out == "True\n"


def test_the_example_mac_is_characterised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / "mac.v"
    main_arguments = [
        "--rtl",
        str(path),
        "--top",
        "my_mac",
        "--weight",
        "weight",
        "--activation",
        "activation",
    ]
    with pytest.raises(SystemExit) as end:
        main(
            [
                "mac",
                "show",
                *main_arguments,
                "--accumulator",
                "sum_in",
                "--load",
                "load=1",
                "--hold",
                "load=0",
            ]
        )
    assert not end.value.code
    assert "0 while computing" in capsys.readouterr().out
    own = find_mac(str(EXAMPLES / "own_mac.toml"))
    mac = replace(own, parameters={"WIDTH": 3}, recipes=("area_units",))
    tables = ht.characterize(mac=mac, out=tmp_path)
    assert tables.stages == ("activation_q", "product_q", "sum_out")
    assert (tables.bound_ps[tables.values != 0] > 0).all()


def test_words_that_do_not_belong_here() -> None:
    for document, text in DOCS.items():
        assert not re.search(r"/(work|root|home|tmp)/|\bTODO\b", text), document
