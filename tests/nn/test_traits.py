"""What parts declare: one table of names and defaults, which the base classes agree with."""

from functools import partial

import pytest
from torch import nn

from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Likelihood
from sklearn_mtae.nn.objectives import IWAE, OBJECTIVES
from sklearn_mtae.nn.posteriors import NormalPosterior
from sklearn_mtae.nn.priors import Prior
from sklearn_mtae.nn.sharing import SHARINGS, Heads
from sklearn_mtae.nn.traits import MIXING, TRAITS, declared, unwrapped
from sklearn_mtae.nn.weightings import WEIGHTINGS, Weighting

BASES = [Likelihood, NormalPosterior, Prior, Heads, Weighting]


def plain(x):
    return x


@pytest.mark.parametrize("name", TRAITS)
@pytest.mark.parametrize(
    "part",
    [None, plain, partial(plain), nn.Linear(1, 1), *BASES],
    ids=lambda part: type(part).__name__ if not isinstance(part, type) else part.__name__,
)
def test_a_part_that_declares_nothing_has_the_defaults(part, name):
    assert declared(part, name) == TRAITS[name].default
    assert TRAITS[name].meaning.endswith(".")


def test_an_undeclared_name_is_an_error():
    with pytest.raises(KeyError, match="stackble"):
        declared(plain, "stackble")


def test_a_factory_declares_what_its_class_does():
    twice = partial(partial(IWAE), n_draws=3)
    assert unwrapped(twice) is IWAE
    assert not declared(twice, "stackable")
    assert declared(twice(), "n_draws") == 3
    own = partial(plain)
    own.stackable = False
    assert not declared(own, "stackable")


@pytest.mark.parametrize("layer", MIXING)
def test_layers_of_torch_that_mix_rows(layer):
    assert declared(layer.__new__(layer), "compares_rows")


def test_what_ships_declares():
    assert {name for name, own in OBJECTIVES.items() if declared(own, "compares_rows")} == {"beta_tc", "mmd"}
    assert {name for name, own in LIKELIHOODS.items() if declared(own, "joint")} == {"multinomial", "categorical"}
    assert {name for name, own in SHARINGS.items() if declared(own, "needs_hidden")} == {"cross_stitch"}
    assert {name for name, own in WEIGHTINGS.items() if not declared(own, "adaptive")} == {"equal"}
