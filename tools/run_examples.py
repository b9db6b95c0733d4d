"""Run all examples as `--quick`, one after the other in this process.

    python tools/run_examples.py

An example is a program of its own; together they import NumPy, scikit-learn and matplotlib once.
What they write goes to the current directory.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

start = time.perf_counter()
for example in sorted(EXAMPLES.glob("*.py")):
    print(f"\n--- {example.name} --quick [{time.perf_counter() - start:.0f} s]", flush=True)
    sys.argv = [str(example), "--quick"]
    runpy.run_path(str(example), run_name="__main__")
