"""The autoencoder as a transformer."""

from typing import Any, Self

from numpy.typing import ArrayLike

from sklearn_mtae._verbs.reconstruction import reconstruction_score

from .base import BaseAutoencoder


class AutoencoderTransformer(BaseAutoencoder):
    """Compress rows to a few components with a neural network that can undo it.

    An encoder maps a row to its code, a decoder maps the code to the distribution of the row's columns, and both are
    trained to make the row likely (Hinton and Salakhutdinov 2006):

    `loss = mean_i(-log p(x_i given code(x_i))) + penalty_weight * penalty`

    Columns are centred and scaled internally, missing cells (NaN) are excluded from the loss, and everything that comes
    back is in X's own units. With `hidden_layer_sizes=()` the code spans the subspace of the first principal
    components.

    Parameters
    ----------
    n_components : int, default=16
        Number of components of the code.
    hidden_layer_sizes : array-like of int, default=(1024,)
        Widths of the encoder's hidden layers; the decoder mirrors them. `()` makes the model linear.
    activation : {"relu", "tanh", "logistic", "identity", "elu", "gelu", "silu"}, default="relu"
        Activation after each hidden layer.
    dropout : float, default=0.0
        Probability that a hidden unit is dropped while training.
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
    likelihood : str, callable, dict or list, default="squared_error"
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
    scaling : {"auto", "standard", "bounded"}, default="auto"
        Unit of a feature. "standard" is its standard deviation. "bounded" is half of its largest distance from the mean
        where that is more, so that columns that rarely vary do not dominate the loss. "auto" is "standard" for a linear
        model and "bounded" for a network: in multi-task models for all columns, otherwise for those that lie at one end
        of their range in more than a tenth of the rows, such as pixels. "bernoulli" columns stay as they are.
    corruption : {"gaussian", "masking"}, callable or None, default=None
        Corruption of the encoder's input during training (Vincent et al. 2010): normal noise of 0.3 units, or three
        cells in ten masked; another strength by `functools.partial(sklearn_mtae.nn.corruptions.masking, fraction=0.5)`.
    penalty : {"sparse", "contractive", "ridge"}, callable or None, default="ridge"
        Penalty on the code: its L1 norm, the squared norm of the encoder's Jacobian (Rifai et al. 2011), or half the
        code's squared norm (Ghosh et al. 2020, arXiv 1903.12436).
    penalty_weight : float, default=0.2
        Weight of the penalty.
    alpha : float, default=3.0
        Weight decay of the hidden layers, decoupled from the gradient (AdamW, arXiv 1711.05101): each step shrinks
        their weights by `learning_rate_init * alpha`. The last layer of each network and linear models are exempt.
    batch_size : int, "auto" or None, default="auto"
        Maximum number of rows per step; the rows of an epoch are split evenly over its steps. "auto" is an eighth of
        the rows, but at least 16 and at most 200; None takes all rows.
    learning_rate_init : float, default=1e-3
        Step size.
    learning_rate_decay : float, default=0.0
        Fraction of the step size that is lost by the last epoch; it falls by the same amount in each.
    max_iter : int, default=40
        Number of epochs.
    early_stopping : bool, default=False
        Whether to hold out rows, to stop when their loss no longer falls, and to restore the best weights.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out for early stopping.
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
        Whether to print a line per epoch.
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
        Each term of the loss by epoch, before its weight: "distortion" and "penalty".
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
        Share of each component in what all components explain, where the decoder is linear. `fit` sorts the components
        by it.
    likelihoods_ : dict
        Likelihood of each column of X, by its name or position: what "auto" became.
    column_names_ : ndarray of shape (n_columns,)
        Names of the columns of `components_`: those of X, with one for each level of a category.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names.

    See Also
    --------
    VAETransformer : Codes that are distributions: densities, new rows, a latent space without holes.
    MultiTaskVAERegressor : Codes shaped by the targets that they predict.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from sklearn_mtae import AutoencoderTransformer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(AutoencoderTransformer(n_components=2, random_state=0), SVC()).fit(X, y)
    >>> model[:-1].transform(X).shape
    (150, 2)
    >>> print(f"{model.score(X, y):.1f}")
    0.9
    """

    _model_kind = "autoencoder"

    def __init__(
        self,
        n_components=16,
        *,
        hidden_layer_sizes=(1024,),
        activation="relu",
        dropout=0.0,
        layer_norm=False,
        architecture="mlp",
        image_shape=None,
        likelihood="squared_error",
        max_categories=256,
        handle_unknown="missing",
        scaling="auto",
        corruption=None,
        penalty="ridge",
        penalty_weight=0.2,
        alpha=3.0,
        batch_size="auto",
        learning_rate_init=1e-3,
        learning_rate_decay=0.0,
        max_iter=40,
        early_stopping=False,
        validation_fraction=0.1,
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
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint = checkpoint
        self.net_params = net_params

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the columns' units and train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios matter.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is invalid, or if the loss does not stay finite.
        """
        return self._fit(X, None, sample_weight)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean R2 of the reconstruction over the columns that vary, without missing cells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : None
            Ignored.

        Returns
        -------
        float
            Score; 1 is perfect, 0 is as good as each column's mean. NaN where no column has two observed cells.
        """
        return reconstruction_score(self._runner, X)
