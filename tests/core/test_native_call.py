"""All native work of the binding takes its one native call path.

The binding's Rust sources are read: a call of one of the core's fallible functions must stand
inside the parentheses of a function of native_call.rs (or of a helper that hands its closure to
one), or in a helper that returns the core's own Result, which only such a closure can use.
"""

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINDING = ROOT / "rust" / "python" / "src"
CORE = ROOT / "rust" / "core" / "src"

pytestmark = pytest.mark.skipif(not BINDING.exists(), reason="needs the sources")

# native_call.rs, and the two helpers that take a closure to it.
NATIVE_CALLS = ("run", "run_tensor", "run_in_turns", "binary", "of_two")
# Flags, and the state of this thread: they compute nothing and wait for nobody.
LOOKS = {
    "set_requires_grad",
    "retain_grad",
    "set_grad",
    "require_float",
    "forbid",
    "begin",
    "hooks",
}

CODE = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"', re.DOTALL)
METHOD = re.compile(r"pub fn (\w+)(?:<[^>]*>)?\(\s*&(?:mut )?self[^;{]*?-> Result<", re.DOTALL)
ROW = re.compile(r"^    [A-Z]\w+ (\w+)\(\s*x\b", re.MULTILINE)
MAKER = re.compile(r"pub fn (\w+)(?:<[^>]*>)?\(\s*(?!&)[^;{]*?-> Result<", re.DOTALL)


def blanked(source):
    """Replace comments and strings by blanks, so that brackets in them do not count."""
    return CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)


@functools.cache
def core_sources():
    return [blanked(path.read_text(encoding="utf-8")) for path in CORE.rglob("*.rs")]


@functools.cache
def core_methods():
    """Fallible methods, and the functions of the elementwise table."""
    table = blanked((CORE / "ops" / "elementwise.rs").read_text(encoding="utf-8"))
    methods = {name for source in core_sources() for name in METHOD.findall(source)}
    return (methods | set(ROW.findall(table))) - LOOKS - {"get", "run"}


@functools.cache
def core_functions():
    """Functions and constructors, as the binding calls them: with a path."""
    return {name for source in core_sources() for name in MAKER.findall(source)} - LOOKS


def closing(source, start):
    """Return where the bracket that opens at `start` is closed."""
    depth = 0
    for place in range(start, len(source)):
        depth += source[place] in "([{"
        depth -= source[place] in ")]}"
        if depth == 0:
            return place
    raise AssertionError("brackets do not match")


def permitted(source):
    """Return the ranges in which native work may be done."""
    calls = re.finditer(rf"(?<!fn )\b(?:{'|'.join(NATIVE_CALLS)})(\()", source)
    ranges = [(found.start(), closing(source, found.start(1))) for found in calls]
    helpers = re.finditer(r"\bfn \w+[^;{]*-> (?:evengrad_core::)?Result<[^;{]*(\{)", source)
    return ranges + [(found.start(), closing(source, found.start(1))) for found in helpers]


def strays(source):
    source = blanked(source)
    inside = permitted(source)
    # In a macro a row of the table is called by its `$name`.
    methods, functions = "|".join([r"\$name", *core_methods()]), "|".join(core_functions())
    # A generator is two numbers and a count: making one is no work.
    aliases = r"(?:Core(?!Generator)\w+|tape|loss|pair_loss|feed::Feed|team|capture)"
    receiver = r"\b(?:self|this|inner|tensor|source|x|to)(?:\.0)*"
    calls = re.compile(rf"{receiver}\.(?:{methods})\(|{aliases}::(?:{functions}|{methods})\(")
    return [
        found[0]
        for found in calls.finditer(source)
        if not any(start <= found.start() < stop for start, stop in inside)
    ]


def test_the_core_s_work_is_known():
    assert {"add", "cast", "copy_into", "exp", "leaky_relu", "replay", "apply"} <= core_methods()
    assert {"backward", "gradients", "empty", "full", "cross_entropy"} <= core_functions()


def test_a_stray_is_found():
    source = """
    fn good(&self) -> PyResult<Self> { run_tensor(py, || self.0.exp()) }
    fn helper(x: &CoreTensor) -> Result<CoreTensor> { x.cast(DType::F64) }
    fn bad(&self) -> PyResult<Self> { self.0.exp().map_err(exception) } // run(
    fn worse(&self) -> PyResult<()> { tape::backward(&self.0, None, false).map_err(exception) }
    """
    assert strays(source) == ["self.0.exp(", "tape::backward("]


@pytest.mark.parametrize("path", sorted(BINDING.glob("*.rs")), ids=lambda path: path.name)
def test_native_work_takes_the_native_call_path(path):
    assert strays(path.read_text(encoding="utf-8")) == []


def test_only_native_calls_release_the_gil():
    for path in BINDING.glob("*.rs"):
        source = blanked(path.read_text(encoding="utf-8"))
        if path.name != "native_call.rs":
            assert "detach(||" not in source
            assert "catch_unwind" not in source
        for word in (".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!("):
            assert word not in source, f"{path.name}: {word}"
