#!/usr/bin/env bash
# The checks that read the sources and run nothing of them. Stops at the first that fails.
#
#     tools/lint.sh [python] [rust]     (both, unless one is named)
#
# Uses the environment .venv-test, made by `make lint` and `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/sections.sh

lint_python() {
    section "ruff"
    .venv-test/bin/ruff check
    .venv-test/bin/ruff format --check

    section "mypy"
    .venv-test/bin/mypy
}

lint_rust() {
    section "rustfmt"
    cargo fmt --all --check
    cargo fmt --manifest-path benches/rivals/Cargo.toml --check

    section "clippy"
    cargo clippy --locked --workspace --all-targets -- --deny warnings

    section "rustdoc"
    RUSTDOCFLAGS="--deny warnings" \
        cargo doc --quiet --locked --workspace --no-deps --document-private-items
}

(($# > 0)) || set -- python rust
for language in "$@"; do
    "lint_$language"
done
