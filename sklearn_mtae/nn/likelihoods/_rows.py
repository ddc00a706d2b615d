"""Families of whole rows: the columns share one unit of probability."""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, distributions, nn

from sklearn_mtae.nn.decisions import may_hold

from ._base import LARGEST_COUNT, Likelihood


class WholeRow(Likelihood):
    """Families whose columns share one unit of probability; the decoder gives one logit per column.

    `p = softmax(log(share) + logit)` over the observed columns of the row, so that a missing cell is a column left out.
    The share is the column's part of the training rows' total.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    standardized = False
    joint = True
    peak = 0.0
    log_share: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.register_buffer("log_share", torch.full((n_columns,), -log(n_columns)))

    def learn(self, mean: Tensor) -> None:
        """Let outputs of 0 stand for the columns' own shares; a column of zeros counts as the rarest of the others."""
        seen = mean[mean > 0]
        rarest = float(seen.min()) if len(seen) else 1.0
        self.log_share = mean.clamp(min=rarest).log().log_softmax(-1).to(self.log_share)

    def logits(self, params: Tensor) -> Tensor:
        """Return the logarithms of probabilities, up to a constant per row."""
        return self.log_share + params

    def log_prob(self, params: Tensor, x: Tensor, complete: bool = False) -> Tensor:
        """Return each cell's part of log p(row given params), shape (..., n_columns): zero where `x` is NaN.

        Parameters
        ----------
        params : Tensor of shape (..., n_columns)
            Decoder outputs.
        x : Tensor of shape (n_rows, n_columns)
            Values, NaN where missing.
        complete : bool, default=False
            Promises that no cell is missing, which saves the masking.
        """
        if not complete:
            # The lowest finite number acts as minus infinity would, without 0 / 0 in an empty row.
            params = params.masked_fill(x.isnan(), torch.finfo(params.dtype).min)
        return super().log_prob(params, x, complete)


class OneHot(WholeRow):
    """One variable of several classes: the columns are their indicators, and the decoder gives one logit per class.

    `log p(x) = sum_j x_j log(p_j)`

    Values between 0 and 1 that sum to 1 count as expectations. A partly missing group still tells whether the class is
    an observed one, and which.
    """

    support = (0.0, 1.0)
    row_total = 1.0

    def given(self, params: Tensor, x: Tensor) -> Tensor:
        """Return outputs with which the missing columns of a row share what the observed ones leave of 1."""
        missing = x.isnan()
        in_part = missing.any(-1, keepdim=True) & ~missing.all(-1, keepdim=True)
        if not may_hold(in_part):
            return params
        x, lowest = x.to(params), torch.finfo(params.dtype).min
        rest = (1 - x.nansum(-1, keepdim=True)).clamp(min=0.0)
        free = rest * self.logits(params).masked_fill(~missing, lowest).softmax(-1)
        fixed = torch.where(missing, free, x).log().clamp(min=lowest) - self.log_share
        return torch.where(in_part, fixed, params)

    def distribution(self, params: Tensor) -> distributions.OneHotCategorical:
        """Return the distribution of each row: one column is 1, the others are 0."""
        return UncheckedOneHot(self.logits(params))

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return each column's part of the log-probability of the row."""
        return x * self.logits(params).log_softmax(-1)


class UncheckedOneHot(distributions.OneHotCategorical):
    """One-hot rows whose parameters are not checked: torch's own class checks them even if told not to.

    Such a check is a decision that depends on values, which vmap and exported graphs cannot have.

    Parameters
    ----------
    logits : Tensor of shape (..., n_columns)
        Logarithms of probabilities, up to a constant per row.
    """

    def __init__(self, logits: Tensor) -> None:
        self._categorical = distributions.Categorical(logits=logits, validate_args=False)
        distributions.Distribution.__init__(self, logits.shape[:-1], logits.shape[-1:], validate_args=False)


class MultinomialCounts(distributions.Distribution):
    """Multinomial distributions of rows with one total.

    Parameters
    ----------
    total : Tensor of shape ()
        Total of a row; mean and variance use it as it is, draws round it to an integer.
    p : Tensor of shape (..., n_columns)
        Probabilities of the columns.
    """

    def __init__(self, total: Tensor, p: Tensor) -> None:
        super().__init__(p.shape[:-1], p.shape[-1:], validate_args=False)
        self.total = total
        self.p = p

    @property
    def mean(self) -> Tensor:
        """Means, shape (..., n_columns)."""
        return self.total * self.p

    @property
    def variance(self) -> Tensor:
        """Variances, shape (..., n_columns)."""
        return self.total * self.p * (1 - self.p)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return counts of shape (*sample_shape, ..., n_columns).

        A small total is drawn unit by unit. A large one is split between the two halves of the columns by a binomial
        draw, then each part between its own halves, and so on. The cost does not grow with the total.
        """
        shape, n_units = self._extended_shape(torch.Size(sample_shape)), round(float(self.total))
        if n_units == 0:
            return self.p.new_zeros(shape)
        if n_units < shape[-1]:
            one_by_one = distributions.Multinomial(n_units, self.p, validate_args=False)
            return one_by_one.sample(torch.Size(sample_shape))
        masses = _halved(self.p.to(torch.float64).expand(shape))
        counts = masses[-1].new_full((*shape[:-1], 1), n_units)
        for mass in reversed(masses[:-1]):
            left, right = mass.unflatten(-1, (-1, 2)).unbind(-1)
            share = left / (left + right).clamp(min=torch.finfo(mass.dtype).tiny)
            first = torch.binomial(counts, share.clamp(0.0, 1.0))
            counts = torch.stack([first, counts - first], dim=-1).flatten(-2)
        return counts[..., : shape[-1]].to(self.p.dtype)


def _halved(mass: Tensor) -> list[Tensor]:
    """Return masses, padded with zeros to a power of two, then the sums of pairs, and so on to the total."""
    n_columns = mass.shape[-1]
    levels = [nn.functional.pad(mass, (0, (1 << (n_columns - 1).bit_length()) - n_columns))]
    while levels[-1].shape[-1] > 1:
        levels.append(levels[-1].unflatten(-1, (-1, 2)).sum(-1))
    return levels


class Multinomial(WholeRow):
    """Multinomial distribution of a row of counts, given its total; the decoder gives one logit per column.

    `log p(x) = sum_j (x_j log(p_j) - log(x_j!)) + log(total!)`, with the last term shared among the cells in proportion
    to their counts (Liang et al. 2018, arXiv 1802.05814).

    Weights that are not integers, such as those of tf-idf, count as expectations. Mean, variance and draws are those of
    a row with the mean total of the training rows.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    support = (0.0, float("inf"))
    exact = ("total",)
    largest = LARGEST_COUNT
    total: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.register_buffer("total", torch.tensor(float(n_columns), dtype=torch.float64))

    def learn(self, mean: Tensor) -> None:
        """Let outputs of 0 stand for the columns' own shares, and draw rows with the mean total."""
        super().learn(mean)
        self.total = mean.sum().to(self.total.device, torch.float64)

    def as_input(self, x: Tensor) -> Tensor:
        """Return `sqrt(n_columns) * x / length of the observed cells`, which makes rows with any total comparable."""
        length = x.nan_to_num(0.0).square().sum(-1, keepdim=True).sqrt()
        return x / length.clamp(min=torch.finfo(x.dtype).tiny) * self.n_columns**0.5

    def distribution(self, params: Tensor) -> MultinomialCounts:
        """Return the distribution of each row, with the training rows' mean total."""
        return MultinomialCounts(self.total, self.logits(params).softmax(-1))

    def log_left(self, params: Tensor, x: Tensor) -> Tensor | float:
        """Return the log-probability of the sum of some counts, a binomial one, in a drawn row, which has a total.

        `log_prob` is without it: rows in general have any total.

        Parameters
        ----------
        params : Tensor of shape (..., n_columns)
            Decoder outputs.
        x : Tensor of shape (n_columns,)
            The counts, NaN for others.
        """
        missing = x.isnan()
        if missing.all() or not missing.any():
            return 0.0
        log_p, total, given = self.logits(params).log_softmax(-1), self.total, x.nansum()
        inside, outside = log_p[..., ~missing].logsumexp(-1), log_p[..., missing].logsumexp(-1)
        left = (total - given).clamp(min=0.0)
        n_ways = torch.lgamma(total + 1) - torch.lgamma(given + 1) - torch.lgamma(left + 1)
        return n_ways + given * inside + left * outside

    def completed(self, params: Tensor, x: Tensor, drawn: Tensor) -> Tensor:
        """Return drawn rows, shape (n_rows, n_columns), with the counts of `x`; others share what these leave."""
        missing = x.isnan()
        if missing.all():
            return drawn
        p = self.logits(params).masked_fill(~missing, -float("inf")).softmax(-1)
        rest = MultinomialCounts((self.total - x.nansum()).clamp(min=0.0), p).sample() if missing.any() else drawn
        return torch.where(missing, rest, x)

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return each column's part of the log-probability of the row."""
        total = x.sum(-1, keepdim=True)
        orders = x * (torch.lgamma(total + 1) / total.clamp(min=torch.finfo(x.dtype).tiny))
        return x * self.logits(params).log_softmax(-1) + (orders - torch.lgamma(x + 1))
