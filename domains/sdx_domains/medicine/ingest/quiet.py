"""Keeps the libraries that read files from warning or logging: their words quote values of tags, which may name a person."""

import locale
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TALKERS = ("pydicom", "pylibjpeg", "openjpeg", "nibabel", "nibabel.global", "PIL")


@contextmanager
def quiet() -> Iterator[None]:
    """What is wrong with a file is said by this package's own checks; see rules.Refused."""
    before = {name: logging.getLogger(name).level for name in _TALKERS}
    try:
        for name in _TALKERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def same_locale() -> Iterator[None]:
    """GDCM sets the process's locale to "C": from then on every text file without a named encoding would be read as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)
