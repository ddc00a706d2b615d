"""The site's own search leads to the right page: forty things that users of neighbouring packages asked in public."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

pytest.importorskip("sphinx_gallery", reason="the extra docs")
pytest.importorskip("pydata_sphinx_theme", reason="the extra docs")
pytest.importorskip("sphinx_copybutton", reason="the extra docs")
sphinx_english = pytest.importorskip("sphinx.search.en", reason="the extra docs")

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
ENGLISH = sphinx_english.SearchEnglish({})
FIRST = 3
"""Hits among which the page must be."""
GITHUB = "https://github.com/"

QUESTIONS = [
    # (what is typed, pages of which one must be found, a public question)
    ("dimensionality reduction", "user_guide/dimensionality_reduction", "lmcinnes/umap/issues/55"),
    ("autoencoder pipeline SVM", "user_guide/dimensionality_reduction quickstart", "skorch-dev/skorch/issues/482"),
    ("inverse transform", "user_guide/dimensionality_reduction", "lmcinnes/umap/issues/44"),
    ("PCA", "coming_from/pca user_guide/dimensionality_reduction", "lmcinnes/umap/issues/55"),
    ("variational autoencoder", "user_guide/variational", "sdv-dev/SDV/issues/2166"),
    ("posterior collapse", "user_guide/troubleshooting", "molecularsets/moses/issues/45"),
    ("NaN loss", "user_guide/troubleshooting", "AppliedDataSciencePartners/WorldModels/issues/9"),
    ("multi-output regression", "user_guide/several_targets", "scikit-learn/scikit-learn/pull/6166"),
    ("multi-task learning", "user_guide/several_targets", "keras-team/keras/issues/3206"),
    ("missing labels", "user_guide/missing_labels", "median-research-group/LibMTL/issues/11"),
    ("NaN in y", "user_guide/missing_labels", "scikit-multilearn/scikit-multilearn/pull/300"),
    ("sample_weight", "user_guide/missing_labels user_guide/several_targets", "scikit-learn/scikit-learn/issues/22360"),
    (
        "tasks different datasets",
        "user_guide/tasks_with_their_own_tables",
        "SimonVandenhende/Multi-Task-Learning-PyTorch/issues/21",
    ),
    ("multi-label classification", "user_guide/classification_and_mixed_targets", "catboost/catboost/issues/2709"),
    (
        "mixed targets",
        "user_guide/classification_and_mixed_targets",
        "Safe-DS/Library/issues/1004",
    ),
    ("class imbalance", "user_guide/classification_and_mixed_targets", "sdv-dev/SDV/issues/1729"),
    ("semi-supervised", "user_guide/semi_supervised", "scikit-learn/scikit-learn/issues/12752"),
    ("transfer learning", "user_guide/task_transfer user_guide/semi_supervised", "skorch-dev/skorch/issues/482"),
    ("negative transfer", "user_guide/task_transfer", "namisan/mt-dnn/issues/19"),
    ("missing values", "user_guide/missing_values", "scikit-learn/scikit-learn/issues/21722"),
    ("imputation categorical", "user_guide/missing_values", "scikit-learn/scikit-learn/issues/17087"),
    ("IterativeImputer", "coming_from/iterative_imputer", "scikit-learn/scikit-learn/issues/31219"),
    ("synthetic data", "user_guide/synthetic_data", "sdv-dev/SDV/issues/630"),
    ("conditional sampling", "user_guide/synthetic_data", "sdv-dev/CTGAN/issues/154"),
    ("anomaly detection", "user_guide/density_and_anomaly_detection", "DHI/tsod/issues/11"),
    ("outlier contamination", "user_guide/density_and_anomaly_detection", "yzhao062/pyod/issues/144"),
    ("prediction interval", "user_guide/prediction_intervals", "scikit-learn-contrib/MAPIE/issues/97"),
    ("uncertainty calibration", "user_guide/prediction_intervals", "scikit-learn-contrib/MAPIE/issues/437"),
    ("joint prediction region", "user_guide/joint_answers", "scikit-learn-contrib/MAPIE/issues/437"),
    ("multivariate conformal prediction", "user_guide/joint_answers", "scikit-learn-contrib/MAPIE/pull/849"),
    ("copula", "user_guide/joint_answers", "scikit-learn-contrib/MAPIE/issues/97"),
    ("correlated targets", "user_guide/joint_answers faq", "PriorLabs/TabPFN/issues/367"),
    ("joint prediction", "user_guide/joint_answers", "soda-inria/tabicl/pull/87"),
    ("permutation importance", "user_guide/interpretation", "automl/auto-sklearn/issues/1630"),
    ("SHAP", "user_guide/interpretation", "shap/shap/issues/2868"),
    ("hyperparameter search", "user_guide/hyperparameter_search", "dask/dask-searchcv/issues/58"),
    ("Optuna", "user_guide/hyperparameter_search", "reservoirpy/reservoirpy/pull/130"),
    ("early stopping", "user_guide/callbacks_and_progress", "scikit-learn/scikit-learn/issues/18507"),
    ("larger than memory", "user_guide/large_data", "scikit-learn/scikit-learn/issues/26452"),
    ("dask cluster", "user_guide/several_machines", "jrbourbeau/dask-optuna/pull/4"),
    ("save model", "user_guide/saving_and_deployment", "skorch-dev/skorch/issues/1110"),
    ("ONNX", "user_guide/without_torch", "skorch-dev/skorch/issues/704"),
    ("deployment", "user_guide/saving_and_deployment", "scikit-learn/scikit-learn/issues/11041"),
    ("reproducibility", "user_guide/reproducibility", "lmcinnes/umap/issues/525"),
    ("GPU", "user_guide/large_data user_guide/several_machines faq", "skorch-dev/skorch/issues/1096"),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """What the site's search looks into."""
    out = tmp_path_factory.mktemp("index")
    subprocess.run([sys.executable, "-m", "tests.docs.search_index", str(out)], check=True, cwd=DOCS.parent)
    return json.loads((out / "index.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def places():
    """What the site's scorer adds to hits, by where a page lies."""
    text = (DOCS / "_static" / "scorer.js").read_text(encoding="utf-8")
    return json.loads(re.search(r"PLACES = (\{.*?\});", text, re.DOTALL)[1])


def as_list(files):
    return [files] if isinstance(files, int) else files


def title_hits(index, query):
    for title, found in index["alltitles"].items():
        if query in title.lower() and len(query) >= len(title) / 2:
            score = round(15 * len(query) / len(title))
            for file, _ in found:
                is_page = index["titles"][file] == title
                yield score + is_page, title if is_page else f"{index['titles'][file]} > {title}", file
    for entry, found in index["indexentries"].items():
        if query in entry and len(query) >= len(entry) / 2:
            yield from ((round(100 * len(query) / len(entry)), index["titles"][file], file) for file, _, _ in found)


def object_hits(index, words):
    for prefix, members in index["objects"].items():
        for file, kind, priority, _, name in members:
            full = f"{prefix}.{name}" if prefix else name
            text = f"{prefix} {name} {index['objnames'][str(kind)][2]} {index['titles'][file]}".lower()
            for word in words:
                if word in full.lower() and all(other in text for other in words - {word}):
                    last = full.lower().split(".")[-1]
                    score = 11 if word in (full.lower(), last) else 6 if word in last else 0
                    yield score + {0: 15, 1: 5, 2: -5}.get(priority, 0), full, file


def term_hits(index, words):
    stems = {ENGLISH.stem(word) for word in words if word not in ENGLISH.stopwords and not word.isdigit()}
    scores = defaultdict(dict)
    for stem in stems:
        for terms, whole, part in ((index["terms"], 5, 2), (index["titleterms"], 15, 7)):
            partly = [term for term in terms if stem in term] if len(stem) > 2 and stem not in terms else []
            for term, score in [(stem, whole)] if stem in terms else [(term, part) for term in partly]:
                for file in as_list(terms[term]):
                    scores[file][stem] = score
    needed = {len(stems), len([stem for stem in stems if len(stem) > 2])}
    for file, found in scores.items():
        if len(found) in needed:
            yield max(found.values()), index["titles"][file], file


def hits(index, places, query):
    """Return the pages that the search shows, best first, as Sphinx's searchtools.js orders them."""
    query = query.lower()
    words = set(re.findall(r"\w+", query))
    rows = [*title_hits(index, query), *object_hits(index, words), *term_hits(index, words)]
    pages = []
    for score, title, file in rows:
        page = index["docnames"][file]
        place = next((places[start] for start in places if page.startswith(start)), 0)
        pages.append((-(score + place), title.lower(), page))
    return [page for _, _, page in sorted(set(pages))]


def test_there_are_forty_questions_and_each_has_a_source():
    assert len({query for query, _, _ in QUESTIONS}) >= 40
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+/(issues|pull)/\d+", source) for _, _, source in QUESTIONS)


@pytest.mark.parametrize(("query", "pages", "source"), QUESTIONS, ids=[query for query, _, _ in QUESTIONS])
def test_the_page_is_among_the_first_hits(index, places, query, pages, source):
    found = hits(index, places, query)[:FIRST]
    assert set(found) & set(pages.split()), f"{query!r} ({GITHUB}{source}) finds {found}"
