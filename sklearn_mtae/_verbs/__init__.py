"""What a fitted model is asked: diagnosis, interpretation, sampling, imputation. Functions of a `ModelRunner`."""
