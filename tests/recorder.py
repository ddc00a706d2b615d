"""A stand-in for CUDA graphs on the CPU: it repeats operations, with the very tensors and numbers that they had."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from sklearn_mtae._engine.captured_step_cpu import record_cpu


class Recording(TorchDispatchMode):
    """The operations of a step; Python is not run again when they are repeated."""

    def __init__(self):
        super().__init__()
        self.operations = []
        self.made = {}
        self.found = {}
        self.before = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for part in tree_leaves((args, kwargs)):
            if isinstance(part, torch.Tensor) and id(part) not in self.made and id(part) not in self.found:
                self.found[id(part)] = part
                self.before[id(part)] = part.clone()
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        self.made.update({id(part): part for part in tree_leaves(result) if id(part) not in self.found})
        return result

    @torch.no_grad()
    def undo(self):
        """Put back what the step has changed: a graph that is recorded does not run."""
        for key, value in self.before.items():
            self.found[key].copy_(value)

    @torch.no_grad()
    def replay(self):
        """Repeat the operations."""
        now = {}

        def find(part):
            return now.get(id(part), part) if isinstance(part, torch.Tensor) else part

        for func, args, kwargs, result in self.operations:
            args, kwargs = tree_map(find, (args, kwargs))
            for old, new in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs)), strict=True):
                if id(old) in self.made:
                    now[id(old)] = new

    @property
    def storages(self):
        """Where the tensors lie that were there before the step, or were made by none of its operations."""
        return {part.untyped_storage().data_ptr() for part in self.found.values()}


class Recorder:
    """Records steps as `sklearn_mtae._engine.captured_step.record_cuda` does."""

    def __init__(self):
        self.n_recorded = 0
        self.n_replayed = 0

    def __call__(self, step, generator):
        recordings = [self.record(step, generator) for _ in range(2)]
        # The first one is still there: what lies elsewhere has been made anew, of numbers that were Python's.
        assert recordings[0].storages == recordings[1].storages, "values are copied from the host within the step"
        self.n_recorded += 1

        def replay():
            self.n_replayed += 1
            recordings[1].replay()

        replay()  # to record is not to take the step
        return replay

    @staticmethod
    def record(step, generator):
        state = generator.get_state()
        recording = Recording()
        try:
            with recording:
                step()
        finally:
            recording.undo()
            generator.set_state(state)
        return recording


class Counted:
    """The recorder of the CPU, its steps counted."""

    def __init__(self):
        self.n_recorded = 0
        self.n_replayed = 0

    def __call__(self, step, generator):
        self.n_recorded += 1
        self.n_replayed += 1
        repeat = record_cpu(step, generator)

        def replay():
            self.n_replayed += 1
            repeat()

        return replay
