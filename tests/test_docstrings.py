"""Public docstrings follow numpydoc."""

import inspect
import math
import re
from itertools import combinations
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate

import sklearn_mtae
from sklearn_mtae import inspection, metrics, model_selection, persistence, runtime
from sklearn_mtae._fitting.callbacks import CallbackSupportMixin
from sklearn_mtae.nn import likelihoods
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.factories import TASK_LIKELIHOODS
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.weightings import WEIGHTINGS
from tests.conftest import EVERY

CLASSES = [*EVERY, sklearn_mtae.PerTaskRegressor, sklearn_mtae.PerTaskClassifier, model_selection.TaskKFold]
CLASSES += [model_selection.StackedGridSearchCV, model_selection.StackedRandomizedSearchCV]
CLASSES += [model_selection.StackedHalvingGridSearchCV, model_selection.StackedHalvingRandomSearchCV]
CLASSES += [model_selection.TaskShuffleSplit, model_selection.TransferReport]
CLASSES += [sklearn_mtae.MultipleImputation, sklearn_mtae.JointRegion, metrics.GenerationReport]
CLASSES += [getattr(inspection, name) for name in inspection.__all__]
FUNCTIONS = [sklearn_mtae.stack_tasks, model_selection.transfer_report]
FUNCTIONS += [persistence.save, persistence.load, persistence.trusted_types, runtime.read_file]
FUNCTIONS += [own for name in metrics.__all__ if inspect.isfunction(own := getattr(metrics, name))]

# An extended summary, a "See Also" and examples stand where they help: with the classes, not with each method.
OPTIONAL = {"ES01", "SA01", "EX01", "GL01", "GL02", "GL03"}


def public_methods(estimator):
    for name, member in inspect.getmembers(estimator):
        inherited = "sklearn." in (inspect.getmodule(member).__name__ + "." if inspect.getmodule(member) else "")
        if not name.startswith("_") and inspect.isfunction(member) and not inherited:
            yield f"{estimator.__module__}.{estimator.__name__}.{name}"


OWN = [name for estimator in CLASSES for name in public_methods(estimator)]
NAMES = [f"{member.__module__}.{member.__name__}" for member in [*CLASSES, *FUNCTIONS]]


@pytest.mark.parametrize("name", [*OWN, *NAMES])
def test_docstring(name):
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in OPTIONAL]
    assert not errors


@pytest.mark.parametrize("estimator", CLASSES)
def test_every_parameter_is_documented_with_its_default(estimator):
    for name, parameter in inspect.signature(estimator).parameters.items():
        line = next(line for line in inspect.getdoc(estimator).splitlines() if line.startswith(f"{name} : "))
        if parameter.default is inspect.Parameter.empty:
            assert "default" not in line
        else:
            assert repr(eval(line.split("default=")[1], {"nan": math.nan})) == repr(parameter.default), line


# A parameter means the same in all classes of one family: those with a base of this package in common.


def family_of(estimator):
    bases = {base for base in estimator.__mro__[1:] if base.__module__.startswith("sklearn_mtae")}
    return bases - {CallbackSupportMixin}  # a stand-in where scikit-learn has none


PARAMETERS = {
    estimator: {
        one.name: (one.type.split(", default=")[0], " ".join(one.desc)) for one in ClassDoc(estimator)["Parameters"]
    }
    for estimator in CLASSES
}
PAIRS = [pair for pair in combinations(CLASSES, 2) if family_of(pair[0]) & family_of(pair[1])]
AUTO = '"auto"'


def own_of(kind, text, other_kind):
    """Return type and sentences of a parameter, but for what may be a class's own.

    That is what "auto" stands for, where the other class takes no "auto"; and a sentence that begins with "Here".
    """
    sentences = re.split(r"(?<=[.])\s+(?=[A-Z\"`])", " ".join(text.split()))
    sentences = [sentence for sentence in sentences if not sentence.startswith("Here ")]
    if AUTO in kind and AUTO not in other_kind:
        kind = re.sub(f"{AUTO}, | or {AUTO}", "", kind)
        sentences = [sentence for sentence in sentences if not sentence.startswith(AUTO)]
    return kind, sentences


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_parameter_is_described_in_the_same_words(one, other):
    for name in PARAMETERS[one].keys() & PARAMETERS[other].keys():
        (kind, text), (other_kind, other_text) = PARAMETERS[one][name], PARAMETERS[other][name]
        assert own_of(kind, text, other_kind) == own_of(other_kind, other_text, kind), name


def test_families_are_found():
    assert (sklearn_mtae.AutoencoderTransformer, sklearn_mtae.MultiTaskVAEClassifier) in PAIRS
    assert (model_selection.StackedGridSearchCV, model_selection.StackedRandomizedSearchCV) in PAIRS


IN_BRACES = {
    "activation": ACTIVATIONS,
    "architecture": ARCHITECTURES,
    "beta": SCHEDULES,
    "corruption": CORRUPTIONS,
    "embedding": EMBEDDINGS,
    "objective": OBJECTIVES,
    "penalty": PENALTIES,
    "posterior": POSTERIORS,
    "prior": PRIORS,
    "sharing": SHARINGS,
}
IN_TEXT = {"likelihood": likelihoods.LIKELIHOODS, "task_weighting": WEIGHTINGS}


@pytest.mark.parametrize("name", IN_BRACES)
def test_options_in_braces_are_those_of_the_dictionary(name):
    kinds = [own[name][0] for own in PARAMETERS.values() if name in own]
    assert kinds
    for kind in kinds:
        options = re.findall(r'"(\w+)"', re.search(r"\{(.*?)\}", kind).group(1))
        assert [option for option in options if option != "auto"] == list(IN_BRACES[name])


@pytest.mark.parametrize("name", IN_TEXT)
def test_options_in_the_text_are_those_of_the_dictionary(name):
    texts = [own[name][1] for own in PARAMETERS.values() if name in own]
    assert texts
    for text in texts:
        assert set(re.findall(r'"(\w+)"', text)) - {"auto"} == set(IN_TEXT[name])


def test_likelihoods_of_tasks_are_those_of_columns_but_for_some():
    text = PARAMETERS[sklearn_mtae.MultiTaskVAERegressor]["task_likelihoods"][1]
    without = re.search(r"a name as for `likelihood`, but for (.*?), or a factory", " ".join(text.split())).group(1)
    assert set(re.findall(r'"(\w+)"', without)) == likelihoods.LIKELIHOODS.keys() - TASK_LIKELIHOODS.keys()


def test_the_reference_has_every_likelihood():
    page = Path(__file__).parents[1] / "docs" / "api.rst"
    if not page.exists():
        pytest.skip("the documentation is not part of the source distribution")
    reference = page.read_text(encoding="utf-8")
    classes = {name for name in likelihoods.__all__ if inspect.isclass(getattr(likelihoods, name))}
    assert set(re.findall(r"   likelihoods\.(\w+)", reference)) == classes
