"""Logs: whatever is said, nobody is named in it."""

import io
import logging
from collections.abc import Iterator

import pytest

pytest.importorskip("pydicom")

from pydicom import Dataset

from sdx_domains.medicine.privacy.logs import NoIdentity, install


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO, NoIdentity]]:
    """A logger whose stream is read, after install(); the process's logging is put back afterwards."""
    before, target = logging.getLogRecordFactory(), io.StringIO()
    logger, handler = logging.getLogger("sdx.privacy-test"), logging.StreamHandler(target)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, target, install()
    logging.setLogRecordFactory(before)
    logging.captureWarnings(False)
    logger.removeHandler(handler)


def test_messages_arguments_and_tracebacks_are_scrubbed(written: tuple[logging.Logger, io.StringIO, NoIdentity]) -> None:
    logger, target, guard = written
    header = Dataset()
    header.PatientName, header.PatientID = "Vaszary^Norhee", "X-77123"
    guard.learn(header)
    logger.warning("study of %s (%s), call %s", header.PatientName, header.PatientID, "010-1234-5678")
    logger.warning("%d %s", "no number", "900101-1234567")
    try:
        raise ValueError("Invalid value for VR PN: 'Norhee Vaszary', 900101-1234567")
    except ValueError:
        logger.exception("failed for %r", {"name": "vaszary norhee"})
    logger.warning("plain, 5.5 mm of series 2.25.12345 in 0.2 s")
    said = target.getvalue()
    for secret in ("Vaszary", "vaszary", "Norhee", "77123", "1234-5678", "900101"):
        assert secret not in said, said
    assert "ValueError" in said and "Traceback" in said and "plain, 5.5 mm of series 2.25.12345 in 0.2 s" in said
    assert "Vaszary" not in repr(guard)


def test_a_filter_on_a_handler_scrubs_extra_fields() -> None:
    record = logging.makeLogRecord({"msg": "x", "patient": "Mr. John Smith"})
    assert NoIdentity().filter(record) and record.patient == "Mr [name]"  # type: ignore[attr-defined]


def test_installing_twice_is_once(written: tuple[logging.Logger, io.StringIO, NoIdentity]) -> None:
    assert install() is written[2]
    assert logging.getLogger("pydicom").level >= logging.ERROR


def test_pydicom_says_no_values(written: tuple[logging.Logger, io.StringIO, NoIdentity]) -> None:
    _, target, _ = written
    captured = logging.getLogger("py.warnings")
    handler = logging.StreamHandler(target)
    captured.addHandler(handler)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("Invalid value for VR UI: '1.2.410.200067.77.1.55'", stacklevel=1)
    captured.removeHandler(handler)
    assert "200067" not in target.getvalue() and "Invalid value" in target.getvalue()
