"""Autoencoders and multi-task learning as ordinary scikit-learn."""

from ._autoencoder import AutoencoderTransformer
from ._multitask import MultiTaskVAERegressor
from ._vae import VAETransformer
from ._version import __version__

__all__ = ["AutoencoderTransformer", "MultiTaskVAERegressor", "VAETransformer", "__version__"]
