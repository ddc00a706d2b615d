"""A long fit that can be taken up after its process has ended: what is written after each epoch."""

import os
from pathlib import Path
from typing import Any

import torch


class Checkpoint:
    """The file that a training is written to.

    Parameters
    ----------
    path : str or PathLike
        Its place.
    identity : str
        A text that only an equal fit has, with equal data.

    Raises
    ------
    ValueError
        If the file holds a fit of another identity.
    """

    def __init__(self, path: str | os.PathLike, identity: str) -> None:
        self.path = Path(path)
        self.identity = identity
        self.saved: dict[str, Any] | None = None
        if self.path.exists():
            self.saved = torch.load(self.path, map_location="cpu", weights_only=True)
            assert self.saved is not None
            if self.saved["identity"] != identity:
                raise ValueError(
                    "checkpoint must hold a fit of the same parameters and data. "
                    f"{os.fspath(path)!r} holds another one: delete it, or give each fit a file of its own."
                )
        self.seed: int | None = None if self.saved is None else self.saved["seed"]
        """Seed of the fit."""

    def save(self, net: Any) -> None:
        """Write all that the rest of the training depends on; a process that ends meanwhile leaves the last epoch's."""
        state = {
            "identity": self.identity,
            "seed": self.seed,
            "module": net.module_.state_dict(),
            "criterion": net.criterion_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "order": net.order_.get_state(),
            "noise": net.noise_.get_state(),
            "step": net.step_,
            "best": net.best_,
            "history": list(net.history),
            "stopping": [{name: getattr(stop, name) for name in STOPPING} for stop in net.stopping()],
        }
        beside = self.path.with_name(self.path.name + ".tmp")
        torch.save(state, beside)
        beside.replace(self.path)

    def restore(self, net: Any) -> int:
        """Take a net up where it was saved, if it was; return the number of epochs that are done."""
        saved, self.saved = self.saved, None
        if saved is None:
            return 0
        net.module_.load_state_dict(saved["module"])
        net.criterion_.load_state_dict(saved["criterion"])
        net.optimizer_.load_state_dict(saved["optimizer"])
        net.order_.set_state(saved["order"])
        net.noise_.set_state(saved["noise"])
        net.step_, net.best_ = saved["step"], saved["best"]
        net.history.extend(saved["history"])
        for stop, state in zip(net.stopping(), saved["stopping"], strict=True):
            vars(stop).update(state)
        return len(saved["history"])

    def remove(self) -> None:
        """Remove the file: the fit is done."""
        self.path.unlink(missing_ok=True)


STOPPING = ("misses_", "best_epoch_", "dynamic_threshold_", "best_model_weights_")
"""What skorch's `EarlyStopping` remembers."""
