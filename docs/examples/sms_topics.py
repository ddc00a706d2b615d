"""
Topics of short messages: a VAE of word counts
==============================================

What do people write about in text messages? Each message is a row of word counts, kept sparse. With the "multinomial"
likelihood a code says which words to expect, and the length of a message does not matter (Liang et al. 2018, arXiv
1802.05814). Messages whose codes lie close together are about the same things: clusters of codes are topics. The model
is not told which messages are spam; this is only used to look at what it found.

The data are the SMS Spam Collection (Almeida et al. 2011), messages in English, many of them from Singapore. Get it
from https://archive.ics.uci.edu/dataset/228/sms+spam+collection and run::

    python sms_topics.py SMSSpamCollection

.. image:: /images/sms_topics.png
   :alt: Words that stand out in each of six topics, and a map of all messages, on which spam lies by itself.
"""

# sphinx_gallery_thumbnail_path = 'images/sms_topics.png'
import html
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from sklearn_mtae import VAETransformer
from sklearn_mtae.inspection import LatentDisplay

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

lines = Path(sys.argv[1]).read_text(encoding="utf-8").rstrip("\n").split("\n")
kind, text = zip(*(line.split("\t", maxsplit=1) for line in lines), strict=True)
vectorizer = CountVectorizer(
    stop_words="english", min_df=8, token_pattern=r"\b[a-z]{2,}\b"
)
X, kind = vectorizer.fit_transform(map(html.unescape, text)), np.array(kind)
enough = np.asarray(X.sum(axis=1)).ravel() >= 2
X, kind = X[enough], kind[enough]
print(f"{len(lines)} messages; {X.shape[1]} words are counted,")
print(f"and {X.shape[0]} messages have two of these or more")

# %%
# Codes and topics
# ----------------
# Eight components describe a message, and ``KMeans`` finds six clusters of codes. The decoder turns the centre of a
# cluster into the counts to expect there. The words that stand out are those whose share is high, and higher than their
# share of all words: those with the largest terms in the Kullback-Leibler divergence of the one from the other.

network = {"hidden_layer_sizes": (128,), "alpha": 0, "max_iter": 30}
vae = VAETransformer(8, likelihood="multinomial", random_state=0, **network).fit(X)
codes = vae.transform(X)
clusters = KMeans(6, n_init=10, random_state=0).fit(codes)

words = vectorizer.get_feature_names_out()
overall = np.asarray(X.sum(axis=0)).ravel() / X.sum()
shares = vae.inverse_transform(clusters.cluster_centers_)
shares /= shares.sum(axis=1, keepdims=True)
spam = np.array(
    [np.mean(kind[clusters.labels_ == topic] == "spam") for topic in range(6)]
)
order = np.argsort(spam)

for name, table in {"word counts": X, "codes": codes}.items():
    scores = cross_val_score(
        LogisticRegression(max_iter=1000), table, kind, scoring="balanced_accuracy"
    )
    print(f"Spam told by logistic regression on the {table.shape[1]} {name}:")
    print(f"balanced accuracy {scores.mean():.3f}")

# %%
# The figure
# ----------
# Bars are a word's share in the topic, lines its share of all words. The map shows the codes of a model with two
# components; each number marks where the messages of a topic are.

figure = plt.figure(figsize=(12, 6.4), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1.25, 1])
for number, (ax, topic) in enumerate(
    zip(left.subplots(2, 3).ravel(), order, strict=True)
):
    top = np.argsort(-shares[topic] * np.log(shares[topic] / overall))[:9]
    ax.barh(
        range(9),
        100 * shares[topic, top],
        color="C1" if spam[topic] > 0.5 else "C0",
        alpha=0.6,
    )
    ax.vlines(
        100 * overall[top],
        np.arange(9) - 0.4,
        np.arange(9) + 0.4,
        color="black",
        linewidth=1.5,
    )
    ax.set_yticks(range(9), words[top])
    ax.invert_yaxis()
    ax.set_title(f"{number}: {spam[topic]:.0%} spam", fontsize="medium")
left.supxlabel("share of the words in %", fontsize="medium")

plane = clone(vae).set_params(n_components=2).fit(X)
ax = LatentDisplay.from_estimator(
    plane, X, kind, components=(0, 1), ax=right.subplots()
).ax_
for number, topic in enumerate(order):
    place = np.median(plane.transform(X)[clusters.labels_ == topic], axis=0)
    ax.annotate(
        number,
        place,
        ha="center",
        va="center",
        bbox={"boxstyle": "circle", "facecolor": "white"},
    )

# %%
# Spam has two topics, prizes (5) and offers (4), and lies by itself on the map. The others are chats in the English of
# Singapore (0), arrangements (1), greetings (2) and affection (3); with another seed their borders differ. Eight codes
# tell spam nearly as well as all words do: the balanced accuracy of a logistic regression is 0.923 on the codes and
# 0.931 on the 970 word counts.

figure.savefig(sys.argv[2] if len(sys.argv) > 2 else "sms_topics.png", dpi=120)
