"""Paths of files: as text, of ordinary files alone, and not of other programs' formats."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}

ONNX = "model.export writes ONNX"
KERAS = "for Keras, model.save('net.keras') and model.save_weights('net.weights.h5')"
TORCH = "for PyTorch, model.save_weights(path, layout='torch') and safetensors.torch.load_file"
NUMPY = "for NumPy, model.save_weights('weights.npz')"
PICKLE = "models pickle too, with pickle.dump"
# Suffixes that other formats have, with what else there is to say to those who ask for one.
FOREIGN = {
    ".onnx": ONNX,
    ".h5": KERAS,
    ".hdf5": KERAS,
    ".keras": KERAS,
    ".pt": TORCH,
    ".pth": TORCH,
    ".tar": TORCH,
    ".ckpt": "checkpoints of a training are fit(checkpoint='folder')",
    ".npz": NUMPY,
    ".npy": NUMPY,
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
    ".pb": "TensorFlow cannot read the file",
    ".tflite": "TensorFlow cannot read the file",
    ".json": "the description alone is in the file's header",
}

WEIGHTS = "; make the model and use load_weights"
# What reads the files of other formats here, by suffix: the end of a message.
READERS = {
    **dict.fromkeys([".h5", ".hdf5", ".npz", ".pt", ".pth", ".ckpt"], WEIGHTS),
    ".keras": "; Model.from_keras reads such files",
    ".onnx": "; Model.from_onnx reads such files",
}


def file_path(path: Any, argument: str = "path") -> str:
    """Return the path of a file as text, or raise an error that names the argument."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"{argument}: expected the path of a file, got {path!r} ({type(path).__name__})"
        )
    text = os.fsdecode(path)
    # With a slash behind it, it is that of a folder.
    if not text or "\0" in text or text.endswith(os.sep):
        raise ValueError(f"{argument}: expected the path of a file, got {text!r}")
    return text


def reader_of(path: str) -> str:
    """Return the end of a message about a file whose suffix another format has."""
    return READERS.get(os.path.splitext(path)[1].lower(), "")


def path_to_write(path: Any, call: str, argument: str = "path") -> str:
    """Return the path of a file to be written, or raise an error where it names another format.

    `call` is what writes the file, as ``"model.save"``.
    """
    text = file_path(path, argument)
    stem, suffix = os.path.splitext(text)
    if suffix.lower() in FOREIGN:
        raise ValueError(
            f"{argument}: {text!r} has the suffix of another format, and {call} writes "
            f"safetensors: use {call}({stem + '.safetensors'!r}); {FOREIGN[suffix.lower()]}"
        )
    return text


def check_ordinary(path: str) -> None:
    """Raise an OSError for something that is no file: a pipe, say, would be waited for."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        # Whoever opens it says so, or makes it.
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"expected an ordinary file, got {kind}", path)


@contextlib.contextmanager
def errors_name(path: str) -> Iterator[None]:
    """Have each OSError inside carry this path: those of full and failing disks carry none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == path:
            raise
        raise OSError(error.errno, error.strerror, path) from error
