"""The report on drawn rows as a figure."""

import numpy as np
import pytest

from sklearn_mtae.inspection import GenerationReportDisplay
from sklearn_mtae.metrics._generation_report import GenerationReport, Measure

MEASURES = {"marginals": Measure(0.9, 0.85, 0.95, 0.97), "c2st": Measure(0.4, 0.3, 0.5, 1.0)}
REPORT = GenerationReport(MEASURES, {f"x{i}": 0.5 + i / 100 for i in range(20)}, {})


def test_what_is_drawn():
    display = GenerationReportDisplay.from_report(REPORT)
    left, right = display.axes_
    assert [label.get_text() for label in left.get_yticklabels()] == ["marginals", "c2st"]
    ideals, intervals = left.collections[:2]
    assert [segment[0, 0] for segment in ideals.get_segments()] == [0.97, 1.0]
    np.testing.assert_allclose([segment[:, 0] for segment in intervals.get_segments()], [[0.85, 0.95], [0.3, 0.5]])
    assert right.get_title() == "15 of 20 columns"
    assert [bar.get_width() for bar in right.patches][:2] == [0.5, 0.51]
    display.figure_.clear()


def test_tables_are_reported_on():
    real, drawn, held_out = np.random.default_rng(0).normal(size=(3, 30, 2))
    display = GenerationReportDisplay.from_tables(real, drawn, held_out, n_bootstraps=2, random_state=0)
    assert list(display.report.marginals) == [0, 1]
    display.figure_.clear()


def test_axes_must_be_two():
    with pytest.raises(ValueError, match="ax must hold two axes"):
        GenerationReportDisplay.from_report(REPORT, ax=[None])
