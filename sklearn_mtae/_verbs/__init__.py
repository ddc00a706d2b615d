"""What a fitted model can do: diagnosis, interpretation, sampling, imputation. Functions of a `ModelRunner`."""
