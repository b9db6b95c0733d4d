"""Files of `torch.save` without PyTorch: what the format says, written by hand; and broken ones."""

import pickle
import struct
import zipfile
from typing import NamedTuple

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


class Global(NamedTuple):
    """Something that a pickle names, and what it is called with."""

    module: str
    name: str
    arguments: tuple = ()


class Ordered(NamedTuple):
    """An ordered dict, as the pickle has it: made without items, which are set then."""

    table: dict


class Storage(NamedTuple):
    """A storage outside of the pickle."""

    key: str
    dtype: str
    count: int


def tensor(key, array, dtype=None, offset=0, shape=None, strides=None, count=None):
    """Return a tensor as the pickle has it; of an array where nothing else is said."""
    shape = array.shape if shape is None else shape
    if strides is None:
        strides = tuple(stride // array.itemsize for stride in np.zeros(shape, array.dtype).strides)
    storage = Storage(str(key), dtype or array.dtype.name, array.size if count is None else count)
    arguments = (storage, offset, tuple(shape), tuple(strides), False, Ordered({}))
    return Global("torch._utils", "_rebuild_tensor_v2", arguments)


class Pickle:
    """Writes what the format needs of pickle's second protocol."""

    def __init__(self):
        self.parts = [pickle.PROTO + b"\x02"]

    def write(self, value):
        """Append an object."""
        WRITERS[type(value)](self, value)

    def storage(self, value):
        """Append a reference to a storage."""
        kind = Named("torch", STORAGES.get(value.dtype, value.dtype))
        self.write(("storage", kind, value.key, "cpu", value.count))
        self.parts.append(pickle.BINPERSID)

    def named(self, value):
        """Append a name."""
        self.parts.append(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())

    def called(self, value):
        """Append a name with the arguments that it is called with."""
        self.named(value)
        self.write(tuple(value.arguments))
        self.parts.append(pickle.REDUCE)

    def ordered(self, value):
        """Append an ordered dict."""
        self.called(Global("collections", "OrderedDict"))
        self.items(value.table)

    def table(self, value):
        """Append a dict."""
        self.parts.append(pickle.EMPTY_DICT)
        self.items(value)

    def row(self, value):
        """Append a tuple."""
        self.parts.append(pickle.MARK)
        for item in value:
            self.write(item)
        self.parts.append(pickle.TUPLE)

    def list(self, value):
        """Append a list."""
        self.parts.append(pickle.EMPTY_LIST + pickle.MARK)
        for item in value:
            self.write(item)
        self.parts.append(pickle.APPENDS)

    def text(self, value):
        """Append a string."""
        data = value.encode()
        self.parts.append(pickle.BINUNICODE + struct.pack("<I", len(data)) + data)

    def whole(self, value):
        """Append a whole number."""
        if -(2**31) <= value < 2**31:
            self.parts.append(pickle.BININT + struct.pack("<i", value))
        else:
            data = value.to_bytes(9, "little", signed=True)
            self.parts.append(pickle.LONG1 + bytes([len(data)]) + data)

    def items(self, table):
        """Set the items of the dict on top."""
        self.parts.append(pickle.MARK)
        for key, item in table.items():
            self.write(key)
            self.write(item)
        self.parts.append(pickle.SETITEMS)


class Named(NamedTuple):
    """Something that a pickle names and does not call."""

    module: str
    name: str


WRITERS = {
    Storage: Pickle.storage,
    Named: Pickle.named,
    Global: Pickle.called,
    Ordered: Pickle.ordered,
    dict: Pickle.table,
    tuple: Pickle.row,
    list: Pickle.list,
    str: Pickle.text,
    int: Pickle.whole,
    bool: lambda writer, value: writer.parts.append(pickle.NEWTRUE if value else pickle.NEWFALSE),
    type(None): lambda writer, _: writer.parts.append(pickle.NONE),
    float: lambda writer, value: writer.parts.append(pickle.BINFLOAT + struct.pack(">d", value)),
}


def pickled(value):
    """Return the pickle of an object."""
    writer = Pickle()
    writer.write(value)
    return b"".join([*writer.parts, pickle.STOP])


def write(path, content, storages, *, data=None, byteorder="little", root="archive", **members):
    """Write an archive: the pickle of an object, or its bytes, and the storages by their keys."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}/data.pkl", pickled(content) if data is None else data)
        archive.writestr(f"{root}/byteorder", byteorder)
        for key, array in storages.items():
            ordered_so = array.dtype.newbyteorder("<" if byteorder == "little" else ">")
            archive.writestr(f"{root}/data/{key}", array.astype(ordered_so).tobytes())
        archive.writestr(f"{root}/version", "3\n")
        for name, text in members.items():
            archive.writestr(f"{root}/{name.replace('_', '.')}", text)
    return path


def write_state(path, arrays, wrap=lambda state: state, **options):
    """Write a state dict of arrays."""
    tensors = {name: tensor(key, array) for key, (name, array) in enumerate(arrays.items())}
    storages = dict(enumerate(arrays.values()))
    return write(path, wrap(Ordered(tensors)), storages, **options)
