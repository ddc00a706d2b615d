"""Fitted estimators as files without pickle: nothing is executed when one is loaded."""
