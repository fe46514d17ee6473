# Everything starts from a clean clone: `make demo` shows what this is, `make test` checks all of it.
# Needs Python >= 3.11 with venv and headers, a C compiler, git; says in one line which of them is missing.
#
#   make build   .venv with the package compiled in place and every extra
#   make demo    the main job on real input, under a minute after the build
#   make test    tests, mypy --strict, ruff, stubs against modules, floors, README examples (all through pytest)
#   make bench   the measurements beside the peers, how costs grow, and through RethinkDB where it is on PATH;
#                writes benchmarks/README.md and growth.svg; bench-quick: the peers alone, on the recordings'
#                beginnings, in two minutes; bench-growth: growth.svg alone
#   make campaign  what takes longer than a test may, about an hour; writes tests/CAMPAIGN.md
#   make clean   removes all that the others made

# PYTHON=… picks the interpreter; otherwise the first on PATH that is new enough.
PYTHON ?=
JOBS ?= auto

VENV := .venv
RUN := $(VENV)/bin/python
KERNELS := $(wildcard syncstring/*.pyx syncstring/*.pxd)

.PHONY: build demo test bench bench-quick bench-growth campaign clean
.DELETE_ON_ERROR:

build: $(VENV)/compiled

# The environment depends on what pyproject.toml asks for; the package in it is this very checkout.
$(VENV)/installed: pyproject.toml tools/preflight.sh tools/requirements.py
	@python=$$(PYTHON='$(PYTHON)' sh tools/preflight.sh) && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@echo 'make: installing what pyproject.toml asks for into $(VENV)'
	@$(RUN) tools/requirements.py > $(VENV)/requirements.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r $(VENV)/requirements.txt
	@touch $@

# Compiling and the editable install are one step, so that `syncstring` on .venv's path is what stands here.
$(VENV)/compiled: $(VENV)/installed setup.py $(KERNELS)
	@echo 'make: compiling'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: build
	@$(RUN) examples/demo.py

test: build
	@$(RUN) -m pytest -n $(JOBS) $(PYTEST)

bench: build
	@$(RUN) benchmarks/run.py
	@$(RUN) benchmarks/growth.py
	@$(RUN) benchmarks/rethink.py || [ $$? -eq 2 ]

bench-quick: build
	@$(RUN) benchmarks/run.py --quick

bench-growth: build
	@$(RUN) benchmarks/growth.py

# atheris is asked for here alone: it has no wheels for some machines, and nothing else needs it.
campaign: build
	-@$(RUN) -m pip install --quiet --disable-pip-version-check 'atheris>=3.0'
	@$(RUN) tests/campaign.py --lanes 2

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f syncstring/*.so syncstring/*.c syncstring/*.html
	find syncstring tests benchmarks examples tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
