"""What the tests of files share."""

import json
import struct


def header_of(content):
    """Return the header of a file's bytes, and the bytes behind it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def without_checksums(header):
    """Take the checksums out of a header: that is how earlier versions wrote files."""
    metadata = header.get("__metadata__", {})
    for key in [
        key for key in metadata if key.startswith(("evengrad_checksum", "evengrad_format"))
    ]:
        del metadata[key]
    return header


def put_together(header, data):
    """Return the bytes of a file."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def rewrite(path, change):
    """Change a file's header, by a function of the header and of the description in it.

    The file then has no checksums, which would find the change: what else is checked is to be seen.
    """
    header, data = header_of(path.read_bytes())
    without_checksums(header)
    description = json.loads(header["__metadata__"]["evengrad"])
    change(header, description)
    if "evengrad" in header.get("__metadata__", {}):
        header["__metadata__"]["evengrad"] = json.dumps(description)
    path.write_bytes(put_together(header, data))
