#!/usr/bin/env bash
# The checks that read the sources and run nothing of them. Stops at the first that fails.
#
# Uses the environment .venv-test, made by `make lint` and `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh

section "rustfmt"
cargo fmt --all --check
cargo fmt --manifest-path benches/rivals/Cargo.toml --check

section "ruff"
.venv-test/bin/ruff check
.venv-test/bin/ruff format --check

section "mypy"
.venv-test/bin/mypy

section "clippy"
cargo clippy --locked --workspace --all-targets -- --deny warnings

section "rustdoc"
RUSTDOCFLAGS="--deny warnings" \
    cargo doc --quiet --locked --workspace --no-deps --document-private-items
