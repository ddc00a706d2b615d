"""Links to the source of inherited methods and of properties, which viewcode by itself does not find."""

from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx import addnodes


def origin(module: str, name: str) -> tuple[str, str]:
    """Return the module and the qualified name of where an object, or a member of a class, is defined."""
    *path, last = name.split(".")
    owner: Any = import_module(module)
    for part in path:
        owner = getattr(owner, part)
    for base in getattr(owner, "__mro__", ()):
        if last in vars(base):
            return base.__module__, f"{base.__qualname__}.{last}"
    return getattr(getattr(owner, last, None), "__module__", None) or module, name


def locate(app: Any, doctree: nodes.document) -> None:
    """Tell viewcode where each member was defined, and give it the addresses that the source leads back to."""
    for signature in doctree.findall(addnodes.desc_signature):
        module, name = signature.get("module"), signature.get("fullname")
        if not module or not name:
            continue
        own = origin(module, name)
        addresses = [".".join(own), f"{module}.{own[1]}"]
        signature["ids"] += [address for address in addresses if address not in signature["ids"]]
        if "." in name:
            signature["module"], signature["fullname"] = own


def follow(app: Any, module: str, name: str) -> str | None:
    """Return the module of a member, which is where `locate` has found it."""
    return module if module and "." in name else None


def setup(app: Any) -> dict[str, bool]:
    """Hook into the reading of pages, before viewcode does."""
    app.connect("doctree-read", locate, priority=400)
    app.connect("viewcode-follow-imported", follow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
