"""The torch side of the package: the parts that every model is composed of."""
