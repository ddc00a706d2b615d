"""The same autoencoder in pythae's trainer; importable only where pythae is."""

import io
import logging
from contextlib import redirect_stderr
from tempfile import TemporaryDirectory

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import AE, AEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor

from ._loops import perceptron


class Encoder(BaseEncoder):
    """An encoder that answers in pythae's own type."""

    def __init__(self, n_features: int, n_hidden: int, n_code: int) -> None:
        super().__init__()
        self.layers = perceptron(n_features, n_hidden, n_code)

    def forward(self, x: Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    """A decoder that answers in pythae's own type."""

    def __init__(self, n_code: int, n_hidden: int, n_features: int) -> None:
        super().__init__()
        self.layers = perceptron(n_code, n_hidden, n_features)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def train(data: Tensor, n_hidden: int, n_code: int, batch_size: int, n_epochs: int, device: torch.device) -> AE:
    """Train pythae's autoencoder on rows that are standardised already, its progress bars and log kept quiet."""
    n_features = data.shape[1]
    model = AE(
        AEConfig(input_dim=(n_features,), latent_dim=n_code),
        Encoder(n_features, n_hidden, n_code),
        Decoder(n_code, n_hidden, n_features),
    )
    logging.disable(logging.INFO)
    try:
        with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
            config = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                num_epochs=n_epochs,
                learning_rate=1e-3,
                no_cuda=device.type != "cuda",
            )
            BaseTrainer(model, BaseDataset(data, torch.zeros(len(data))), training_config=config).train()
    finally:
        logging.disable(logging.NOTSET)
    return model
