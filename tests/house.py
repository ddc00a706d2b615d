"""The house, read from the tree: its modules, what each imports, and the floors that follow from it."""

import ast
from pathlib import Path

import sklearn_mtae

ROOT = Path(sklearn_mtae.__file__).parent


def name_of(path):
    """Return the name of a module within the package, "" of the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def folder_of(name):
    """Return the folder of a module; a file in the root is a room of its own."""
    is_folder = MODULES[name].name == "__init__.py"
    return name if is_folder or "." not in name else name.rpartition(".")[0]


def room_of(name):
    """Return the room of a module: a folder in the root with all that is in it, or a file in the root."""
    return name.partition(".")[0]


def imports(name):
    """Return the modules of the package that a module imports, and those outside it, within functions too."""
    path, inside, outside = MODULES[name], set(), set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = {alias.name: [] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ["sklearn_mtae", *package[: len(package) - node.level + 1]] if node.level else []
            modules = {".".join([*above, *filter(None, [node.module])]): [alias.name for alias in node.names]}
        else:
            continue
        for module, names in modules.items():
            top, _, within = module.partition(".")
            if top != "sklearn_mtae":
                outside |= {module, *(f"{module}.{own}" for own in names)}
                continue
            submodules = {full for own in names if (full := f"{within}.{own}".lstrip(".")) in MODULES}
            inside |= submodules
            if within in MODULES and len(submodules) < max(1, len(names)):
                inside.add(within)
    return inside - {name}, outside


IMPORTS = {name: imports(name) for name in MODULES}


def floors(arrows):
    """Return the floor of each node, one above the highest that it stands on; an error where there is a circle."""
    floor = {}
    while len(floor) < len(arrows):
        ready = {node for node, below in arrows.items() if node not in floor and below <= floor.keys()}
        assert ready, f"a circle among {sorted(arrows.keys() - floor.keys())}"
        floor |= {node: 1 + max((floor[own] for own in arrows[node]), default=0) for node in ready}
    return floor


def rooms():
    """Return the rooms that each room stands on."""
    arrows = {room_of(name): set() for name in MODULES}
    for name, (inside, _) in IMPORTS.items():
        arrows[room_of(name)] |= {room_of(own) for own in inside} - {room_of(name)}
    return arrows
