"""Scores of draws of targets: of each task by itself, of all tasks together, and of how tasks depend on each other."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._tables.targets import target_columns
from sklearn_mtae.nn.words import named, short

from ._columnwise import Average, score_tasks
from ._draws import Scale, check_fair, crps, energy, finite, read_joint, read_samples, variogram


def crps_score(
    y_true: Any,
    samples: Any,
    *,
    fair: bool = True,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the continuous ranked probability score of draws, in y's units; smaller is better.

    `mean_m abs(x_m - y) - sum_(m, m') abs(x_m - x_m') / (2 M (M - 1))` for each label y of a task with M draws x,
    averaged over the observed labels. It is the mean absolute error if all draws are the same, and is smallest in
    expectation for draws from the true distribution.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing.
    samples : array-like of shape (n_samples, n_rows, n_tasks)
        Draws, as from `predict_samples`; (n_samples, n_rows) if there is one task.
    fair : bool, default=True
        Whether to estimate the score of the distribution that the draws come from, without bias: its expectation does
        not depend on the number of draws. False divides by M^2, which is the score of the M draws as they are.
    sample_weight : array-like of shape (n_rows,) or (n_rows, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task without a label.

    Raises
    ------
    ValueError
        If the shapes do not match, if draws or labels are infinite or no numbers, or if `fair` has a single draw.

    See Also
    --------
    energy_score : The same score of all tasks together.

    References
    ----------
    T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction, and estimation. *Journal of the
    American Statistical Association* 102, doi 10.1198/016214506000001437.

    C. A. T. Ferro (2014). Fair scores for ensemble forecasts. *Quarterly Journal of the Royal Meteorological Society*
    140, doi 10.1002/qj.2270.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import crps_score
    >>> samples = np.random.default_rng(0).normal(size=(1000, 3, 2))  # of a standard normal, whose score at 0 is 0.23
    >>> y_true = np.array([[0.0, 1.0], [0.0, np.nan], [0.0, 3.0]])
    >>> crps_score(y_true, samples, multioutput="raw_values").round(1)
    array([0.2, 1.5])
    """
    columns = target_columns(y_true)
    array = read_samples(samples, len(columns[0]), len(columns))
    check_fair(fair, len(array))

    def score(truth: NDArray, draws: NDArray, weight: NDArray | None) -> float:
        own = crps(finite(truth, "y_true"), finite(draws, "samples"), fair)
        return float(np.average(own, weights=weight))

    return score_tasks(score, y_true, list(array.transpose(2, 1, 0)), sample_weight, multioutput)


def energy_score(
    y_true: Any,
    samples: Any,
    *,
    scale: Scale = "std",
    fair: bool = True,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the energy score of joint draws of several tasks; smaller is better.

    `mean_m norm(x_m - y) - sum_(m, m') norm(x_m - x_m') / (2 M (M - 1))` for a row y with M draws x, averaged over the
    rows. The norm is Euclidean, over the tasks whose labels the row has: a row with missing labels is scored by the
    joint distribution of its other tasks, and one without any label is left out. With one task, or for rows with one
    label, it is the CRPS. It is smallest in expectation for draws from the true joint distribution.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing.
    samples : array-like of shape (n_samples, n_rows, n_tasks)
        Draws, as from `predict_samples`; (n_samples, n_rows) if there is one task.
    scale : {"std"}, array-like of shape (n_tasks,), dict, float or None, default="std"
        What labels and draws of each task are divided by, since a norm over tasks of different units is that of the
        widest. "std": the standard deviation of the task's labels in `y_true`; a task whose labels are all the same is
        left out, with a warning. Numbers by position, or by name in a dict, such as the standard deviations of the
        training labels. None: no scaling, which is the score as defined in the references.
    fair : bool, default=True
        Whether to estimate the score of the distribution that the draws come from, without bias: its expectation does
        not depend on the number of draws. False divides by M^2, which is the score of the M draws as they are.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of rows; the labels of a row of weight 0 count as missing.

    Returns
    -------
    float
        Score, in units of `scale`. NaN, with a warning, if no row has a label.

    Raises
    ------
    ValueError
        If the shapes do not match, if draws or labels are infinite or no numbers, if a scale is not > 0, or if `fair`
        has a single draw.

    See Also
    --------
    crps_score : The same score of each task by itself.
    variogram_score : A score that depends more on how tasks depend on each other.

    Notes
    -----
    The time is of order n_rows * n_samples^2 * n_tasks: a second for 10,000 rows of three tasks with 100 draws, one
    or two minutes for 16 tasks with 1,000 draws. Beside the draws themselves, memory holds those of one task.

    References
    ----------
    T. Gneiting and A. E. Raftery (2007). Strictly proper scoring rules, prediction, and estimation. *Journal of the
    American Statistical Association* 102, doi 10.1198/016214506000001437.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import energy_score
    >>> rng = np.random.default_rng(0)
    >>> together = rng.multivariate_normal([0, 0], [[1.0, 0.9], [0.9, 1.0]], size=(201, 500))
    >>> y_true, together = together[0], together[1:]
    >>> apart = np.stack([together[..., 0], together[::-1, :, 1]], axis=2)  # the same marginals, independent
    >>> print(f"{energy_score(y_true, together):.3f} {energy_score(y_true, apart):.3f}")
    0.829 0.865
    """
    joint = read_joint(y_true, samples, scale, sample_weight)
    check_fair(fair, len(joint.samples))

    def score(truths: NDArray, draws: NDArray) -> NDArray:
        return np.array([energy(truth, own, fair) for truth, own in zip(truths, draws, strict=True)])

    return joint.mean(score, min_labels=1)


def variogram_score(
    y_true: Any,
    samples: Any,
    *,
    p: float = 0.5,
    weights: ArrayLike | None = None,
    scale: Scale = "std",
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the variogram score of joint draws of several tasks; smaller is better.

    `sum_(s, t) w_st (abs(y_s - y_t)^p - mean_m abs(x_ms - x_mt)^p)^2` for a row y with draws x_m, averaged over the
    rows. The sum is over the ordered pairs of tasks whose labels the row has; a row with fewer than two labels is left
    out. It depends on differences between tasks alone: it tells wrong dependence better than the energy score does, but
    not a bias that all tasks have in common. Use both.

    Parameters
    ----------
    y_true : array-like of shape (n_rows, n_tasks)
        Labels, with NaN, None or pandas.NA where missing.
    samples : array-like of shape (n_samples, n_rows, n_tasks)
        Draws, as from `predict_samples`.
    p : float, default=0.5
        Power of the differences, > 0. Small powers give less weight to outliers.
    weights : array-like of shape (n_tasks, n_tasks), default=None
        Weights w of the pairs, >= 0; those on the diagonal do not matter. None: all are 1.
    scale : {"std"}, array-like of shape (n_tasks,), dict, float or None, default="std"
        What labels and draws of each task are divided by, since values of different units have no difference. "std":
        the standard deviation of the task's labels in `y_true`; a task whose labels are all the same is left out, with
        a warning. Numbers by position, or by name in a dict, such as the standard deviations of the training labels.
        None: no scaling, which is the score as defined in the references.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of rows; the labels of a row of weight 0 count as missing.

    Returns
    -------
    float
        Score, in units of `scale` to the power 2 p. NaN, with a warning, if no row has two labels.

    Raises
    ------
    ValueError
        If the shapes do not match, if draws or labels are infinite or no numbers, or if `p`, a weight or a scale is out
        of its range.

    See Also
    --------
    energy_score : A score of the whole joint distribution.

    References
    ----------
    M. Scheuerer and T. M. Hamill (2015). Variogram-based proper scoring rules for probabilistic forecasts of
    multivariate quantities. *Monthly Weather Review* 143, doi 10.1175/MWR-D-14-00269.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import variogram_score
    >>> rng = np.random.default_rng(0)
    >>> together = rng.multivariate_normal([0, 0], [[1.0, 0.9], [0.9, 1.0]], size=(201, 500))
    >>> y_true, together = together[0], together[1:]
    >>> apart = np.stack([together[..., 0], together[::-1, :, 1]], axis=2)  # the same marginals, independent
    >>> print(f"{variogram_score(y_true, together):.3f} {variogram_score(y_true, apart):.3f}")
    0.111 0.507
    """
    if isinstance(p, bool) or not isinstance(p, Real) or not 0 < p < np.inf:
        raise ValueError(f"p must be a number > 0. Got {short(p)} instead.")
    joint = read_joint(y_true, samples, scale, sample_weight)
    pairs = _pair_weights(weights, joint.samples.shape[2])[np.ix_(joint.tasks, joint.tasks)]
    return joint.mean(lambda truth, draws: variogram(truth, draws, float(p), pairs), min_labels=2)


def _pair_weights(weights: ArrayLike | None, n_tasks: int) -> NDArray:
    """Return the weights of unordered pairs, each that of both orders."""
    if weights is None:
        return np.full((n_tasks, n_tasks), 2.0)
    with named("weights"):
        pairs = np.asarray(weights, dtype=np.float64)
    if pairs.shape != (n_tasks, n_tasks) or not (np.isfinite(pairs) & (pairs >= 0)).all():
        raise ValueError(
            f"weights must hold finite numbers >= 0, of shape ({n_tasks}, {n_tasks}). Got {short(weights)} instead."
        )
    return pairs + pairs.T
