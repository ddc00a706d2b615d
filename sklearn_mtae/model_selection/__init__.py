"""Splitters whose parts hold labels of every task, and whether tasks are to be learned together."""

from ._split import TaskKFold, TaskShuffleSplit
from ._transfer import TransferReport, transfer_report

__all__ = ["TaskKFold", "TaskShuffleSplit", "TransferReport", "transfer_report"]
