"""The multi-task VAE for numbers."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from sklearn_mtae._verbs.intervals import predict_interval
from sklearn_mtae._verbs.joint import predictions

from .constraints import NUMBERS
from .multi_task import BaseMultiTaskVAE


class MultiTaskVAERegressor(RegressorMixin, BaseMultiTaskVAE):
    """Predict several targets through one latent space that they share (SC-VAE).

    One encoder gives q(z given x); from the code z one decoder predicts the features and a decoder of its own predicts
    each target. All are trained together, in nats per row:

    `loss = reconstruction_weight * distortion + beta * rate + sum_t task_weighting[t] * task_t + penalty_weight *
    penalty + similarity + consistency`

    where `task_t` is the mean of minus log p(y_t given z) over the labels of task t, so that a task counts the same
    whether it has few labels or many; distortion and rate are averaged over all rows, and a row without any label,
    which is NaN, still trains the encoder. Targets are standardised from their observed values, and predictions are in
    y's units.

    Parameters
    ----------
    n_components : int, default=16
        Number of components of the code.
    hidden_layer_sizes : array-like of int or "auto", default="auto"
        Widths of the encoder's hidden layers; the decoder mirrors them. `()` makes the model linear. "auto" is
        `(512,)`, or what `member_params` sets.
    activation : {"relu", "tanh", "logistic", "identity", "elu", "gelu", "silu"}, default="relu"
        Activation after each hidden layer.
    dropout : float or "auto", default="auto"
        Probability that a hidden unit is dropped while training. "auto" is 0, or what `member_params` sets.
    layer_norm : bool, default=False
        Whether hidden layers are normalised (Ba et al. 2016, arXiv 1607.06450).
    architecture : {"mlp", "resnet", "conv", "conv1d", "linear_decoder"} or callable, default="mlp"
        Multi-layer perceptrons, with residual connections, or convolutions; "linear_decoder" decodes by one linear
        layer, whose weights are `components_` (Svensson et al. 2020, doi 10.1093/bioinformatics/btaa169); or a factory
        that takes `n_features, n_code, n_components, n_outputs` by name and returns two torch modules: an encoder from
        `n_features` to `n_code` columns and a decoder from `n_components` to `n_outputs` columns. The four parameters
        above shape the named ones only.
    image_shape : tuple of int or None, default=None
        Shape of a row for the architecture "conv": `(height, width)` or `(channels, height, width)`, and for "conv1d":
        `(length,)` or `(channels, length)`. None is a square image, or a signal, of one channel.
    likelihood : str, callable, dict or list, default="gaussian"
        Distribution of a column, given the code. "auto" is "quantile" for numbers, "bernoulli" for booleans. "quantile"
        learns the shape of any column of numbers: skewed, whole, with many zeros; in a dict or list, `(low, high)` adds
        bounds. "gaussian" learns a variance per column; "squared_error" fixes the standard deviation at the column's
        unit, so that the loss is half the squared error; "student_t" and "laplace" are robust to outliers. "log_normal"
        and "gamma" take positive values, "bernoulli" and "continuous_bernoulli" values in [0, 1], "poisson" and
        "negative_binomial" counts. "multinomial" takes rows of counts or weights, and "categorical" the indicator
        columns of one category. Give one for all columns, a dict by column name (by position where X has no names;
        "gaussian" for those left out), a list, or a factory that takes the number of columns. A single "categorical"
        column holds the categories and is expanded internally, as are a DataFrame's columns of strings or categories.
    max_categories : int or None, default=256
        Maximum number of columns per category. If there are more levels, the `max_categories - 1` most frequent ones
        get a column each, and all others share the last; a warning names the category. Predictions and draws are still
        levels: those that share a column come up as often as in `fit`. None gives each level a column.
    handle_unknown : {"missing", "error"}, default="missing"
        How to treat a level that `fit` has not seen: as a missing cell, with a warning, or as an error.
    posterior : {"normal", "flow"} or callable, default="normal"
        Family of q(z given x): normal with a diagonal covariance, or a normal one bent by a flow (Kingma et al. 2016,
        arXiv 1606.04934; needs zuko). Or a factory that takes the number of components.
    prior : {"normal", "mixture", "vamp", "flow", "ex_post"} or callable, default="normal"
        p(z): standard normal; a mixture of ten normals; a mixture of the posteriors of fifty learned rows (VampPrior,
        Tomczak and Welling 2018, arXiv 1705.07120); a flow (needs zuko); or "ex_post": standard normal while training,
        then a mixture fitted to the codes (arXiv 1903.12436). Or a factory `(n_components, n_columns)`.
    task_likelihoods : str, callable, dict or list, default="auto"
        Distribution of a target, given the code: one for all tasks, a dict by the tasks' names, or a list by position.
        Each is a name as for `likelihood`, but for "multinomial" and "categorical", or a factory; in a dict or a list
        also bounds `(low, high)`. The prediction is its mean, which for "bernoulli" is a probability. "auto" is
        "gaussian", or what `member_params` sets. Here the tasks that a dict leaves out are "gaussian".
    sharing : {"hard", "mmoe", "cross_stitch", "private"} or callable, default="hard"
        What the tasks share beyond the code. "hard": nothing. "mmoe": experts that each task mixes by a gate (Ma et al.
        2018, doi 10.1145/3219819.3220007). "cross_stitch": hidden layers that heads exchange (Misra et al. 2016, arXiv
        1604.03539). "private": less; each task has 4 components of its own, from a small encoder. Or a factory such as
        `functools.partial(sklearn_mtae.nn.sharing.MixtureOfExperts, n_experts=8)`.
    head_hidden_layer_sizes : array-like of int or "auto", default="auto"
        Widths of the hidden layers of each task's own decoder. "auto" is `(16,)`, or what `member_params` sets, unless
        `sharing` needs a hidden layer, as "cross_stitch" does.
    objective : {"elbo", "iwae", "beta_tc", "mmd"} or callable, default="elbo"
        What is maximised: the evidence lower bound; a tighter bound from five weighted draws (Burda et al. 2016, arXiv
        1509.00519); the bound with more weight on the dependence of components (Chen et al. 2018, arXiv 1802.04942); or
        the bound with the distance of all codes from the prior (InfoVAE, arXiv 1706.02262). Or an instance such as
        `sklearn_mtae.nn.objectives.IWAE(n_draws=50)`, or a function from the output to named terms.
    beta : float, {"auto", "linear", "cyclic"} or callable, default="auto"
        Weight of the rate (Higgins et al. 2017): the larger it is, the more components fall out of use. Where it equals
        the weight of the distortion (1 except in multi-task models), both form the evidence lower bound. "linear"
        raises it from 0 to the weight of the distortion over the first half of the training, "cyclic" four times in a
        row (Fu et al. 2019, arXiv 1903.10145) to keep components in use (Bowman et al. 2016, arXiv 1511.06349). A
        function takes the fraction of the training done and returns the weight. "auto" is the weight of the distortion.
    free_bits : float, default=0.0
        Nats of a component's rate, averaged over the batch, below which it is not reduced further (Kingma et al. 2016,
        arXiv 1606.04934). This keeps components in use. For the objectives "elbo" and "mmd".
    reconstruction_weight : float or "auto", default="auto"
        Weight of the distortion, a sum over features. "auto" is `0.05 * n_tasks / n_features`: features and rate count
        for a twentieth of the tasks. More helps where labels are few and features depend on each other. With `beta=1`,
        a weight of 1 gives the evidence lower bound of features and labels together, where no label is missing.
    task_weighting : str, array-like of shape (n_tasks,), dict, Aggregator or callable, default="equal"
        How the losses of the tasks, each a mean over the task's labels, are combined. "equal" adds them. Weights are
        given by position or in a dict by name, or learned by "uncertainty" (Kendall et al. 2018, arXiv 1705.07115),
        "dwa" (Liu et al. 2019, arXiv 1803.10704) or "famo" (Liu et al. 2023, arXiv 2306.03792). torchjd combines the
        tasks' gradients: "pcgrad", "upgrad", "cagrad", "nash_mtl", "imtl_g", "mgda", "aligned_mtl", "dual_proj",
        "config", "grad_drop" or an instance of `torchjd.aggregation.Aggregator`.
    task_similarity : array-like of shape (n_tasks, n_tasks) or None, default=None
        Known similarity of the tasks, symmetric and >= 0: half of it times the squared distance between two heads is
        added to the loss (Evgeniou et al. 2005). A data frame is matched to the tasks by name.
    consistency : float, default=0.0
        Weight of the disagreement between two predictions of a row, from two draws of corruption, dropout and code
        (Laine and Aila 2017, arXiv 1610.02242), in nats, summed over the tasks. It needs no labels and helps where few
        rows have any. It works best with a `corruption` that keeps labels true. Each step takes twice as long.
    encoder : fitted estimator of this package or None, default=None
        An autoencoder whose encoder this model starts from (in a search, within a `FrozenEstimator`), followed by a
        linear map to the posterior. Features keep their units from there; `hidden_layer_sizes` shapes only the decoder.
    freeze_encoder : bool, default=False
        Whether to keep that encoder fixed; the linear map is trained in any case.
    embedding : {"auto", "piecewise_linear", "softened", "weighted_bins", "weighted"}, callable or None, default="auto"
        Input of the encoder. "piecewise_linear" adds to each column its place among 16 of its quantiles (Gorishniy et
        al. 2022, arXiv 2203.05556), which helps where targets jump. "softened" draws outliers in to within 10 units.
        "weighted_bins" and "weighted" are these times a column's relevance, for tables with idle columns (arXiv
        2212.13881). None changes nothing. Or a factory of n_columns. "auto" is None, or what `member_params` sets.
    n_estimators : int or "auto", default="auto"
        Number of models whose predictions are averaged; they are trained together. Each holds out one of `1 /
        validation_fraction` folds; with `groups`, of fewer, so that the models of a setting hold out 200 groups
        together, or all. Held-out rows choose for each task the models, and their epochs, whose mean predicts them
        best. The mean of the labels (for classes, their base rates) and, for numbers that may be negative, ridge
        regressions on the columns are candidates too; with `groups`, one regression with random intercepts. Codes, and
        what is derived from them, come from the first model at the end of its training. "auto" is 30 for tables of up
        to 1,000 rows and falls with the power 1.2 of the rows, to at least 2, equally many of each setting of
        `member_params`; with `cv` it is at least one for each fold and setting. It is 1 with more than 2,000 columns,
        with rows in a large file, with an `architecture` other than "mlp" and "resnet", with parts that cannot be
        stacked, and with `partial_fit`, `warm_start`, `checkpoint`, `encoder` or `net_params`.
    member_params : "auto", list of dict or None, default="auto"
        Parameters in which the models of an ensemble differ, one dict for each, taken in turn; with None they are all
        alike. "auto" also sets the other parameters that are "auto" in an ensemble. All models have 128 hidden units,
        which grow with the power 0.15 of the rows beyond 1,000, up to 256, and half as many in a second layer from
        2,000 rows. They have `head_hidden_layer_sizes=()`, and `max_iter=100`, which falls in proportion to the rows
        beyond 1,000, to at least 9. Their `embedding` is "piecewise_linear" for up to 64 columns and "softened" for
        more (None with `hidden_layer_sizes=()`, and with an `architecture` other than "mlp" and "resnet"). They take
        turns: `dropout=0.3` and `alpha=1`, both falling with the root of the rows beyond 1,000, with
        `learning_rate_init=0.005`; or practically no dropout (1e-9), `alpha=0` and `learning_rate_init=0.01`. Here
        every third model is like the first below 10,000 rows, with `task_likelihoods="laplace"` where the others have
        "gaussian"; from there on, the first of every two has the "softened" embedding. Beyond 1,000 rows `batch_size`
        is a hundredth of the rows, from 125 to 200. A parameter that you set has your value in every model.
        `member_params_` lists what each has. Here kernel ridge regressions on up to 4,000 rows are candidates beside
        the default models, but not with `hidden_layer_sizes=()` or other architectures.
    scaling : {"auto", "standard", "bounded"}, default="auto"
        Unit of a feature. "standard" is its standard deviation. "bounded" is half of its largest distance from the mean
        where that is more, so that columns that rarely vary do not dominate the loss. "auto" is "standard" for a linear
        model and "bounded" for a network: in multi-task models for all columns, otherwise for those that lie at one end
        of their range in more than a tenth of the rows, such as pixels. "bernoulli" columns stay as they are.
    corruption : {"gaussian", "masking"}, callable or None, default=None
        Corruption of the encoder's input during training (Vincent et al. 2010): normal noise of 0.3 units, or three
        cells in ten masked; another strength by `functools.partial(sklearn_mtae.nn.corruptions.masking, fraction=0.5)`.
    penalty : {"sparse", "contractive", "ridge"}, callable or None, default=None
        Penalty on the code: its L1 norm, the squared norm of the encoder's Jacobian (Rifai et al. 2011), or half the
        code's squared norm (Ghosh et al. 2020, arXiv 1903.12436).
    penalty_weight : float, default=0.1
        Weight of the penalty.
    alpha : float or "auto", default="auto"
        Weight decay of the hidden layers, decoupled from the gradient (AdamW, arXiv 1711.05101): each step shrinks
        their weights by `learning_rate_init * alpha`. The last layer of each network and linear models are exempt.
        "auto" is 3, reduced in proportion to the rows beyond 1,000, or what `member_params` sets.
    batch_size : int, "auto" or None, default="auto"
        Maximum number of rows per step; the rows of an epoch are split evenly over its steps. "auto" is an eighth of
        the rows, but at least 16 and at most 200; None takes all rows. Here `member_params` sets it in an ensemble.
    learning_rate_init : float or "auto", default="auto"
        Step size. "auto" is 0.001, growing with the power 0.25 of the rows beyond 1,000, or what `member_params` sets.
    learning_rate_decay : float or "auto", default="auto"
        Fraction of the step size that is lost by the last epoch; it falls by the same amount in each. "auto" is 0 for
        up to 1,000 rows, and 1 - 1000 / n_samples beyond.
    max_iter : int or "auto", default="auto"
        Number of epochs. "auto" is 100 for up to 1,000 rows, and falls with the power 0.7 of the rows, to at least 6,
        or what `member_params` sets. Here the models of an ensemble go on after a quarter of the epochs that
        `member_params="auto"` sets only if held-out rows say that it pays for some task (see the user guide); with
        `early_stopping` or a schedule of `beta`, they always do.
    early_stopping : bool, default=False
        Whether to hold out rows, to stop when their loss no longer falls, and to restore the best weights.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out for early stopping.
    cv : int, splitter, iterable or None, default=None
        The folds to hold out. The members of an ensemble hold them out in turn, for selection and calibration; a single
        model holds out the last one, for early stopping. None deals them at random, each with `validation_fraction` of
        the rows and its share of the labels of each task; an int is the number of such folds. With `groups`, these keep
        groups whole. A splitter makes them from X, y and the `groups` of `fit`; an iterable holds pairs of arrays of
        positions. If they are not a partition of the rows, as with `TimeSeriesSplit` or `ShuffleSplit`, they select and
        calibrate, and the models are then trained once more, on all rows, for the chosen number of epochs.
    n_iter_no_change : int, default=10
        Number of epochs without an improvement by `tol` after which training stops.
    tol : float, default=1e-4
        Minimum improvement of the held-out loss, in nats per row.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit.
    dtype : {"float32", "float64", "bfloat16"}, default="float32"
        Precision of the training; "bfloat16" applies to matrix products only. Inference has the precision of its input.
    device : str, default="auto"
        Torch device; "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the rows and all draws.
    verbose : bool or int, default=False
        Whether to print a line per epoch. Here an ensemble also prints what "auto" became and which models count.
    checkpoint : str, PathLike or None, default=None
        File to which the training is saved after each epoch; it is removed at the end. A `fit` with the same parameters
        and data resumes from it, with the result of an uninterrupted one, but callbacks and the optimiser of the task
        weighting "famo" start afresh. `device`, `verbose` and callbacks may differ. Any other file there is an error.
        Only one fit at a time can use it.
    net_params : dict or None, default=None
        Further parameters of the skorch net: `callbacks` (a list), `optimizer`, `optimizer__betas`, `compile`, ...

    Attributes
    ----------
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Loss of each epoch, in nats per row of standardised values.
    term_curves_ : dict of str to list of float
        Each term of the loss by epoch, before its weight: "distortion", "rate", "penalty", "task:<name>" ...
    validation_scores_ : list of float
        Minus the held-out loss by epoch, with early stopping.
    net_ : skorch.NeuralNet
        The skorch net.
    module_ : torch.nn.Module
        The torch module, in the precision it was trained in. Read-only: changes to it may reach the estimator.
    components_ : ndarray of shape (n_components, n_columns)
        Loadings of a linear decoder: how much each column's mean changes per unit of a component, in X's own units, or
        on the scale of the link.
    relevance_ : ndarray of shape (n_components,)
        Share of each component in what all components explain, where the decoder is linear.
    likelihoods_ : dict
        Likelihood of each column of X, by its name or position: what "auto" became.
    column_names_ : ndarray of shape (n_columns,)
        Names of the columns of `components_`: those of X, with one for each level of a category.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names.
    task_weights_ : ndarray of shape (`n_iter_`, n_tasks)
        Weights of the tasks in each epoch; NaN with an aggregator that has none.
    member_params_ : list of dict of str to object
        For each model, the final values of the parameters that `member_params` sets in it.
    task_names_ : list of str
        Names of the tasks: those of a data frame's columns or of a series, otherwise "y0", "y1", ...

    See Also
    --------
    VAETransformer : The same model without tasks.
    sklearn.multioutput.MultiOutputRegressor : One model per target, sharing nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> Y[::2, 0] = np.nan  # every other label of the first task is missing
    >>> quick = {"n_estimators": 5, "max_iter": 10}  # the defaults are 30 models, up to 100 epochs here
    >>> model = MultiTaskVAERegressor(n_components=2, random_state=0, **quick).fit(X, Y)
    >>> mean, std = model.predict(X, return_std=True)
    >>> mean.shape, std.shape
    ((20, 3), (20, 3))
    """

    _parameter_constraints: dict = NUMBERS

    score = BaseMultiTaskVAE.score
    _targets_kind = "numbers"

    def __init__(
        self,
        n_components=16,
        *,
        hidden_layer_sizes="auto",
        activation="relu",
        dropout="auto",
        layer_norm=False,
        architecture="mlp",
        image_shape=None,
        likelihood="gaussian",
        max_categories=256,
        handle_unknown="missing",
        posterior="normal",
        prior="normal",
        task_likelihoods="auto",
        sharing="hard",
        head_hidden_layer_sizes="auto",
        objective="elbo",
        beta="auto",
        free_bits=0.0,
        reconstruction_weight="auto",
        task_weighting="equal",
        task_similarity=None,
        consistency=0.0,
        encoder=None,
        freeze_encoder=False,
        embedding="auto",
        n_estimators="auto",
        member_params="auto",
        scaling="auto",
        corruption=None,
        penalty=None,
        penalty_weight=0.1,
        alpha="auto",
        batch_size="auto",
        learning_rate_init="auto",
        learning_rate_decay="auto",
        max_iter="auto",
        early_stopping=False,
        validation_fraction=0.1,
        cv=None,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        dtype="float32",
        device="auto",
        random_state=None,
        verbose=False,
        checkpoint=None,
        net_params=None,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.layer_norm = layer_norm
        self.architecture = architecture
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.max_categories = max_categories
        self.handle_unknown = handle_unknown
        self.posterior = posterior
        self.prior = prior
        self.task_likelihoods = task_likelihoods
        self.sharing = sharing
        self.head_hidden_layer_sizes = head_hidden_layer_sizes
        self.objective = objective
        self.beta = beta
        self.free_bits = free_bits
        self.reconstruction_weight = reconstruction_weight
        self.task_weighting = task_weighting
        self.task_similarity = task_similarity
        self.consistency = consistency
        self.encoder = encoder
        self.freeze_encoder = freeze_encoder
        self.embedding = embedding
        self.n_estimators = n_estimators
        self.member_params = member_params
        self.scaling = scaling
        self.corruption = corruption
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.learning_rate_decay = learning_rate_decay
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.cv = cv
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.net_params = net_params

    def predict(
        self, X: ArrayLike, return_std: bool = False, y_observed: ArrayLike | None = None
    ) -> NDArray | tuple[NDArray, NDArray]:
        """Predict the targets at the posterior means, averaged over the members by their weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        return_std : bool, default=False
            Whether to also return predictive standard deviations.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Means of the targets, in y's units and shape, and in the wider precision of X and the y of `fit`.
        std : ndarray of the same shape
            Standard deviations of the targets, with `return_std`. They combine the uncertainty of the code (over 64
            quasi-random draws), the variance of the noise, and, for several members, the variance of their means.
            Those of baselines, such as kernels, grow with the distance from the training rows. Where rows were held
            out, all are scaled to fit them, by a function of the columns where the errors surely have one.
        """
        runner = self._runner
        x = runner.read(X)
        mean, std, _ = predictions(runner, x, return_std, self._read_observed(y_observed, x))
        mean = self._in_precision(mean, x)
        return mean if std is None else (mean, self._in_precision(std * self._fitted.average.inflation, x))

    def predict_interval(
        self, X: ArrayLike, coverage: float = 0.9, y_observed: ArrayLike | None = None
    ) -> tuple[NDArray, NDArray]:
        """Predict intervals that contain a given fraction of the labels of each task.

        Cross-conformal prediction (Vovk 2015, doi 10.1007/s10472-013-9368-4): the mean plus and minus as many standard
        deviations as cover this fraction of the held-out labels, each predicted by members not trained on it. Intervals
        stay in the support of the task's likelihood: no count is negative. The fraction holds over all rows, not for
        each kind of row. Given known labels, an interval is the middle part of the distribution of the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        coverage : float, default=0.9
            Fraction of the labels that should lie within the intervals.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.

        Returns
        -------
        lower : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Lower ends of the intervals, in the units, shape and precision of `predict`; for a task whose labels are all
            the same, that label.
        upper : ndarray of the same shape
            Upper ends.

        Raises
        ------
        ValueError
            If no row was held out, or fewer labels of a task than the coverage needs: `coverage / (1 - coverage)`.
        """
        self._check_coverage(coverage, "predict_interval")
        runner = self._runner
        x = runner.read(X)
        lower, upper = predict_interval(runner, x, coverage, known=self._read_observed(y_observed, x))
        return self._in_precision(lower, x), self._in_precision(upper, x)

    def _in_precision(self, columns: NDArray, x: Any) -> NDArray:
        """Return targets in the wider precision of the rows and the targets of `fit`, in the shape of the latter."""
        tasks = self._fitted.recipe.tasks
        assert tasks is not None
        return self._as_targets(columns.astype(np.result_type(x.dtype, tasks.dtype), copy=False))
