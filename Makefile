# Two commands on a fresh machine: `make demo` sets up everything and runs the main job, `make test` the tests.
# Both can be given again at any time; what is there already is kept.

PYTHON ?= python3
VENV   ?= .venv
OUT    ?= results/demo
BIN    := $(VENV)/bin

.PHONY: help demo study stream quality test proof lint setup setup-test tools tools-test clean

help:
	@echo "make demo   set up, then characterise the array MAC on Nangate45 and quantize MiniLM with it ($(OUT))"
	@echo "make study  set up, then characterise every MAC of the family on Nangate45 (results/study)"
	@echo "make stream quantize a synthetic 8 GB checkpoint, killed at random, and measure memory (36 GB of disk, 1 h)"
	@echo "make quality set up, then measure every way of quantizing SmolLM2-135M (results/quality, an hour)"
	@echo "make test   set up, then run linters, type checks and tests"
	@echo "make proof  every toggle of dynamic timing against Icarus Verilog, 18 netlists: half an hour or more, resumes"
	@echo "make lint   linters and type checks only"
	@echo "make clean  remove the virtual environment and the demo's results"

demo: setup
	$(BIN)/halo-timing pdk install nangate45
	$(BIN)/halo-timing doctor
	$(BIN)/halo-timing run --pdk nangate45 --mac array --model minilm --out "$(OUT)"

study: setup
	$(BIN)/halo-timing pdk install nangate45
	$(BIN)/halo-timing mac study --pdk nangate45 --out results/study

stream: setup
	mkdir -p results
	$(BIN)/python benchmarks/stream.py results

test: setup-test lint
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -q -n auto --dist loadfile --cov --cov-report=term

proof: setup-test
	$(BIN)/python -m benchmarks.icarus_proof

quality: setup-test
	$(BIN)/halo-timing pdk install nangate45
	for mac in array one_digit two_row; do \
	  $(BIN)/halo-timing characterize --pdk nangate45 --mac $$mac --out results/quality/$$mac && \
	  $(BIN)/halo-timing costmap results/quality/$$mac || exit 1; done
	sh scripts/texts.sh results/quality/text
	$(BIN)/python benchmarks/smollm2.py results/quality --costmap array=results/quality/array \
	  --costmap one_digit=results/quality/one_digit --costmap two_row=results/quality/two_row

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: tools $(VENV)/.installed

setup-test: tools-test $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	@echo "==> Python packages of halo_timing into $(VENV)"
	@PYTHON="$(PYTHON)" sh scripts/venv.sh "$(VENV)" "."
	@touch $@

$(VENV)/.installed-dev: pyproject.toml
	@echo "==> Python packages of halo_timing and of its tests into $(VENV)"
	@PYTHON="$(PYTHON)" sh scripts/venv.sh "$(VENV)" ".[dev]"
	@touch $@ $(VENV)/.installed

tools:
	@sh scripts/tools.sh

tools-test:
	@sh scripts/tools.sh test

clean:
	rm -rf $(VENV) $(OUT)
