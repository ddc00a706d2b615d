"""Figure of the guide: traversals of the two components of a VAE of wines that carry most information.

Run as `python docs/images/guide_interpretation.py`; it writes `docs/images/guide/traversals.png`.
"""

import numpy as np
import style
from sklearn.datasets import load_wine

from sklearn_mtae import VAETransformer
from sklearn_mtae.inspection import TraversalDisplay

X, y = load_wine(return_X_y=True, as_frame=True)
vae = VAETransformer(4, hidden_layer_sizes=(64,), learning_rate_init=0.005, random_state=0).fit(X)
order = np.argsort(-vae.diagnose(X).rate_per_component)

style.use()
moved = TraversalDisplay.from_estimator(vae, X, components=order[:2])
style.save(moved.figure_, "guide/traversals.png")
