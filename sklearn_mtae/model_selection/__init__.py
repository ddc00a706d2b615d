"""Splitters whose parts hold labels of every task."""

from ._split import TaskKFold, TaskShuffleSplit

__all__ = ["TaskKFold", "TaskShuffleSplit"]
