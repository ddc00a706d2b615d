"""Run every check: `python -m tests`. Stops at the first that fails; pyright runs beside pytest.

What follows goes to pytest. `python -m tests --lowest` runs the tests alone, with the lowest versions that
`pyproject.toml` allows, in a virtual environment of their own. It needs uv.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOWEST = ROOT / "build" / "lowest"
MADE = {"_build", "gallery", "generated"}
"""Folders of pages that Sphinx makes."""


def pytest_command(python, arguments):
    return [str(python), "-m", "pytest", "-n", "2", "--dist", "loadfile", *arguments]


def prose():
    """Return the files that proselint reads: pages and docstrings. Of a folder it would read Markdown only."""
    pages = [page for page in (ROOT / "docs").rglob("*.rst") if not MADE.intersection(page.parts)]
    files = [*ROOT.glob("*.md"), *pages, *(ROOT / "sklearn_mtae").rglob("*.py")]
    return [str(file.relative_to(ROOT)) for file in sorted(files)]


def status_of(command):
    print("$", *command[:4], flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def run_checks(arguments):
    checks = [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["codespell", "."],
        ["proselint", "--config", ".proselintrc.json", "check", *prose()],
    ]
    return next(filter(None, map(status_of, checks)), 0) or types_and_tests(arguments)


def types_and_tests(arguments):
    """Run pyright, which takes one processor for long, beside pytest; what it says comes after."""
    with subprocess.Popen(["pyright"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as types:
        status = status_of(pytest_command(sys.executable, arguments))
        said, _ = types.communicate()
    print("$ pyright", said, sep="\n", flush=True)
    return status or types.returncode


def install_lowest():
    """Make the environment, and return its Python. The lowest torch is the one for CPUs, else the one for GPUs."""
    uv = [sys.executable, "-m", "uv"]
    python = LOWEST / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    links = [part for path in os.environ.get("PIP_FIND_LINKS", "").split() for part in ("--find-links", path)]
    install = [*uv, "pip", "install", "--python", str(python), "--resolution", "lowest-direct", "-e", ".[test]", *links]
    if status_of([*uv, "venv", "--clear", "--python", sys.executable, str(LOWEST)]):
        sys.exit("A virtual environment is made by uv: pip install uv")
    if status_of([*install, "--torch-backend", "cpu"]) and status_of(install):
        print(f"The lowest torch is out of reach: its place is taken by {version('torch')}.", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            instead = Path(folder) / "torch.txt"
            instead.write_text(f"torch=={version('torch')}\n", encoding="utf-8")
            if status := status_of([*install, "--overrides", str(instead)]):
                sys.exit(status)
    return python


def main(arguments):
    # Networks this small gain nothing from a second thread, and on a busy machine threads wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "--lowest" in arguments:
        arguments.remove("--lowest")
        return status_of(pytest_command(install_lowest(), arguments))
    return run_checks(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
