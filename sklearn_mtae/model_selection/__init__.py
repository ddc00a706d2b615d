"""Splitters with labels of every task in each part, held-out predictions, stacked searches, and transfer."""

from ._cross_val_predict import cross_val_predict
from ._split import TaskKFold, TaskShuffleSplit
from ._stacked_halving import StackedHalvingGridSearchCV, StackedHalvingRandomSearchCV
from ._stacked_search import StackedGridSearchCV, StackedRandomizedSearchCV
from ._transfer import TransferReport, transfer_report

__all__ = [
    "StackedGridSearchCV",
    "StackedHalvingGridSearchCV",
    "StackedHalvingRandomSearchCV",
    "StackedRandomizedSearchCV",
    "TaskKFold",
    "TaskShuffleSplit",
    "TransferReport",
    "cross_val_predict",
    "transfer_report",
]
