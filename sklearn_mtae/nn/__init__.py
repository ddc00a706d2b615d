"""The torch side of the package: the parts that make up every model."""
