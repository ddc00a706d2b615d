"""The same autoencoders in pythae's trainer; importable only if pythae is."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from tempfile import TemporaryDirectory

import torch
from numpy.typing import NDArray
from pythae.data.datasets import BaseDataset
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from ._loops import perceptron


class Encoder(BaseEncoder):
    """An encoder that returns pythae's own type."""

    def __init__(self, n_features: int, n_hidden: int, n_code: int) -> None:
        super().__init__()
        self.layers = perceptron(n_features, n_hidden, n_code)

    def forward(self, x: Tensor) -> ModelOutput:
        return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    """A decoder that returns pythae's own type."""

    def __init__(self, n_code: int, n_hidden: int, n_features: int) -> None:
        super().__init__()
        self.layers = perceptron(n_code, n_hidden, n_features)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def train(data: Tensor, n_hidden: int, n_code: int, batch_size: int, n_epochs: int, device: torch.device) -> AE:
    """Train pythae's autoencoder on standardised rows, without its progress bars and log."""
    n_features = data.shape[1]
    model = AE(
        AEConfig(input_dim=(n_features,), latent_dim=n_code),
        Encoder(n_features, n_hidden, n_code),
        Decoder(n_code, n_hidden, n_features),
    )
    with TemporaryDirectory() as folder, quiet():
        config = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_epochs=n_epochs,
            learning_rate=1e-3,
            no_cuda=device.type != "cuda",
        )
        BaseTrainer(model, BaseDataset(data, torch.zeros(len(data))), training_config=config).train()
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pythae's progress bars and its log."""
    logging.disable(logging.INFO)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


class PosteriorEncoder(BaseEncoder):
    """An encoder of means and log variances that returns pythae's own type."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x).chunk(2, dim=-1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class ProbabilityDecoder(BaseDecoder):
    """A decoder of probabilities that returns pythae's own type."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


class BernoulliVAE:
    """pythae's VAE of zeros and ones in its trainer, one epoch at a time, so that each epoch can have its own data."""

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        n_features: int,
        n_code: int,
        *,
        batch_size: int,
        eps: float,
        seed: int,
        device: torch.device,
    ) -> None:
        config = VAEConfig(input_dim=(n_features,), latent_dim=n_code, reconstruction_loss="bce")
        self.model = VAE(config, PosteriorEncoder(encoder), ProbabilityDecoder(decoder))
        self.n_epochs = 0
        with TemporaryDirectory() as folder, quiet():
            training = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                optimizer_params={"eps": eps},
                seed=seed,
                no_cuda=device.type != "cuda",
            )
            # The trainer tries the model on given data; the training data come with each epoch.
            blank = torch.zeros(1, n_features)
            self.trainer = BaseTrainer(self.model, BaseDataset(blank, blank[:, 0]), training_config=training)
            self.trainer.prepare_training()

    def train_epoch(self, X: NDArray, learning_rate: float) -> None:
        """Train for one epoch; the optimiser continues from the last one."""
        dataset = BaseDataset(torch.from_numpy(X), torch.zeros(len(X)))
        self.trainer.train_dataset = dataset
        self.trainer.train_loader = self.trainer.get_train_dataloader(dataset)
        for group in self.trainer.optimizer.param_groups:
            group["lr"] = learning_rate
        self.n_epochs += 1
        with quiet():
            self.trainer.train_step(self.n_epochs)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posteriors' means and log variances."""
        posterior = self.model.encoder(x)
        return posterior.embedding, posterior.log_covariance

    def decode(self, z: Tensor) -> Tensor:
        """Return the logits."""
        return self.model.decoder.layers(z)
