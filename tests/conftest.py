"""Memory that is kept until the end is not looked through again and again."""

import gc

# Modules and ten thousand tests: a million objects, none of which is let go of.
gc.disable()


def pytest_collection_finish():
    """Have the garbage collector look at what tests make alone."""
    gc.collect()
    gc.freeze()
    gc.enable()
