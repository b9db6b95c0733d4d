"""HDF5 files: groups, attributes and arrays of numbers, of bytes that nobody vouches for."""
