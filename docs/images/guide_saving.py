"""Time of a prediction by the number of rows: the guide's chapter on saving and deployment."""

from time import process_time

import matplotlib.pyplot as plt
import numpy as np
import style
import torch

from sklearn_mtae import MultiTaskVAERegressor

torch.set_num_threads(1)
style.use()
rng = np.random.default_rng(0)
X = rng.normal(size=(10_000, 20)).astype(np.float32)
Y = np.sin(2 * X[:, :3]) + 0.1 * rng.normal(size=(10_000, 3))
sizes = [1, 10, 100, 1_000, 10_000]
models = {
    "single model": MultiTaskVAERegressor(n_estimators=1, max_iter=20, random_state=0),
    "ensemble of 10": MultiTaskVAERegressor(n_estimators=10, max_iter=20, random_state=0),
}
figure, axes = plt.subplots()
for (name, model), colour in zip(models.items(), (style.BLUE, style.ORANGE), strict=True):
    model.fit(X[:500], Y[:500]).predict(X)
    times = []
    for n_rows in sizes:
        own = []
        for _ in range(30 if n_rows < 10_000 else 8):
            start = process_time()
            model.predict(X[:n_rows])
            own.append(process_time() - start)
        times.append(min(own))
    print(name, dict(zip(sizes, np.round(1000 * np.array(times), 2), strict=True)))
    axes.plot(sizes, 1000 * np.array(times), "o-", color=colour)
    style.label_line(axes, name, colour, x=sizes[-1] * 1.25, y=1000 * times[-1])
axes.set(
    xscale="log",
    yscale="log",
    xlabel="rows in a call of predict",
    ylabel="milliseconds of one core per call",
    xlim=(0.8, 200_000),
    title="A call costs a fixed time first: predict rows together",
)
axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
axes.minorticks_off()
style.save(figure, "guide/latency.png")
