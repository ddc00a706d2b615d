"""
One model on several GPUs: an estimator in step
===============================================

Data-parallel training of an estimator as it is. Several processes fit the same model, each on a share of the rows and a
GPU of its own, and before each step of the optimiser a callback averages their gradients. What comes out is an ordinary
fitted estimator. It needs ``pip install accelerate`` and is started once per GPU::

    accelerate launch --multi_gpu --num_processes 4 fit_on_several_gpus.py
    torchrun --nproc_per_node 4 fit_on_several_gpus.py

Where there is no GPU the second line trains on the CPU. One process and two give about the same model::

    1 process: held-out log-density -35.51
    2 processes: held-out log-density -35.61

The sum of all processes' batches is a batch of the usual size, so the number of steps is the same too.
"""

# sphinx_gallery_thumbnail_path = 'images/thumbnails/data_parallel.png'
import joblib
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from skorch.callbacks import Callback

from sklearn_mtae import VAETransformer


class InStep(Callback):
    """Average the first weights and every gradient, so that all models are the same."""

    def on_train_begin(self, net, **kwargs):
        for _, weights in net.get_all_learnable_params():
            weights.data.copy_(reduce(weights.data, reduction="mean"))

    def on_grad_computed(self, net, named_parameters, **kwargs):
        for _, weights in named_parameters:
            weights.grad.copy_(reduce(weights.grad, reduction="mean"))


# %%
# Rows with eight hidden causes. All processes make the same ones; large data would lie in a file that each of them
# maps.

rng = np.random.default_rng(0)
X = np.tanh(rng.normal(size=(24_000, 8)) @ rng.normal(size=(8, 64))) + 0.3 * rng.normal(
    size=(24_000, 64)
)
train, test = X[:20_000], X[20_000:]

# %%
# The units of the columns must be the same in all processes. A first epoch on the same rows settles them, and ``fit``
# then goes on from there with a share of the rows each. The shares must be equally long, since all wait for each other
# at each step. For the same reason early stopping must be off.

processes = PartialState(cpu=not torch.cuda.is_available())
rank, n_processes = processes.process_index, processes.num_processes
settings = {
    "hidden_layer_sizes": (512,),
    "alpha": 0,
    "device": str(processes.device),
    "random_state": 0,
}
vae = VAETransformer(8, max_iter=1, warm_start=True, **settings).fit(train[:2000])
vae.set_params(
    max_iter=20, batch_size=200 // n_processes, net_params={"callbacks": [InStep()]}
)
n_each = len(train) // n_processes
vae.fit(train[rank * n_each : (rank + 1) * n_each])

# %%
# Any process has the whole model; one of them writes it down.

if processes.is_main_process:
    vae.set_params(net_params=None)
    joblib.dump(vae, "vae.joblib")
    noun = "process" if n_processes == 1 else "processes"
    print(f"{n_processes} {noun}: held-out log-density {vae.score(test):.2f}")
processes.destroy_process_group()
