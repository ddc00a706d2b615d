"""From objects to JSON and arrays, and back: only what a table of kinds knows is written, and only that is made."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from sklearn_mtae.nn.words import short

PLAIN = str, int, float, bool, type(None)
"""Types that JSON has itself; of floats those that are finite."""
NO_CODE = "give the option by name if it has one, or save the estimator with joblib, whose files may hold code"
USE_SKOPS = (
    "use skops.io.dump(estimator, path), whose files run no code either, and "
    "skops.io.load(path, trusted=sklearn_mtae.persistence.trusted_types()); or joblib"
)

Packed = dict[str, Any]
"""An object in JSON: "type" names its kind."""


class Kind(NamedTuple):
    """How objects of a kind are written and made again."""

    pack: Callable[["Packing", Any, str], Packed]
    """Takes the packing, the object, and where it is; returns all but the type."""
    unpack: Callable[["Unpacking", Packed], Any]
    is_shared: bool = False
    """Whether an object that is there twice is made once."""


class Packing:
    """Objects on their way into a file.

    Parameters
    ----------
    kinds : mapping of str to Kind
        What can be written.
    find : callable
        Returns the name of an object's kind, or None.
    """

    def __init__(self, kinds: Mapping[str, Kind], find: Callable[[Any], str | None]) -> None:
        self.kinds, self.find = kinds, find
        self.arrays: dict[str, NDArray] = {}
        self._places: dict[int, int] = {}
        self._held: list[Any] = []  # an id may only be given again to an object once the first is gone

    def pack(self, value: Any, where: str) -> Any:
        """Return an object in JSON's types; `where` names it in errors, and its arrays."""
        if type(value) in PLAIN and (type(value) is not float or value - value == 0):
            return value
        if type(value) is list:
            return [self.pack(item, f"{where}[{position}]") for position, item in enumerate(value)]
        if id(value) in self._places:
            return {"type": "same", "as": self._places[id(value)]}
        name = self.find(value)
        if name is None:
            raise refusal(value, where)
        kind = self.kinds[name]
        packed = {"type": name, **kind.pack(self, value, where)}
        if kind.is_shared:
            self._places[id(value)] = len(self._held)
            self._held.append(value)
        return packed

    def add(self, array: NDArray, where: str) -> str:
        """Keep an array; return its name in the file."""
        while where in self.arrays:
            where += "'"
        self.arrays[where] = array
        return where


class Unpacking:
    """Objects on their way out of a file; they are made in the order in which they were written."""

    def __init__(self, kinds: Mapping[str, Kind], arrays: Mapping[str, NDArray]) -> None:
        self.kinds, self.arrays = kinds, arrays
        self._made: list[Any] = []

    def unpack(self, packed: Any) -> Any:
        """Return an object from JSON's types."""
        if isinstance(packed, list):
            return [self.unpack(item) for item in packed]
        if not isinstance(packed, dict):
            return packed
        if packed["type"] == "same":
            return self._made[packed["as"]]
        kind = self.kinds[packed["type"]]
        value = kind.unpack(self, packed)
        if kind.is_shared:
            self._made.append(value)
        return value


def refusal(value: Any, where: str, remedy: str = "") -> TypeError:
    """Return the error for an object that cannot be saved."""
    return TypeError(
        f"{where or 'estimator'} must hold numbers, names, or parts of sklearn_mtae to be saved without pickle. Got "
        f"{short(value)}; {remedy or _remedy(value)}."
    )


def _remedy(value: Any) -> str:
    """Return what to do with an object."""
    if hasattr(value, "best_estimator_"):
        return "save its best_estimator_"
    is_theirs = type(value).__module__.startswith("sklearn.") and hasattr(value, "get_params")
    return USE_SKOPS if is_theirs else NO_CODE
