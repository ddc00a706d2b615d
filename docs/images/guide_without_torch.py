"""Figure of the guide: time of a call of one model by torch, numpy and ONNX Runtime.

Run as `python docs/images/guide_without_torch.py`; it writes `docs/images/guide/without_torch.png`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import style
import torch
from sklearn.datasets import load_wine

from sklearn_mtae import MultiTaskVAERegressor, runtime
from sklearn_mtae.export import to_numpy, to_onnx

SIZES = [1, 10, 100, 1_000, 10_000]
torch.set_num_threads(1)
wine, _ = load_wine(return_X_y=True)
X, y = wine[:, :-3], wine[:, -3:]
model = MultiTaskVAERegressor(n_estimators=3, max_iter=20, random_state=0).fit(X, y)
with TemporaryDirectory() as folder:
    path = Path(folder) / "model.mtae"
    to_numpy(model, path)
    light = runtime.load(path)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(to_onnx(model, dtype="float64").SerializeToString(), options)
predict = {
    "torch": model.predict,
    "numpy": light.predict,
    "ONNX Runtime": lambda rows: session.run(None, {"X": rows})[0],
}
colours = dict(zip(predict, [style.BLUE, style.ORANGE, style.GREEN], strict=True))


def milliseconds(name: str, rows: np.ndarray) -> float:
    """Return the shortest processor time of several calls."""
    times = []
    for _ in range(30 if len(rows) < 10_000 else 5):
        start = process_time()
        predict[name](rows)
        times.append(process_time() - start)
    return 1000 * min(times)


style.use()
figure, axes = plt.subplots(figsize=(5.8, 3))
rows = np.tile(X, (SIZES[-1] // len(X) + 1, 1))[: SIZES[-1]]
own, found = model.predict(X), {}
for name, colour in colours.items():
    found[name] = [milliseconds(name, rows[:n]) for n in SIZES]
    apart = np.abs(predict[name](X) - own).max(axis=0) / np.abs(own).max(axis=0)
    print(f"{name:14}", np.round(found[name], 3), f"{apart.max():.0e} apart")
    axes.plot(SIZES, found[name], "o-", color=colour)
for place, name in enumerate(sorted(found, key=lambda name: -found[name][-1])):
    style.label_line(axes, name, colours[name], x=12_000, y=max(map(max, found.values())) / 2**place)
axes.set(xscale="log", yscale="log", xlabel="rows in a call of predict", ylabel="milliseconds of one core per call")
axes.set(xlim=(0.8, 11_000), title="Few rows: exports are faster. Many rows: torch keeps up")
axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES])
axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
axes.minorticks_off()
style.save(figure, "guide/without_torch.png")
