"""An encoder that another model has trained."""

import torch
from torch import Tensor, nn


class Pretrained(nn.Module):
    """A trained encoder, and a linear map from its outputs to the parameters of a posterior.

    Initially, the posterior's means are the known code, as far as there are components for it. Its log variances are
    the encoder's, or -4 if it has none. Further components start at the standard normal prior, and further parameters
    of a posterior at zero.

    Parameters
    ----------
    encoder : Module
        From columns to `n_outputs` outputs, the code (or its mean) first, then its log variance if it has any.
    n_outputs : int
        Outputs of the encoder.
    n_known : int
        Components of its code.
    n_components : int
        Components of the posterior.
    frozen : bool
        Whether the encoder is fixed; it is then always in evaluation mode, without dropout.
    n_params : int, default=2
        Parameters of the posterior per component: the mean, the log variance, others.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_outputs: int,
        n_known: int,
        n_components: int,
        frozen: bool,
        n_params: int = 2,
    ) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(not frozen)
        self.frozen = frozen
        self.adapter = nn.Linear(n_outputs, n_params * n_components)
        n_kept = min(n_known, n_components)
        with torch.no_grad():
            parts = self.adapter.weight.zero_(), self.adapter.bias.zero_()
            weight, bias = (part.unflatten(0, (n_params, n_components)) for part in parts)
            weight[0, :n_kept, :n_kept].fill_diagonal_(1.0)
            if n_outputs >= 2 * n_known:
                weight[1, :n_kept, n_known : n_known + n_kept].fill_diagonal_(1.0)
            else:
                bias[1, :n_kept] = -4.0

    def train(self, mode: bool = True) -> "Pretrained":
        """Set the training mode of the trained parts, but not of a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_features) to posterior parameters (n_rows, n_params * n_components)."""
        return self.adapter(self.encoder(x))
