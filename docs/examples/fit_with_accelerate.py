"""
One model on several GPUs: accelerate
=====================================

Data-parallel training with skorch's ``AccelerateMixin``: a net of your own around a model and a loss of this package,
fed by a torch data set. accelerate deals the batches to the processes and averages gradients while others are still
being computed. An estimator makes the model, and gets the trained weights back for ``transform``, ``sample`` and the
rest. It needs ``pip install accelerate`` and is started once per GPU::

    accelerate launch --multi_gpu --num_processes 4 fit_with_accelerate.py
    torchrun --nproc_per_node 4 fit_with_accelerate.py

Where there is no GPU the second line trains on the CPU. One process and two give about the same model::

    1 process: loss 38.84, held-out log-density -35.49
    2 processes: loss 39.00, held-out log-density -35.47

The sum of all processes' batches is a batch of the usual size, so the number of steps is the same too.
"""

# sphinx_gallery_thumbnail_path = 'images/thumbnails/data_parallel.png'
import pickle
from copy import deepcopy

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from skorch import NeuralNet
from skorch.hf import AccelerateMixin
from torch import nn

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.objectives import elbo


class Training(nn.Module):
    """From rows to their loss, in one forward pass, as averaging gradients needs."""

    def __init__(self, model, loss):
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, x):
        return self.loss(self.model, self.model(x)).loss


def already_a_loss():
    """Return a criterion that takes what the module gives.

    It is no module: torch refuses to wrap one without weights.
    """
    return lambda loss, y: loss


class DataParallelNet(AccelerateMixin, NeuralNet):
    """A net whose module returns the loss."""

    def train_step(self, batch, **fit_params):
        step = super().train_step(batch, **fit_params)
        self.accelerator.unwrap_model(
            self.module_
        ).model.constrain()  # keeps learned variances above their floor
        return step


def put_back(estimator, model):
    """Return the estimator with the weights of a model that was trained elsewhere."""
    # On the CPU the tensors of `module_` are the estimator's own arrays.
    # Pickling drops what was made of the old ones.
    estimator.module_.load_state_dict(model.state_dict())
    return pickle.loads(pickle.dumps(estimator))


# %%
# Rows with eight hidden causes. All processes make the same ones; large data would lie in a file that each of them
# maps.

rng = np.random.default_rng(0)
X = np.tanh(rng.normal(size=(24_000, 8)) @ rng.normal(size=(8, 64))) + 0.3 * rng.normal(
    size=(24_000, 64)
)
train, test = X[:20_000].astype(np.float32), X[20_000:]

# %%
# One epoch on a part of the rows makes the model and settles the units of the columns. What else is the estimators' own
# business does not come along: schedules, weights of rows, decay of hidden weights. The loss here is the bound alone.

accelerator = Accelerator(cpu=not torch.cuda.is_available())
vae = VAETransformer(
    8, hidden_layer_sizes=(512,), max_iter=1, device="cpu", random_state=0
).fit(train[:2000])
model = deepcopy(vae.module_).requires_grad_(True)
set_seed(0, device_specific=True)  # each process draws its own codes
net = DataParallelNet(
    Training(model, Loss(elbo)),
    criterion=already_a_loss,
    accelerator=accelerator,
    optimizer=torch.optim.Adam,
    lr=1e-3,
    max_epochs=20,
    batch_size=200 // accelerator.num_processes,
    iterator_train__shuffle=True,
    train_split=None,
)
net.fit(model.units(torch.from_numpy(train)))

# %%
# Any process has the whole model; one of them goes on with it.

if accelerator.is_main_process:
    vae = put_back(vae, net.module_.model)
    noun = "process" if accelerator.num_processes == 1 else "processes"
    loss = net.history[-1, "train_loss"]
    print(
        f"{accelerator.num_processes} {noun}: loss {loss:.2f}, "
        f"held-out log-density {vae.score(test):.2f}"
    )
accelerator.end_training()
