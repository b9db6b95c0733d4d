"""Paths: what is no file is refused, other formats are too, errors name the file, nothing stays."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from checkpoint_checks import net, run

import evengrad as eg
from evengrad import callbacks, layers
from evengrad.saving import _safetensors


def built():
    return eg.Sequential([eg.Input((3,)), layers.Dense(2)], seed=1)


def fit(chosen):
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    return model.fit(np.ones((4, 2)), np.ones(4), verbose=0, epochs=2, callbacks=chosen)


def history():
    made = callbacks.History()
    made.on_epoch_end(0, {"loss": 1.0})
    return made


WRITES = {
    "save": lambda path: built().save(path),
    "save_weights": lambda path: built().save_weights(path),
    "ModelCheckpoint": lambda path: fit(callbacks.ModelCheckpoint(path)),
    "CSVLogger": lambda path: fit(callbacks.CSVLogger(path)),
    "CSVLogger, append": lambda path: fit(callbacks.CSVLogger(path, append=True)),
    "JSONLogger": lambda path: fit(callbacks.JSONLogger(path)),
    "JSONLogger, append": lambda path: fit(callbacks.JSONLogger(path, append=True)),
    "to_csv": lambda path: history().to_csv(path),
    "report": lambda path: history().report(path),
}
READS = {
    "load_model": eg.load_model,
    "load_weights": lambda path: built().load_weights(path),
}


@pytest.fixture(params=["pipe", "socket", "device", "folder"])
def no_file(request, tmp_path, monkeypatch):
    path = tmp_path / "net"
    ends = ()
    if request.param == "folder":
        path.mkdir()
    elif request.param == "device":
        # A terminal of its own: nothing else is harmed where it is taken for a file.
        pty = pytest.importorskip("pty")
        ends = pty.openpty()
        path.symlink_to(os.ttyname(ends[1]))
    elif request.param == "pipe":
        os.mkfifo(path)
    else:
        # The path of a socket must be short.
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("net")
    yield path
    for end in ends:
        os.close(end)


@pytest.mark.skipif(os.name != "posix", reason="pipes")
@pytest.mark.parametrize("use", [*WRITES, *READS])
def test_what_is_no_file_is_refused_and_not_waited_for(use, no_file):
    with pytest.raises(OSError, match=r"expected an ordinary file, got a|Is a directory") as caught:
        {**WRITES, **READS}[use](no_file)
    assert str(no_file) in str(caught.value)
    assert [path.name for path in no_file.parent.iterdir()] == ["net"]


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_pipe_among_checkpoints_is_passed_over(tmp_path):
    run(net(), 2, checkpoint=tmp_path)
    os.mkfifo(tmp_path / "checkpoint-000009-00000000.safetensors")
    assert run(net(), 3, checkpoint=tmp_path).epoch == [0, 1, 2]


@pytest.fixture
def full_disk():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("use", WRITES)
def test_errors_of_a_full_disk_name_the_file(use, tmp_path):
    with pytest.raises(OSError, match="net") as caught:
        WRITES[use](tmp_path / "net")
    assert caught.value.filename == str(tmp_path / "net")
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("logger", [callbacks.CSVLogger, callbacks.JSONLogger])
def test_lines_of_a_log_are_written_whole_or_not_at_all(tmp_path, logger):
    class FillDisk(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 3, before[1]))

    path = tmp_path / "log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="log"):
            fit([FillDisk(), logger(path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    *head, last = path.read_text().splitlines()
    assert head == (["epoch,loss"] if logger is callbacks.CSVLogger else [])
    assert re.match(r'(\{"epoch": )?0\b', last)
    assert path.read_text().endswith("\n")


@pytest.mark.parametrize("use", [*READS, "save", "save_weights"])
def test_errors_of_a_failing_disk_name_the_file(use, tmp_path, monkeypatch):
    path = tmp_path / "net"
    built().save(path)

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_safetensors, "head_of", fail)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="net") as caught:
        {**WRITES, **READS}[use](path)
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.EIO


def test_errors_name_the_file_and_not_the_one_that_is_moved_there(tmp_path):
    for folder in (tmp_path / "none", "/proc"):
        with pytest.raises(OSError, match="net") as caught:
            built().save(os.path.join(folder, "net"))
        assert caught.value.filename == os.path.join(folder, "net")


# ---- what killed processes leave


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_the_next_save_removes_what_a_killed_one_left(tmp_path):
    program = """
    import os, signal, sys
    import evengrad as eg
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(2)])
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    model.save(sys.argv[1])
    """
    path = tmp_path / "net"
    for _ in range(2):
        command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "net2.0a1b2c3d.tmp").write_bytes(b"another file's")
    (tmp_path / "net.tmp").write_bytes(b"the user's")
    built().save(path)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["net", "net.tmp", "net2.0a1b2c3d.tmp"]


@pytest.mark.skipif(os.name != "posix", reason="locks")
def test_what_another_process_is_writing_stays(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    other = tmp_path / "net.0a1b2c3d.tmp"
    with other.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        built().save(tmp_path / "net")
        assert other.exists()
    built().save(tmp_path / "net")
    assert not other.exists()


def test_a_checkpoint_of_the_model_removes_what_was_left_of_other_epochs(tmp_path):
    left = tmp_path / "net-07-0.25.safetensors.0a1b2c3d.tmp"
    others = [tmp_path / "net-best.safetensors.0a1b2c3d.tmp", tmp_path / "x.0a1b2c3d.tmp"]
    for path in (left, *others):
        path.write_bytes(b"half")
    fit(callbacks.ModelCheckpoint(tmp_path / "net-{epoch:02d}-{loss:.2f}.safetensors"))
    assert not left.exists()
    assert all(path.exists() for path in others)


# ---- paths


def test_bytes_are_a_path(tmp_path):
    path = os.fsencode(tmp_path / "m")
    built().save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
    assert eg.load_model(path).output_shape == (None, 2)
    built().save_weights(path)
    built().load_weights(path)
    with pytest.raises(eg.FileFormatError, match="m: holds tensors"):
        eg.load_model(path)


@pytest.mark.parametrize("use", [*WRITES, *READS])
@pytest.mark.parametrize(
    ("path", "error"),
    [(3, TypeError), ("", ValueError), ("a\0b", ValueError), ("folder/", ValueError)],
)
def test_what_is_no_path_is_refused(use, path, error):
    with pytest.raises(error, match="expected the path of a file, got"):
        {**WRITES, **READS}[use](path)


SUFFIXES = "onnx h5 hdf5 keras pt pth ckpt npz npy pkl joblib weights.h5 H5 pth.tar"


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_other_formats_are_refused_with_the_right_call(suffix, tmp_path):
    path = tmp_path / f"net.{suffix}"
    right = r"'\S*/net(\.weights|\.pth)?\.safetensors'"
    if suffix != "keras":
        with pytest.raises(ValueError, match=rf"another format.*use model\.save\({right}\)"):
            built().save(path)
    if suffix not in ("npz", "weights.h5"):
        with pytest.raises(ValueError, match=rf"use model\.save_weights\({right}\)"):
            built().save_weights(path)
    with pytest.raises(ValueError, match=rf"filepath: .*use ModelCheckpoint\({right}\)"):
        callbacks.ModelCheckpoint(path)
    assert not list(tmp_path.iterdir())


def test_other_names_are_free(tmp_path):
    for name in ("net", "net.safetensors", "net.v2", "net.best", ".net", "net.2026-11-30"):
        built().save(tmp_path / name)
        eg.load_model(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"),
        (b"PK\x03\x04" + bytes(90), "a zip archive"),
    ],
)
def test_files_of_other_formats_are_named(content, kind, tmp_path):
    (tmp_path / "net").write_bytes(content)
    with pytest.raises(eg.FileFormatError, match=f"no safetensors file but {kind}"):
        eg.load_model(tmp_path / "net")
    for load in READS.values():
        with pytest.raises(eg.FileFormatError):
            load(tmp_path / "net")


# ---- control characters

RED = "a\x1b[31m\r\n\x9b2J\u2028\u202eb"


def is_clean(text):
    return not any(character in text for character in "\x1b\r\x9b\u2028\u202e")


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(1, name=RED),
        lambda: eg.Sequential(name=RED),
        lambda: eg.Input((2,), name=RED),
    ],
)
def test_names_have_no_control_characters(make):
    with pytest.raises(ValueError, match="without control characters") as caught:
        make()
    assert is_clean(str(caught.value))


def test_names_of_losses_and_metrics_have_escapes():
    for made in (eg.metrics.AUC(name=RED), eg.losses.MeanSquaredError(name=RED)):
        assert is_clean(made.name)
        assert type(made)(**made.get_config()).name == made.name


def test_names_of_functions_and_figures_are_shown_with_escapes(tmp_path, capsys):
    def error(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean(dim=-1)

    class Adds(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs[RED] = 1.0

    error.__name__ = RED
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", error, [error])
    path = tmp_path / "log.csv"
    for append in (False, True):
        kept = model.fit(
            np.ones((4, 2)),
            np.ones(4),
            verbose=2,
            callbacks=[Adds(), callbacks.CSVLogger(path, append=append)],
        )
    output = capsys.readouterr()
    kept.to_csv(tmp_path / "history.csv")
    lines = path.read_text()
    assert len(lines.splitlines()) == 3
    assert not any(line.endswith(",") for line in lines.splitlines())
    for text in (output.out, output.err, lines, (tmp_path / "history.csv").read_text(), repr(kept)):
        assert r"a\x1b[31m" in text or not text
        assert is_clean(text)


def test_names_in_plots_are_shown_with_escapes():
    pytest.importorskip("matplotlib").use("Agg")
    made = callbacks.History()
    made.on_epoch_end(0, {RED: 1.0, f"val_{RED}": 1.5})
    axes = made.plot([RED])
    for text in (axes.get_ylabel(), *(line.get_label() for line in axes.get_lines())):
        assert is_clean(text)


def test_names_of_places_are_shown_with_escapes():
    class Net(eg.Model):
        def __init__(self):
            super().__init__()
            self.parts = {RED: layers.Dense(2)}

        def call(self, x):
            return self.parts[RED](x)

    model = type(RED, (Net,), {})()
    model(np.ones((1, 2)))
    summary = model.summary()
    for text in (
        str(summary),
        repr(summary),
        model._repr_html_(),
        model.path,
        model.layers[0].path,
    ):
        assert r"\x1b" in text
        assert is_clean(text)


def test_errors_about_files_are_shown_with_escapes(tmp_path):
    path = tmp_path / RED
    _safetensors.write(path, {RED: np.ones(2)}, {"evengrad": "{"})
    for use in READS.values():
        with pytest.raises(ValueError, match="a") as caught:
            use(path)
        assert is_clean(str(caught.value))
    path.write_bytes(path.read_bytes()[:-1])
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.write_bytes(b"")
    with pytest.raises(eg.FileFormatError, match=r"\\udcff"):
        eg.load_model(odd)
    with pytest.raises(eg.FileFormatError) as caught:
        eg.load_model(path)
    assert is_clean(str(caught.value))
