"""Do the codes of a multinomial VAE detect spam as well as those of a truncated SVD, and how much memory does it take?

Run `python -m benchmarks.sms_topics --data-dir DIR [--repeats 1] [PART]`.

DIR holds `sms_spam.tsv`, the SMS Spam Collection (Almeida et al. 2011, https://archive.ics.uci.edu/dataset/228): label,
tab, text. Each message becomes counts of at most 8,000 words, a sparse row; the table never becomes dense. A logistic
regression on 20 standardised codes separates spam from ham. The parts, each of which runs in a separate process:

- scores: codes of `VAETransformer` with the "multinomial" likelihood, codes of `TruncatedSVD` of counts and of tf-idf
  weights, and, without codes, all words. Two fifths of the messages are for choosing settings and never tested. The
  test rows are five folds of the others, the training rows all the rest; vocabulary, codes and classifier are fitted to
  the training rows of each fold.
- choose: the same of several settings of the VAE, in five folds of the messages for choosing alone. Not run unless
  asked for.
- topics: the VAE of all messages; the peak of the resident memory of the process that counted words and fitted it, and
  words of at least 40 occurrences that a move along a component multiplies most.
- memory: the same peak with a hidden layer of the default width, after three epochs.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from sklearn_mtae import VAETransformer

from ._harness import describe_machine, print_row

N_WORDS, N_CODES, N_FREQUENT = 8000, 20, 40
SCORES = ("accuracy", "balanced_accuracy", "roc_auc", "f1")
WIDTHS = (62, 9, 9, 9, 9)
CHOSEN: dict[str, Any] = {"hidden_layer_sizes": (100,), "free_bits": 0.2}
CHOICES: list[dict[str, Any]] = [
    {},
    {"free_bits": 0.0},
    {"free_bits": 0.0, "max_iter": 80},
    {"free_bits": 0.0, "beta": 0.2},
    {"free_bits": 0.0, "beta": "linear"},
    {"free_bits": 0.5},
    {"corruption": "masking"},
    {"alpha": 0},
    {"hidden_layer_sizes": (50,)},
    {"hidden_layer_sizes": (200,)},
]


def load(folder: Path) -> tuple[NDArray, NDArray]:
    """Return texts, and which of them are spam."""
    lines = (folder / "sms_spam.tsv").read_text(encoding="utf-8").split("\n")
    labels, texts = zip(*(line.split("\t", 1) for line in lines if line), strict=True)
    return np.array(texts, dtype=object), np.array(labels) == "spam"


def make_vae(**settings: Any) -> VAETransformer:
    """Return the VAE of counts, with settings beside or instead of those that were chosen."""
    return VAETransformer(N_CODES, likelihood="multinomial", random_state=0, **{**CHOSEN, **settings})


def make_classifier(*codes: BaseEstimator) -> BaseEstimator:
    """Return a classifier of texts by the codes of their counts."""
    scaler = StandardScaler() if codes else MaxAbsScaler()
    return make_pipeline(CountVectorizer(max_features=N_WORDS), *codes, scaler, LogisticRegression(max_iter=1000))


def rows_to_choose_on(spam: NDArray) -> NDArray:
    """Return the positions of two fifths of the messages."""
    return train_test_split(np.arange(len(spam)), test_size=0.4, stratify=spam, random_state=0)[1]


def make_folds(spam: NDArray, n_repeats: int) -> list[tuple[NDArray, NDArray]]:
    """Return training and test rows of stratified folds."""
    return list(RepeatedStratifiedKFold(n_splits=5, n_repeats=n_repeats, random_state=0).split(spam, spam))


def print_scores(rows: dict[str, BaseEstimator], texts: NDArray, spam: NDArray, folds: list) -> None:
    """Print the scores of classifiers, means over folds."""
    print(describe_machine())
    print_row(WIDTHS, ("mean over folds", "accuracy", "balanced", "AUC", "F1"))
    for name, classifier in rows.items():
        scores = cross_validate(classifier, texts, spam, cv=folds, scoring=list(SCORES), error_score="raise")
        print_row(WIDTHS, (name, *(f"{scores[f'test_{score}'].mean():.4f}" for score in SCORES)))


def choose(texts: NDArray, spam: NDArray, n_repeats: int) -> None:
    """Print the scores of settings of the VAE on the messages for choosing."""
    own = rows_to_choose_on(spam)
    rows = {str(settings): make_classifier(make_vae(**settings)) for settings in CHOICES}
    print_scores(rows, texts[own], spam[own], make_folds(spam[own], n_repeats))


def compare(texts: NDArray, spam: NDArray, n_repeats: int) -> None:
    """Print the scores of several kinds of codes on the other messages."""
    own = rows_to_choose_on(spam)
    rest = np.setdiff1d(np.arange(len(spam)), own)
    folds = [(np.concatenate([rest[train], own]), rest[test]) for train, test in make_folds(spam[rest], n_repeats)]
    svd = TruncatedSVD(N_CODES, random_state=0)
    rows = {
        "VAETransformer, counts": make_classifier(make_vae()),
        "TruncatedSVD, counts": make_classifier(svd),
        "TruncatedSVD, tf-idf": make_classifier(TfidfTransformer(), svd),
        "all words, no codes": make_classifier(),
    }
    print_scores(rows, texts, spam, folds)


def fit(texts: NDArray, **settings: Any) -> tuple[VAETransformer, Any, NDArray]:
    """Return the VAE of all messages, their counts and the words; print the memory of the process so far."""
    vectorizer = CountVectorizer(max_features=N_WORDS)
    counts = vectorizer.fit_transform(texts)
    before = peak()
    vae = make_vae(**settings).fit(counts)
    print(
        f"{counts.shape} counts, hidden layer of {vae.hidden_layer_sizes}: {peak():.0f} MB, {before:.0f} before the fit"
    )
    return vae, counts, vectorizer.get_feature_names_out()


def print_topics(texts: NDArray, spam: NDArray, n_repeats: int) -> None:
    """Print the words that gain most along the components that differ most between spam and ham."""
    vae, counts, words = fit(texts)
    codes = vae.transform(counts)
    mean, deviation = codes.mean(axis=0), codes.std(axis=0)
    usual = vae.inverse_transform(mean[None])
    frequent = np.asarray(counts.sum(axis=0)).ravel() >= N_FREQUENT
    distance = (codes[spam].mean(axis=0) - codes[~spam].mean(axis=0)) / deviation
    for component in np.argsort(-np.abs(distance))[:3]:
        for move in (2.0, -2.0):
            step = np.where(np.arange(N_CODES) == component, move, 0.0)
            moved = vae.inverse_transform((mean + step)[None])
            gain = np.where(frequent, moved[0] / usual[0], 0.0)
            print(f"component {component}, {move:+.0f}:", ", ".join(words[np.argsort(-gain)[:10]]))


def print_memory(texts: NDArray, spam: NDArray, n_repeats: int) -> None:
    """Print the memory that a fit of the default width takes."""
    fit(texts, hidden_layer_sizes=VAETransformer().hidden_layer_sizes, max_iter=3)


def peak() -> float:
    """Return the peak of this process's resident memory so far, in MB of 2^20 bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10


PARTS = {"scores": compare, "topics": print_topics, "memory": print_memory, "choose": choose}


def main() -> None:
    """Run one part, or each except the choosing in a separate process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.part:
        PARTS[arguments.part](*load(arguments.data_dir), arguments.repeats)
        return
    for part in ("scores", "topics", "memory"):
        subprocess.run([sys.executable, "-m", "benchmarks.sms_topics", *sys.argv[1:], part], check=True)


if __name__ == "__main__":
    main()
