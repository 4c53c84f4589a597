"""pydicom says an odd value aloud in a warning; a value may be a name. Here it is told not to."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unchecked() -> Iterator[None]:
    """Values are read and written as they are, without a word about those that break their VR's rules."""
    from pydicom import config

    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield
