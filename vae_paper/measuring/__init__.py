"""Measures of a model: ELBO, log p(x), information, quality of samples, disentanglement. Most have a standard error."""
