"""Run every check: `python -m tests`. Stops at the first that fails."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHECKS = [
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["codespell", "."],
    ["pyright"],
    [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *sys.argv[1:]],
]

# Networks this small gain nothing from a second thread, and on a busy machine threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

for check in CHECKS:
    print("$", *check[:4], flush=True)
    status = subprocess.run(check, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)
