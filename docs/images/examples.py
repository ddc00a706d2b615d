"""Pictures that examples draw, for the README and for pages of examples that the build does not run.

`python examples.py SMSSpamCollection spoken_digits.npz` takes the data of two of them. They are drawn in the style of
all other figures.
"""

import runpy
import sys
from pathlib import Path

import matplotlib as mpl
from PIL import Image

mpl.use("Agg")

import style

FOLDER = Path(__file__).parent
style.use()
messages, spoken = sys.argv[1:3]
for name, data in {"plot_quickstart": [], "sms_topics": [messages], "spoken_digits": [spoken]}.items():
    path = FOLDER / f"{name.removeprefix('plot_')}.png"
    sys.argv = [name, *data, str(path)]
    runpy.run_path(str(FOLDER.parent / "examples" / f"{name}.py"), run_name="__main__")
    with Image.open(path) as drawn:
        image = style.reduced(drawn.convert("RGB"))
    image.save(path, optimize=True)
