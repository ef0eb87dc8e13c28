"""Measures of a model: ELBO, log p(x), information, samples, disentanglement; each with its standard error."""
