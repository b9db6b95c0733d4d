"""What the tests of files share."""

import json
import struct


def rewrite(path, change):
    """Change a file's header, by a function of the header and of the description in it."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header["__metadata__"]["evengrad"])
    change(header, description)
    if "evengrad" in header.get("__metadata__", {}):
        header["__metadata__"]["evengrad"] = json.dumps(description)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
