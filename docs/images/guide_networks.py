"""Figure of the guide: a perceptron and convolutions on signals whose peak may stand anywhere, by the number of rows.

Run as `python docs/images/guide_networks.py`; it writes `docs/images/guide/networks.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style

from sklearn_mtae import DegenerateModelWarning, VAETransformer

warnings.simplefilter("ignore", DegenerateModelWarning)

N_ROWS = [25, 50, 100, 200, 400]
COLOURS = {"mlp": style.ORANGE, "conv1d": style.BLUE}

rng = np.random.default_rng(0)
where = rng.uniform(0.2, 0.8, size=(700, 1))
clean = np.exp(-(((np.linspace(0, 1, 40) - where) / 0.08) ** 2))
peaks = clean + 0.1 * rng.normal(size=(700, 40))
train, test = peaks[:400], peaks[400:]
scores, rebuilt = {}, {}
for architecture in COLOURS:
    for n_rows in N_ROWS:
        vae = VAETransformer(2, architecture=architecture, hidden_layer_sizes=(64,), max_iter=100, random_state=0)
        vae.fit(train[:n_rows])
        scores[architecture, n_rows] = vae.score(test)
        if n_rows == N_ROWS[0]:
            rebuilt[architecture] = vae.predict(test)
        print(architecture, n_rows, round(scores[architecture, n_rows], 1), flush=True)

style.use()
figure, (left, right) = plt.subplots(1, 2, figsize=(5.8, 3.1), width_ratios=[1, 1.15])
for place, row in enumerate([1, 2, 4]):
    low = -1.5 * place
    left.plot(test[row] + low, ".", color=style.GREY, markersize=3)
    for architecture, colour in COLOURS.items():
        left.plot(rebuilt[architecture][row] + low, color=colour, linewidth=1.3)
left.set(title="New signals, 25 to learn from", xlabel="channel", yticks=[])
left.spines["left"].set_visible(False)
for architecture, colour in COLOURS.items():
    own = [scores[architecture, n_rows] for n_rows in N_ROWS]
    right.plot(N_ROWS, own, marker="o", color=colour)
    style.label_line(right, architecture, colour, x=440, y=own[-1])
right.set(
    title="Log-density of new signals",
    xlabel="signals to learn from",
    ylabel="nats per row",
    xscale="log",
    ylim=(8, 32),
)
right.set_xticks(N_ROWS, N_ROWS)
right.minorticks_off()
right.set_xlim(right=900)
style.save(figure, "guide/networks.png")
