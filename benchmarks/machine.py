"""The machine that a benchmark runs on, and how its output is silenced meanwhile."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator

from vae_paper.reproduce import about_machine as about

__all__ = ["about", "quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Progress bars, logs and warnings are still made, but nothing is shown."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(logging.NOTSET)
