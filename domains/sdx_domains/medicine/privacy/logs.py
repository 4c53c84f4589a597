"""No identity passes into a log: every record is scrubbed where it is made, and the DICOM libraries are told to be quiet. Start at install()."""

import logging
from collections.abc import Callable
from typing import Any

from sdx_domains.medicine.privacy.identity import words_of
from sdx_domains.medicine.privacy.text import scrub

CHATTY = ("pydicom", "pynetdicom", "dicomweb_client", "urllib3", "requests", "highdicom")
"""Libraries that print data sets or addresses with patient numbers at INFO and below."""
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class NoIdentity(logging.Filter):
    """Rewrites message, arguments, traceback and extra fields of a record; lets every record pass.

    Put it on a logger or handler, or let install() apply it to all. learn() tells it the names of the study at hand.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: frozenset[str] = frozenset()

    def learn(self, header: Any) -> None:
        """From now on the names and numbers in this pydicom Dataset are taken out as well; they are held in memory alone."""
        self._known |= words_of(header)

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments that do not fit would be printed with a traceback, values and all
            said = f"{record.msg} (its arguments do not fit: {type(error).__name__})"
        record.msg, record.args = self._clean(said), ()
        if record.exc_info and not record.exc_text and record.exc_info[1] is not None:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None  # a formatter takes exc_text; the exception itself still holds the words
        if record.exc_text:
            record.exc_text = self._clean(record.exc_text)
        if record.stack_info:
            record.stack_info = self._clean(record.stack_info)
        for name, value in vars(record).items():
            if name not in _PLAIN and isinstance(value, str):
                setattr(record, name, self._clean(value))
        return True

    def _clean(self, text: str) -> str:
        return scrub(text, self._known)


def install() -> NoIdentity:
    """Scrub every log record of this process from now on, warnings included, and quieten the DICOM libraries. Again changes nothing.

    Records are scrubbed as they are made, so no handler, present or later, sees anything else; only fields given by `extra`
    come later: for a handler that prints them, add the returned filter to it.
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)
    make = logging.getLogRecordFactory()
    if isinstance(make, _Scrubbing):
        return make.filter
    made = _Scrubbing(make)
    logging.setLogRecordFactory(made)
    return made.filter


class _Scrubbing:
    """A log record factory around another one."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make, self.filter = make, NoIdentity()

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record = self._make(*arguments, **named)
        self.filter.filter(record)
        return record
