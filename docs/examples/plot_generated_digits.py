"""
New digits: what a VAE draws, and what its prior has to do with it
==================================================================

A variational autoencoder is a recipe for new rows: draw a code from the prior, decode it. It works as far as the prior
looks like the codes that the rows have. Here the rows are handwritten digits of 8 x 8 pixels, and two priors compete:

- *normal*: fixed; the codes of all digits together are pressed into one round cloud;
- *VampPrior*: learned; a mixture of the posteriors of fifty pseudo-digits (Tomczak and Welling 2018, arXiv 1705.07120).

Shades of grey between 0 and 1 are neither normal nor yes or no: the likelihood is the continuous Bernoulli
distribution (Loaiza-Ganem and Cunningham 2019, arXiv 1907.06845).
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from sklearn_mtae import VAETransformer
from sklearn_mtae.inspection import LatentDisplay, ReconstructionDisplay, SampleDisplay

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

images, digit = load_digits(return_X_y=True, as_frame=True)
X_train, X_test, digit_train, digit_test = train_test_split(
    images.to_numpy() / 16, digit, stratify=digit, random_state=0
)
common = {"likelihood": "continuous_bernoulli", "max_iter": 60, "random_state": 0}
models = {prior: VAETransformer(prior=prior, **common).fit(X_train) for prior in ["normal", "vamp"]}

# %%
# New digits
# ----------
# ``sample`` draws a code, and then each pixel by itself from its distribution given the code: that is what the model
# believes, grain and all. Easier on the eye are the pixels' means at the same codes. They take two lines, as the prior
# is a part of the fitted torch module.


def draw(vae, n_digits):
    """Return the means of the pixels at codes drawn from the prior, shape (n_digits, n_pixels)."""
    prior = vae.module_.prior.given(vae.module_.infer)
    with torch.no_grad():
        codes = prior.sample(n_digits, torch.Generator().manual_seed(0))
    return vae.inverse_transform(codes.numpy())


figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
for ax, (prior, vae) in zip(axes, models.items(), strict=True):
    SampleDisplay(drawn=draw(vae, 60), real=X_test, image_shape=(8, 8)).plot(ax=ax)
    ax.set_title(f'prior="{prior}"')

# %%
# Two numbers go with the pictures: the log-density of held-out digits, and how far a drawn digit is from the nearest
# held-out one. The second alone would reward a model that has learned a few digits by heart; the first would not.

to_real = NearestNeighbors(n_neighbors=1).fit(X_test)
print(f"Distance to the nearest held-out digit: training digits {to_real.kneighbors(X_train)[0].mean():.2f}")
for prior, vae in models.items():
    distance = to_real.kneighbors(draw(vae, 1000))[0].mean()
    print(f"{prior:>8}: log p(x) of held-out digits {vae.score(X_test):.0f} nats, drawn digits {distance:.2f} away")

# %%
# Digits it is given
# ------------------
# What the codes of held-out digits keep of them, one of each kind:

shown = [np.flatnonzero(digit_test == kind)[0] for kind in range(10)]
figure, axes = plt.subplots(1, 2, figsize=(9, 1.8), layout="constrained")
for ax, (prior, vae) in zip(axes, models.items(), strict=True):
    ReconstructionDisplay.from_estimator(vae, X_test[shown], n_rows=10, image_shape=(8, 8), ax=ax)
    ax.set_title(f'prior="{prior}"')

# %%
# A space to look at
# ------------------
# With two components the codes can be drawn, and so can what lies between them: on the right each point of a grid is
# decoded, at the quantiles of the normal prior, so that each image stands for as much of it as any other.

plane = VAETransformer(2, **common).fit(X_train)
quantiles = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.03, 0.97, 15)).numpy()
grid = np.array([[x, y] for y in quantiles[::-1] for x in quantiles])

figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
LatentDisplay.from_estimator(plane, X_test, digit_test.rename("digit"), ax=axes[0])
tiles = plane.inverse_transform(grid).reshape(15, 15, 8, 8).swapaxes(1, 2).reshape(120, 120)
axes[1].imshow(tiles, cmap="gray_r", extent=(-1, 1, -1, 1))
axes[1].set(xticks=[], yticks=[], xlabel="component 0", ylabel="component 1", title="decoded, at quantiles of the prior")
