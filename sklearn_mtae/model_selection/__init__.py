"""Splitters whose parts hold labels of every task, searches that train as one, and whether tasks help each other."""

from ._split import TaskKFold, TaskShuffleSplit
from ._stacked_search import StackedGridSearchCV, StackedRandomizedSearchCV
from ._transfer import TransferReport, transfer_report

__all__ = [
    "StackedGridSearchCV",
    "StackedRandomizedSearchCV",
    "TaskKFold",
    "TaskShuffleSplit",
    "TransferReport",
    "transfer_report",
]
