"""Every parameter of every estimator refuses what it cannot be, in an error that names the parameter."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import nn

from sklearn_mtae import (
    AutoencoderTransformer,
    MultipleImputation,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    PerTaskClassifier,
    PerTaskRegressor,
    VAEImputer,
    VAETransformer,
)
from tests.messages import SINGLE, SMALL, Bare, C, OwnError, X, Y, message_of, refuse

MODELS = {
    "autoencoder": (lambda: AutoencoderTransformer(**SMALL), (X,)),
    "vae": (lambda: VAETransformer(**SMALL), (X,)),
    "regressor": (lambda: MultiTaskVAERegressor(**SINGLE), (X, Y)),
    "classifier": (lambda: MultiTaskVAEClassifier(**SINGLE), (X, C)),
    "imputer": (lambda: VAEImputer(VAETransformer(**SMALL)), (X,)),
    "detector": (lambda: OutlierDetector(VAETransformer(**SMALL), n_estimators=1), (X,)),
    "multiple_imputation": (
        lambda: MultipleImputation(LinearRegression(), VAETransformer(**SMALL), n_draws=2),
        (X, Y[:, 0]),
    ),
    "per_task_regressor": (lambda: PerTaskRegressor(LinearRegression()), (X, Y)),
    "per_task_classifier": (lambda: PerTaskClassifier(LogisticRegression()), (X, C)),
}


GARBAGE = {
    "None": None,
    "-1": -1,
    "0": 0,
    "3.7": 3.7,
    "nan": float("nan"),
    "inf": float("inf"),
    "text": "garbage",
    "empty text": "",
    "bytes": b"x",
    "[]": [],
    "[[1]]": [[1]],
    "[None]": [None],
    "['64']": ["64"],
    "{}": {},
    "{'nope': 1}": {"nope": 1},
    "{3: 4}": {3: 4},
    "object": Bare(),
    "class": Bare,
    "no arguments": lambda: None,
    "returns None": lambda *args, **kwargs: None,
    "returns text": lambda *args, **kwargs: "x",
    "returns a module": lambda *args, **kwargs: nn.Linear(3, 3),
    "returns two modules": lambda *args, **kwargs: (nn.Linear(3, 3), nn.Linear(3, 3)),
    "returns a tensor": lambda *args, **kwargs: torch.ones(3),
    "returns a dict": lambda *args, **kwargs: {"a": 1},
    "returns tensors": lambda *args, **kwargs: {"a": torch.ones(3)},
    "returns nan": lambda *args, **kwargs: float("nan"),
    "raises": refuse,
    "array": np.arange(2000.0),
    "frame": pd.DataFrame({"a": np.arange(2000.0)}),
    "module": nn.Linear(1, 1),
    "set": {1, 2},
}
WEIGHT, SIZES = {"0", "3.7"}, {"[]"}
NEED_ONE = {"multiple_imputation", "per_task_regressor", "per_task_classifier"}
ADMISSIBLE = {
    "alpha": WEIGHT,
    "batch_size": {"None"},
    "beta": WEIGHT,
    "checkpoint": {"None"},
    "class_weight": {"None", "{}"},
    "consistency": WEIGHT,
    "corruption": {"None"},
    "cv": {"None"},
    "imputer": {"None"},
    "learning_rate_decay": {"0"},
    "dropout": {"0"},
    "embedding": {"None"},
    "encoder": {"None"},
    "estimator": {"None"},  # of an imputer, of a detector
    "free_bits": WEIGHT,
    "head_hidden_layer_sizes": SIZES,
    "hidden_layer_sizes": SIZES,
    "image_shape": {"None"},
    "learning_rate_init": {"3.7"},
    "likelihood": {"{}"},
    "max_categories": {"None"},
    "member_params": {"None", "[]"},
    "n_jobs": {"None", "-1"},
    "net_params": {"None", "{}"},
    "penalty": {"None"},
    "penalty_weight": WEIGHT,
    "random_state": {"None", "0"},
    "reconstruction_weight": WEIGHT,
    "task_likelihoods": {"{}"},
    "task_similarity": {"None"},
    "tol": WEIGHT,
    "variance": {"None"},
    "verbose": {"0", "3.7"},
}
"""The garbage that is none for a parameter; all else is to be refused."""


def own_parameters():
    """Yield each parameter of each estimator, those that several have once."""
    seen = set()
    for kind, (make, _) in MODELS.items():
        apart = kind if "per_task" in kind or kind.endswith(("imputer", "imputation", "detector")) else ""
        for name in make().get_params(deep=False):
            if (apart, name) not in seen:
                seen.add((apart, name))
                yield kind, name


@pytest.mark.parametrize(("kind", "name"), list(own_parameters()))
def test_every_parameter_refuses_garbage_by_its_name(kind, name):
    make, data = MODELS[kind]
    allowed = ADMISSIBLE.get(name, set()) - ({"None"} if kind in NEED_ONE and name == "estimator" else set())
    for label, value in GARBAGE.items():
        if label in allowed or (name == "checkpoint" and "text" in label):
            continue
        model = make().set_params(**{name: value})
        text = message_of(lambda model=model: model.fit(*data), ValueError, TypeError, OwnError)
        assert name in text, f"{label}: {text}"
