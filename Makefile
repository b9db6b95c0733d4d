# Every task of the project, by name. Tools are installed into virtual environments inside the
# checkout; nothing outside it is changed. Longer recipes live in tools/, each with its reasons at
# the top.

# The Python that the environments are made with: any CPython >= 3.10.
PYTHON ?= python3
ifeq ($(origin PYTHON),command line)
# PyO3's build script looks for `python3` unless told otherwise; it must not find an older one.
export PYO3_PYTHON := $(PYTHON)
endif
export PYTHON

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# Where `native-wheel` leaves the one wheel that demo, test and docs install.
export NATIVE_WHEELS := $(TARGET_DIR)/native-wheel
# Where no speed is measured: the linker's part of the optimization is a seventh of the time that a wheel takes, and
# shows in single operations alone. `make wheel`, `race` and `compare` have it.
battery demo docs docs-links interoperability test: export CARGO_PROFILE_RELEASE_LTO := off

.DEFAULT_GOAL := help
# The recipes use the shell's `pipefail` and stop at the first failing command.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

.PHONY: help demo test test-pythons interoperability bench rivals race compare constants battery lint stubs additions \
    wheel native-wheel docs docs-links footprint sanitize clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: native-wheel .venv/stamp  ## train a network on the digits; results in demo-output/
	.venv/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	.venv/bin/pip install --quiet "$$(echo $(NATIVE_WHEELS)/*.whl)[progress,plot,sklearn]"
	.venv/bin/python examples/01_digits.py --output demo-output

test:  ## everything that must pass: linters, tests, examples (what CI runs)
	tools/test.sh

test-pythons: wheel  ## the Python tests against that wheel, on every CPython >= 3.10 found here
	$(PYTHON) tools/test_pythons.py dist/*.whl

interoperability: native-wheel .venv-interoperability/stamp  ## files of and for the real PyTorch, TensorFlow, Keras, ONNX (FILTER=text for some tests)
	.venv-interoperability/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	.venv-interoperability/bin/pytest tests/interoperability $(if $(FILTER),-k '$(FILTER)')

bench:  ## the criterion benches (BENCH=name for one of them, FILTER=text for some rows)
	cargo bench --locked --package evengrad-benches $(if $(BENCH),--bench $(BENCH)) -- $(FILTER)

rivals:  ## products of matrices beside those of other crates, on one thread
	cargo run --release --locked --manifest-path benches/rivals/Cargo.toml --target-dir $(TARGET_DIR)/rivals

# WHEEL names a wheel that is there already, instead of one made here first. QUICK=1 only shows
# whether the race runs. RECORD=1 puts its figures into docs/ and README.md.
race_settings = WORKLOADS TASKS PEERS SECONDS_EACH ROUNDS ATTEMPTS
race: $(if $(WHEEL),,native-wheel)  ## race other libraries here (WORKLOADS=, TASKS=, PEERS=, SECONDS_EACH=, ROUNDS=, ATTEMPTS=, RECORD=1, QUICK=1)
	PEERS="$(PEERS)" RECORD="$(RECORD)" \
	    COMMAND='$(strip make race $(foreach name,$(race_settings),$(if $($(name)),$(name)="$(strip $($(name)))")))' \
	    tools/race.sh $(or $(WHEEL),$(NATIVE_WHEELS)/*.whl) \
	    $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(if $(TASKS),--tasks $(TASKS)) \
	    $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	    $(if $(ATTEMPTS),--attempts $(ATTEMPTS)) \
	    $(if $(QUICK),--quick)

# BASE names any commit; its wheel is built once and kept. WHEEL and QUICK as above.
compare: .venv-build/stamp $(if $(WHEEL),,native-wheel)  ## measure this tree beside commit BASE (BASE=, WORKLOADS=, TASKS=, SECONDS_EACH=, ROUNDS=, QUICK=1)
	tools/compare.sh $(or $(BASE),$(error BASE names no commit)) $(or $(WHEEL),$(NATIVE_WHEELS)/*.whl) \
	    $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(if $(TASKS),--tasks $(TASKS)) \
	    $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	    $(if $(ATTEMPTS),--attempts $(ATTEMPTS)) \
	    $(if $(QUICK),--quick)

# Modules that were compiled from the same sources are kept in TARGET_DIR/constants.
constants: native-wheel .venv-race-evengrad/stamp  ## what halving and doubling the planner's chosen constants does (CONSTANTS=, WORKLOADS=, SECONDS_EACH=, ROUNDS=)
	.venv-race-evengrad/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	.venv-race-evengrad/bin/python benches/race/constants.py --folder $(TARGET_DIR)/constants \
	    $(if $(CONSTANTS),--constants $(CONSTANTS)) $(if $(WORKLOADS),--workloads $(WORKLOADS)) \
	    $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH)) $(if $(ROUNDS),--rounds $(ROUNDS))

battery: native-wheel .venv/stamp  ## what the doctor says of many nets, healthy and sick (NETS=, SEEDS=, DRAWN=)
	.venv/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	.venv/bin/pip install --quiet "$$(echo $(NATIVE_WHEELS)/*.whl)[sklearn]"
	.venv/bin/python benches/health/battery.py $(if $(NETS),--nets '$(NETS)') $(if $(SEEDS),--seeds $(SEEDS)) \
	    $(if $(DRAWN),--drawn $(DRAWN))

lint: .venv-test/stamp  ## formatting, clippy, rustdoc, ruff and mypy
	tools/lint.sh

# The dev profile: it is compiled in any case before a change of the core is merged.
stubs: .venv-build/stamp .venv-test/stamp  ## write what follows from the core's table of functions
	VIRTUAL_ENV=$(CURDIR)/.venv-test .venv-build/bin/maturin develop --locked
	.venv-test/bin/python tools/generate_stubs.py

additions: .venv-build/stamp .venv-test/stamp  ## add one of each kind to a copy of the sources, and test it
	tools/try_additions.sh

wheel: .venv-wheel/stamp  ## the wheel to publish, in dist/ (Linux: manylinux for glibc >= 2.17)
	tools/wheel.sh

# A wheel for this machine, made with its own linker and for its processor: quicker than `wheel`.
native-wheel: .venv-build/stamp
	rm -rf $(NATIVE_WHEELS)
	tools/native.sh .venv-build/bin/maturin build --release --locked --compatibility linux \
	    --out $(NATIVE_WHEELS)

# The site's sources are read from here, the package from the wheel. FILTER names examples to run, of which the others
# are shown alone.
docs: native-wheel .venv-docs/stamp  ## the site, with the reference of both languages, in site/ (FILTER=text for some examples)
	.venv-docs/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	PYTHON=.venv-docs/bin/python FILTER='$(FILTER)' tools/build_site.sh site
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps
	cp -r $(TARGET_DIR)/doc site/rust

docs-links: native-wheel .venv-docs/stamp  ## ask the hosts of all links in the site whether they are there
	.venv-docs/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	PYTHON=.venv-docs/bin/python BUILDER=linkcheck tools/build_site.sh $(TARGET_DIR)/links

footprint: native-wheel .venv/stamp  ## how long the import takes, and how large the wheel is
	.venv/bin/pip install --quiet --force-reinstall --no-deps $(NATIVE_WHEELS)/*.whl
	.venv/bin/pip install --quiet "$$(echo $(NATIVE_WHEELS)/*.whl)[all]"
	.venv/bin/python tools/measure_import.py $(NATIVE_WHEELS)/*.whl

sanitize:  ## the core's tests under AddressSanitizer, and Miri where a nightly toolchain has it
	tools/sanitize.sh

clean:  ## remove everything that the other targets made
	cargo clean
	rm -rf .venv .venv-* dist site demo-output race-output docs/gallery docs/notebooks docs/reference/*.rst
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache

# An environment is remade when what it was made from changes; the stamp is the last thing made in
# it.
.venv/stamp:
	tools/make_venv.sh .venv

.venv-build/stamp: tools/requirements-build.txt
	tools/make_venv.sh .venv-build -r $<

.venv-wheel/stamp: tools/requirements-wheel.txt tools/requirements-build.txt
	tools/make_venv.sh .venv-wheel -r $<

.venv-test/stamp: tests/requirements.txt
	tools/make_venv.sh .venv-test -r $<

.venv-interoperability/stamp: tests/interoperability/requirements.txt
	tools/make_venv.sh .venv-interoperability -r $<

.venv-docs/stamp: tools/requirements-docs.txt tests/requirements.txt
	tools/make_venv.sh .venv-docs -r $< -r tests/requirements.txt

.venv-race-%/stamp: benches/race/requirements-%.txt
	tools/make_venv.sh .venv-race-$* -r $<
