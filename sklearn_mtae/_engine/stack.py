"""Several models of one kind as one: their parameters side by side, their batches too."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.func import vmap

from sklearn_mtae._tables.blocks import block_rows
from sklearn_mtae.nn.loss import Loss, Result, Scales
from sklearn_mtae.nn.models import Autoencoder

from .batches import Layout, lay_out
from .contents import bypass, named_tensors
from .linear import FastLinear
from .rows import Batch, Rows

WEIGHTING = "loss.weighting."
"""What the names of a weighting's parameters and buffers begin with."""


class Pair(nn.Module):
    """A model and its loss, as one function of what they are made of.

    Parameters
    ----------
    model : Autoencoder
        The model.
    loss : Loss
        Its loss.
    """

    def __init__(self, model: Autoencoder, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def constrain(self) -> None:
        """Put parameters that a step of the optimiser has moved out of their range back into it."""
        self.model.constrain()
        self.loss.constrain()

    def forward(self, batch: dict[str, Tensor], complete: tuple[bool, bool], scales: Scales) -> dict[str, Tensor]:
        """Return the parts of the `Result` of a batch: its loss, the mean of each term, and what is labelled."""
        # Here, where all models go through it at once, and not after the step.
        self.constrain()
        batch = {name: self.loss.views(part) for name, part in batch.items()}
        output = self.model(batch["x"], batch.get("y"), complete, self.loss.n_draws)
        result = self.loss(self.model, output, batch.get("weight"), batch.get("label_weight"), scales)
        labelled = {} if result.labelled is None else {"labelled": result.labelled}
        return {"loss": result.loss, **labelled, **{f"mean:{name}": mean for name, mean in result.means.items()}}


class Stack(nn.Module):
    """Models of one kind, and their losses, that are computed as one by `torch.func.vmap`.

    Parameters
    ----------
    pairs : sequence of Pair
        The models; they are copied.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        super().__init__()
        # How they compute, and what all of them have alike.
        self.pair = deepcopy(pairs[0]).requires_grad_(False)
        decayed = {id(value) for value in pairs[0].model.hidden_weights()}
        self.decayed = [name for name, value in named_tensors(pairs[0]) if id(value) in decayed]
        everything = [dict(named_tensors(pair)) for pair in pairs]
        stacked = {name: torch.stack([own[name].detach() for own in everything]) for name in everything[0]}
        learned = {name for name, value in everything[0].items() if value.requires_grad}
        alike = {name for name, values in stacked.items() if name not in learned and (values == values[:1]).all()}
        # Draws have the shape of a prior's numbers; weights may be alike no longer than for an epoch.
        alike = {name for name in alike if not name.startswith(("model.prior.", WEIGHTING))}
        self.fixed = {name: value for name, value in stacked.items() if name not in learned | alike}
        self._learn({name: value for name, value in stacked.items() if name in learned})
        places = _places(self.pair)
        named = enumerate([*self.learned, *self.fixed])
        self.places = [(slots, key, position) for position, name in named for slots, key in places[name]]
        """Where modules keep what differs: their dict, its key, and the position among the stacked values."""
        self.alike = [slot for name in alike for slot in places[name]]
        """Where modules keep what all models have alike."""
        reached = bypass(self.pair, pairs[0], [*self.learned, *self.fixed])
        if reached is not None:
            raise ValueError(f"{reached!r} is reached by other ways than its module's attributes, which does not stack")

    def __len__(self) -> int:
        return len(next(iter(self.learned.values())))

    def _learn(self, values: dict[str, Tensor]) -> None:
        """Make stacked values the parameters."""
        self.learned = {name: nn.Parameter(value) for name, value in values.items()}
        for parameter in self.learned.values():
            parameter.grad = torch.zeros_like(parameter)

    def forward(self, batch: Batch, scales: Scales) -> Result:
        """Return the results of all models, which lie along the first axis of each of its tensors.

        The weights of the terms are each a number, one number per model or a tensor of shape (n_models,).
        """
        parts = {"x": batch.x, "y": batch.y, "weight": batch.weight, "label_weight": batch.label_weight}
        tensors = {name: part for name, part in parts.items() if part is not None}
        shared, own = _split(scales, batch.x)

        def one(state: Sequence[Tensor], tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
            # What `torch.func.functional_call` does, in a tenth of its time.
            for slots, key, position in self.places:
                slots[key] = state[position]
            result = self.pair(tensors, batch.complete, Scales(**shared, **own))
            for slots, key, position in self.places:
                check_kept(key, slots[key] is state[position])
            return result

        before = [slots[key] for slots, key, _ in self.places]
        constants = [(slots, key, slots[key], slots[key]._version) for slots, key in self.alike]
        try:
            with FastLinear():
                result = vmap(one, randomness="different")([*self.learned.values(), *self.fixed.values()], tensors, own)
        finally:
            for (slots, key, _), value in zip(self.places, before, strict=True):
                slots[key] = value
        for slots, key, value, version in constants:
            check_kept(key, slots[key] is value and value._version == version)
        means = {name.removeprefix("mean:"): value for name, value in result.items() if name.startswith("mean:")}
        return Result(result["loss"], means, result.get("labelled"))

    def keep(self, models: Sequence[int]) -> None:
        """Go on with some of the models, in this order."""
        self._learn({name: value.detach()[models] for name, value in self.learned.items()})
        self.fixed = {name: value[models] for name, value in self.fixed.items()}

    @torch.no_grad()
    def write(self, model: int, pair: Pair, learned: dict[str, Tensor]) -> None:
        """Write what a model has learned, its place in stacked values, into its own modules."""
        stacked = {**self.fixed, **learned}
        for name, value in named_tensors(pair):
            if name in stacked:
                value.copy_(stacked[name][model])
        pair.constrain()

    @torch.no_grad()
    def end_epoch(self, model: int, losses: Tensor, labelled: Tensor | None) -> Tensor:
        """Let a model's weighting of tasks learn from an epoch; return the weights that it had."""
        weighting = self.pair.loss.weighting
        assert weighting is not None
        if not weighting.adaptive:
            return self.fixed[WEIGHTING + "weights"][model].clone()
        stacked = {**self.learned, **self.fixed}
        for name, value in named_tensors(self.pair):
            # A weighting may read what the likelihood of the tasks has learned.
            if name in stacked and name.startswith((WEIGHTING, "model.task_likelihood.")):
                value.copy_(stacked[name][model])
        self.pair.constrain()
        weights = weighting.end_epoch(losses, labelled)  # type: ignore[arg-type]
        for name, value in weighting.named_buffers():
            self.fixed[WEIGHTING + name][model] = value
        return weights


def _places(module: nn.Module) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """Return by the name of each parameter and buffer where modules keep it: several places where it is shared."""
    names = {id(value): name for name, value in named_tensors(module)}
    places: dict[str, list[tuple[dict[str, Any], str]]] = {name: [] for name in names.values()}
    for part in module.modules():
        for slots in (part._parameters, part._buffers):
            for key, value in slots.items():
                if value is not None:
                    places[names[id(value)]].append((slots, key))
    return places


def check_kept(name: str, is_kept: bool) -> None:
    """Raise an error where a module has not kept its buffer: what it writes there in a stack would be lost."""
    if not is_kept:
        raise ValueError(f"a module writes to its {name!r} while it computes, which does not stack")


def _split(scales: Scales, like: Tensor) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the scales that all models share, and those of each."""
    shared, own = {}, {}
    for name, values in scales._asdict().items():
        if isinstance(values, Tensor):
            own[name] = values
        elif not isinstance(values, tuple) or len(set(values)) == 1:
            shared[name] = values[0] if isinstance(values, tuple) else values
        else:
            own[name] = torch.tensor(values, dtype=like.dtype, device=like.device)
    return shared, own


def slice_models(parameter: nn.Parameter, first: int, last: int) -> nn.Parameter:
    """Return the models from `first` to `last` as a parameter over the same memory, gradient included."""
    assert parameter.grad is not None
    part = nn.Parameter(parameter.detach()[first:last])
    part.grad = parameter.grad[first:last]
    return part


class StackedBatches:
    """Iterate over the batches of several models at once, each with rows and an order of its own.

    Where the models' batches are not of the same size, which they are but for one row, the smaller repeat a row of
    theirs with weight zero.

    Parameters
    ----------
    rows : sequence of Rows
        The rows of each model.
    batch_size : int
        Rows per batch at most.
    generators : sequence of Generator or None
        Sources of the permutations; None keeps the order.
    """

    def __init__(self, rows: Sequence[Rows], batch_size: int, generators: Sequence[Generator] | None = None) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.generators = generators

    def __len__(self) -> int:
        return -(-max(len(rows) for rows in self.rows) // self.batch_size)

    @property
    def even(self) -> bool:
        """Whether all batches of all models are of one size."""
        return len({len(rows) for rows in self.rows}) == 1 and len(self.rows[0]) % len(self) == 0

    def table(self) -> Batch | None:
        """Return the rows of all models, one after the other, where they are kept on the device."""
        kept = [rows.resident for rows in self.rows]
        if any(part is None for part in kept):
            return None
        columns = zip(*(part[:4] for part in kept), strict=True)  # type: ignore[index]
        table = Batch(*(None if own[0] is None else torch.cat(own) for own in columns), complete=kept[0].complete)  # type: ignore[arg-type, union-attr]
        for rows, start in zip(self.rows, self._starts(), strict=True):
            # Views of the table: there need not be two copies.
            own = slice(int(start), int(start) + len(rows))
            vars(rows)["resident"] = table.each(lambda part, own=own: part[own])
        return table

    def layout(self) -> Layout:
        """Return which rows of the table make up the batches of an epoch: those that an iteration yields."""
        n_rows = [len(rows) for rows in self.rows]
        return lay_out(n_rows, len(self), self._orders(max(n_rows))).shifted(self._starts())

    def _starts(self) -> Tensor:
        """Return where the rows of each model begin in the table."""
        return torch.tensor([0, *(len(rows) for rows in self.rows)]).cumsum(0)[:-1]

    def __iter__(self) -> Iterator[Batch]:
        n_rows, n_batches = torch.tensor([len(rows) for rows in self.rows]), len(self)
        bounds = n_rows[:, None] * torch.arange(n_batches + 1) // n_batches
        sizes = bounds.diff()
        orders = self._orders(int(n_rows.max()))
        widest = int(sizes.max())
        per_block = max(1, block_rows(self.rows[0].x.shape[1]) // (widest * len(self.rows)))
        for first in range(0, n_batches, per_block):
            cut = slice(first, first + per_block)
            offsets = torch.arange(widest)
            counted = offsets < sizes[:, cut, None]
            positions = orders.gather(
                1, (bounds[:, cut.start : cut.stop][:, : counted.shape[1], None] + offsets * counted).flatten(1)
            )
            block = self._take(positions)
            for j in range(counted.shape[1]):
                yield self._pad(block, j, widest, sizes[:, first + j], counted[:, j])

    def _orders(self, longest: int) -> Tensor:
        """Return the order of each model's rows, shape (n_models, longest); what is beyond its end is 0."""
        orders = torch.zeros(len(self.rows), longest, dtype=torch.long)
        for k, rows in enumerate(self.rows):
            n = len(rows)
            orders[k, :n] = (
                torch.arange(n) if self.generators is None else torch.randperm(n, generator=self.generators[k])
            )
        return orders

    def _take(self, positions: Tensor) -> Batch:
        """Return rows of all models by their positions, shape (n_models, n_taken)."""
        parts = [rows.take(own) for rows, own in zip(self.rows, positions, strict=True)]
        columns = [
            None if column[0] is None else torch.stack(column) for column in zip(*(p[:4] for p in parts), strict=True)
        ]
        return Batch(*columns, complete=parts[0].complete)  # type: ignore[arg-type]

    @staticmethod
    def _pad(block: Batch, j: int, widest: int, sizes: Tensor, counted: Tensor) -> Batch:
        """Return batch `j` of a block, with weights where the models' sizes differ."""
        size = int(sizes.max())
        batch = block.each(lambda part: part[:, j * widest : j * widest + size])
        if (sizes == size).all():
            return batch
        # A model of very few rows has batches without any.
        share = (counted[:, :size] * (size / sizes[:, None].clamp(min=1).double())).to(batch.x)
        weight = share if batch.weight is None else batch.weight * share
        return batch._replace(weight=weight, counts=sizes.to(batch.x.device))


def mean_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means over several models of what was recorded of an epoch."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {
        name: mean_row([row[name] for row in rows])
        if isinstance(rows[0][name], dict)
        else np.mean([row[name] for row in rows], axis=0).tolist()
        for name in names
    }
