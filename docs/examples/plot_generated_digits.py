"""
New digits: what a VAE draws, and what its prior has to do with it
==================================================================

A variational autoencoder is a recipe for new rows: draw a code from the prior, and decode it. This works as far as the
prior looks like the codes of real rows. Here the rows are handwritten digits of 8 x 8 pixels, and there are two priors:

- *normal*: fixed; the codes of all digits together are pressed into one round cloud;
- *vamp*: learned; a mixture of the posteriors of fifty learned digits (Tomczak and Welling 2018, arXiv 1705.07120).

Shades of grey between 0 and 1 are neither normal nor yes or no: the likelihood is the continuous Bernoulli
distribution (Loaiza-Ganem and Cunningham 2019, arXiv 1907.06845).
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from sklearn_mtae import VAETransformer
from sklearn_mtae.inspection import LatentDisplay, ReconstructionDisplay, SampleDisplay

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

images, digit = load_digits(return_X_y=True)
X_train, X_test, _, digit_test = train_test_split(
    images / 16, digit, stratify=digit, random_state=0
)

vae = VAETransformer(likelihood="continuous_bernoulli", max_iter=120, random_state=0)
deep = {"hidden_layer_sizes": (256, 256), "alpha": 0}
settings = {"normal": {}, "vamp": {"prior": "vamp"}, "normal, two layers": deep}
models = {
    name: clone(vae).set_params(**setting).fit(X_train)
    for name, setting in settings.items()
}

# %%
# New digits
# ----------
# ``sample`` draws a code, and then each pixel independently given the code, so the digits are grainy. The means of the
# pixels at such codes are easier on the eye. To get them, we draw codes from the prior, a part of the fitted torch
# module. The third model has the normal prior, but networks of two layers.


def draw(vae, n_digits):
    """Return the means of the pixels at codes drawn from the prior."""
    prior = vae.module_.prior.given(vae.module_.infer)
    with torch.no_grad():
        codes = prior.sample(n_digits, torch.Generator().manual_seed(0))
    return vae.inverse_transform(codes.numpy())


figure, axes = plt.subplots(1, 3, figsize=(8, 1.8), layout="constrained")
figure.get_layout_engine().set(wspace=0.06)
for ax, (name, vae) in zip(axes, models.items(), strict=True):
    SampleDisplay(drawn=draw(vae, 40), real=X_test, image_shape=(8, 8)).plot(ax=ax)
    ax.set_title(name)

# %%
# Numbers to go with the pictures: the log-density of held-out digits; the distance of a drawn digit to the nearest of
# them; and the rate, which is how much a code says about its digit. The distance alone would reward a model that has
# memorised a few digits; the density does not.

to_real = NearestNeighbors(n_neighbors=1).fit(X_test)
nearest = to_real.kneighbors(X_train)[0].mean()
print(f"Distance of a training digit to the nearest held-out one: {nearest:.2f}\n")
print(f"{'':18}   log p(x)   distance   rate (nats)")
for name, vae in models.items():
    distance = to_real.kneighbors(draw(vae, 1000))[0].mean()
    rate = vae.diagnose(X_test).rate
    print(f"{name:18} {vae.score(X_test):10.0f} {distance:10.2f} {rate:13.1f}")

# %%
# Draws from the learned prior are as close to real digits as these are to each other, and held-out digits have a higher
# density. Deeper networks gain as much density with the normal prior; their draws lie in between. The learned prior has
# a price: its codes say half as much about a digit, and reconstructions are blurred.

shown = [np.flatnonzero(digit_test == kind)[0] for kind in range(10)]
figure, axes = plt.subplots(2, 1, figsize=(6.5, 3.1), layout="constrained")
for ax, name in zip(axes, ["normal", "vamp"], strict=True):
    ReconstructionDisplay.from_estimator(
        models[name], X_test[shown], n_rows=10, image_shape=(8, 8), ax=ax
    )
    ax.set_title(name)

# %%
# A space to look at
# ------------------
# A code of two components can be plotted, and so can what lies between the digits. On the right, points of a grid are
# decoded. They lie at quantiles of the prior, so that each image stands for an equal share of it. Here a shade of grey
# is the probability of ink, ``likelihood="bernoulli"``: the density of shades would outweigh the rate of so small a
# code and pull the codes off the prior.

plane = VAETransformer(
    2, likelihood="bernoulli", max_iter=100, random_state=0, **deep
).fit(X_train)
quantiles = norm.ppf(np.linspace(0.03, 0.97, 12))
decoded = plane.inverse_transform(
    [[right, up] for up in quantiles[::-1] for right in quantiles]
)

figure, axes = plt.subplots(1, 2, figsize=(8, 3.7), layout="constrained")
LatentDisplay.from_estimator(plane, X_test, digit_test, components=(0, 1), ax=axes[0])
tiles = np.pad(decoded.reshape(12, 12, 8, 8), [(0, 0), (0, 0), (1, 1), (1, 1)])
axes[1].imshow(tiles.swapaxes(1, 2).reshape(120, 120), cmap="gray_r")
axes[1].set(xticks=[], yticks=[], xlabel="component 0", ylabel="component 1")
