"""Measures of a model: ELBO, log p(x), information, samples, disentanglement; most with a standard error."""
