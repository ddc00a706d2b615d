"""What only a CUDA device can show: recorded steps, its memory, mixed precision and fits side by side."""

import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import captured_step as graphs
from sklearn_mtae._engine import net
from sklearn_mtae._engine.devices import give_back
from sklearn_mtae.model_selection import StackedGridSearchCV

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning"),
]

SMALL = {"n_components": 2, "hidden_layer_sizes": (16,), "max_iter": 10, "batch_size": 50, "device": "cuda"}
ONE_BY_ONE = {"net_params": {"record_steps": False}}
RNG = np.random.default_rng(0)
X = (RNG.standard_normal((300, 3)) @ RNG.standard_normal((3, 9)) + 0.1 * RNG.standard_normal((300, 9))).astype(
    "float32"
)
Y = np.where(RNG.random((300, 3)) < 0.3, np.nan, X[:, :3] + 0.1 * RNG.standard_normal((300, 3)))
WEIGHTS = RNG.uniform(0.5, 2, size=300)


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """How many steps have been recorded."""
    made = []

    def record(step, generator):
        made.append(graphs.record_cuda(step, generator))
        return made[-1]

    monkeypatch.setitem(graphs.RECORDERS, "cuda", record)
    yield made
    made.clear()


def assert_alike(one, other, rtol=1e-3, atol=1e-3):
    """Check that two trainings are the same but for what rounding makes of them."""
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol, atol=atol)
    for name, values in other.term_curves_.items():
        np.testing.assert_allclose(one.term_curves_[name], values, rtol=rtol, atol=atol, err_msg=name)
    np.testing.assert_allclose(one.transform(X), other.transform(X), rtol=10 * rtol, atol=10 * atol)


@pytest.mark.parametrize("n_rows", [300, 296])
@pytest.mark.parametrize(
    "model",
    [
        AutoencoderTransformer(corruption="masking", dropout=0.1, penalty="contractive", penalty_weight=0.1),
        VAETransformer(beta="linear"),
        VAETransformer(prior="vamp", objective="iwae"),
        VAETransformer(prior="flow", posterior="flow"),
        VAETransformer(architecture="conv", beta=0.5),
        MultiTaskVAERegressor(n_estimators=1, task_weighting="uncertainty", sharing="mmoe"),
        MultiTaskVAERegressor(n_estimators=1, task_weighting="dwa", early_stopping=True),
        MultiTaskVAEClassifier(n_estimators=1, class_weight="balanced"),
    ],
    ids=lambda model: repr(model)[:60],
)
def test_recorded_steps_are_those_taken_one_by_one(model, n_rows, recorded):
    """With as many rows in each batch they draw the same too: the draws go on from launch to launch."""
    model = model.set_params(**SMALL, dtype="float64", random_state=0)
    targets = (Y > 0).astype(float) if isinstance(model, MultiTaskVAEClassifier) else Y
    data = (
        (X[:n_rows], targets[:n_rows])
        if isinstance(model, MultiTaskVAERegressor | MultiTaskVAEClassifier)
        else (X[:n_rows],)
    )
    taken = clone(model).set_params(**ONE_BY_ONE).fit(*data, sample_weight=WEIGHTS[:n_rows])
    assert recorded == []
    repeated = clone(model).fit(*data, sample_weight=WEIGHTS[:n_rows])
    assert len(recorded) == 1
    if n_rows == 300 and not model.get_params().get("early_stopping"):
        assert_alike(repeated, taken)
    else:
        np.testing.assert_allclose(repeated.loss_curve_[-1], taken.loss_curve_[-1], rtol=0.1, atol=0.5)


def test_two_fits_are_the_same(recorded):
    fits = [VAETransformer(random_state=0, **SMALL).fit(X) for _ in range(2)]
    assert len(recorded) == 2
    assert_alike(*fits, rtol=1e-4, atol=1e-4)


def test_all_of_torchs_generators_are_left_as_they_were():
    before = torch.cuda.get_rng_state(), torch.random.get_rng_state()
    VAETransformer(random_state=0, **SMALL).fit(X)
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_the_current_stream_is_left_as_it_was():
    before = torch.cuda.current_stream()
    VAETransformer(random_state=0, **SMALL).fit(X)
    assert torch.cuda.current_stream() == before


@pytest.mark.parametrize("n_estimators", [1, 4])
def test_memory_is_given_back(n_estimators, recorded):
    """Once the libraries have what they keep, a fit leaves nothing, of the graph's own memory either."""
    model = MultiTaskVAERegressor(n_estimators=n_estimators, random_state=0, **SMALL)

    def used():
        model.fit(X, Y)
        recorded.clear()
        give_back(torch.device("cuda"))
        return torch.cuda.memory_allocated(), torch.cuda.memory_reserved()

    used()
    before, reserved = used()
    for _ in range(3):
        now = used()
        assert now[0] == before
        assert now[1] <= reserved


class Waiting:
    """A penalty that waits for the device, in a way that only a recording finds out."""

    def __call__(self, encode, x, code, generator=None):
        torch.cuda.current_stream().synchronize()
        return code.abs().sum(-1)


def test_a_recording_that_fails_leaves_everything_in_order(recorded):
    model = VAETransformer(random_state=0, **SMALL)
    refused = AutoencoderTransformer(penalty=Waiting(), penalty_weight=0.1, random_state=0, **SMALL)
    taken = clone(refused).set_params(**ONE_BY_ONE).fit(X)
    with pytest.warns(UserWarning, match="takes longer"):
        refused.fit(X)
    assert recorded == []
    assert_alike(refused, taken)
    torch.randn(3, device="cuda")
    torch.cuda.empty_cache()
    assert np.isfinite(model.fit(X).loss_curve_).all()
    assert len(recorded) == 1


@pytest.mark.parametrize("recordable", [True, False])
def test_mixed_precision(recordable, recorded):
    model = MultiTaskVAERegressor(n_estimators=1, random_state=0, **SMALL, **({} if recordable else ONE_BY_ONE))
    single = clone(model).fit(X, Y)
    mixed = clone(model).set_params(dtype="bfloat16").fit(X, Y)
    assert len(recorded) == 2 * recordable
    assert mixed.loss_curve_ != single.loss_curve_
    np.testing.assert_allclose(mixed.loss_curve_, single.loss_curve_, rtol=0.05, atol=0.05)
    assert {state.dtype.name for state in mixed._fitted.states[0].values()} == {"float32", "float64"}


@pytest.mark.parametrize("n_rows", [300, 290])
def test_ensemble(n_rows, recorded, monkeypatch):
    model = MultiTaskVAERegressor(n_estimators=5, random_state=0, **SMALL, beta="linear", early_stopping=True)
    repeated = clone(model).fit(X[:n_rows], Y[:n_rows])
    assert recorded
    n_recorded = len(recorded)
    monkeypatch.setattr(net, "LEAST_STEPS", 10**9)
    taken = clone(model).fit(X[:n_rows], Y[:n_rows])
    assert len(recorded) == n_recorded
    np.testing.assert_allclose(repeated.loss_curve_[-1], taken.loss_curve_[-1], rtol=0.1, atol=0.1)
    np.testing.assert_allclose(repeated.score(X, Y), taken.score(X, Y), atol=0.05)


def test_stacked_search(recorded):
    """Nothing is drawn here: the scores are those of one fit after the other, whoever trains them."""
    grid = {"alpha": [0.0, 1.0], "learning_rate_init": [1e-3, 1e-2]}
    model = AutoencoderTransformer(random_state=0, dtype="float64", **SMALL)
    stacked = StackedGridSearchCV(model, grid, cv=3).fit(X)
    assert len(recorded) == 2, "the stack and the refit"
    single = GridSearchCV(clone(model).set_params(**ONE_BY_ONE), grid, cv=3).fit(X)
    np.testing.assert_allclose(
        stacked.cv_results_["mean_test_score"], single.cv_results_["mean_test_score"], rtol=1e-3, atol=1e-3
    )


def fit_and_move(seed):
    model = VAETransformer(random_state=seed, **SMALL).fit(X)
    return model.loss_curve_, model.transform(X)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_fits_side_by_side(backend):
    with joblib.parallel_config(backend, n_jobs=2):
        together = joblib.Parallel()(joblib.delayed(fit_and_move)(seed) for seed in range(4))
    for seed, (losses, codes) in enumerate(together):
        expected = fit_and_move(seed)
        np.testing.assert_allclose(losses, expected[0], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(codes, expected[1], rtol=1e-2, atol=1e-2)


def test_a_fit_goes_on_from_its_checkpoint(tmp_path):
    whole = VAETransformer(random_state=0, **SMALL).fit(X)
    model = VAETransformer(random_state=0, checkpoint=tmp_path / "fit", **SMALL)

    save = net.Checkpoint.save

    def save_and_stop(checkpoint, trained):
        save(checkpoint, trained)
        if len(trained.history) == 4:
            raise ArithmeticError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net.Checkpoint, "save", save_and_stop)
        with pytest.raises(ArithmeticError):
            model.fit(X)
    assert_alike(model.fit(X), whole)


@pytest.fixture
def little_memory():
    """Let torch have 256 MiB more than it has."""
    give_back(torch.device("cuda"))
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("record_steps", [True, False])
@pytest.mark.usefixtures("little_memory")
def test_want_of_memory_halves_the_batch(record_steps):
    rows = RNG.standard_normal((8192, 32)).astype("float32")
    model = AutoencoderTransformer(
        2,
        hidden_layer_sizes=(4096,),
        layer_norm=True,
        max_iter=40,
        batch_size=8192,
        device="cuda",
        random_state=0,
        net_params={"record_steps": record_steps},
    )
    with pytest.warns(UserWarning, match="The training continues with batch_size=") as caught:
        model.fit(rows)
    assert len(caught) == sum("goes on" in str(warning.message) for warning in caught)
    assert model.n_iter_ == 40
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="torch.cuda")
        MultiTaskVAERegressor(
            n_estimators=1, random_state=0, likelihood=["gaussian"] * 4 + ["student_t"] * 5, **SMALL
        ).fit(X, Y)
