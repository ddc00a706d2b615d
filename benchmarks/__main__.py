"""List the benchmarks: `python -m benchmarks`."""

import ast
from pathlib import Path


def summary(path: Path) -> str:
    """Return the first line of a module's docstring, without importing the module."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def main() -> None:
    """Print one line per benchmark."""
    paths = [path for path in sorted(Path(__file__).parent.glob("*.py")) if not path.stem.startswith("_")]
    width = max(len(path.stem) for path in paths)
    for path in paths:
        print(f"python -m benchmarks.{path.stem:<{width}}  {summary(path)}")


if __name__ == "__main__":
    main()
