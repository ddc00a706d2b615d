"""The types that skops finds in files of this package."""

from sklearn_mtae._estimators.per_task_base import OneClass

from ._estimators import STATES
from ._parts import NAMED, OBJECTS


def trusted_types() -> list[str]:
    """Return the types that files of skops may hold of this package: estimators, the parts of their state, options.

    Nothing of them executes what a file says. Classes and functions of your own are not in the list: look at
    them before you add them. `functools.partial` is, which holds a function and arguments; skops asks for the function
    by itself.

    Returns
    -------
    list of str
        Names, as the parameter `trusted` of `skops.io.load` takes them.

    See Also
    --------
    save : Files without skops, for estimators of this package.

    Examples
    --------
    >>> from sklearn_mtae.persistence import trusted_types
    >>> "sklearn_mtae._estimators.vae.VAETransformer" in trusted_types()
    True
    """
    known = [*STATES, *OBJECTS, OneClass, *NAMED.values()]
    names = {f"{own.__module__}.{own.__qualname__}" for own in known if own.__module__.startswith("sklearn_mtae.")}
    return sorted({*names, "functools.partial"})
