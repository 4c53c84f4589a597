"""DICOMweb: find series (QIDO-RS), fetch them into an inbox (WADO-RS), store results (STOW-RS). Start at fetch() and store()."""

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sdx_domains.medicine.privacy.quiet import unchecked
from sdx_ros_nodes.dicom.inbox import Inbox, Received, Uids
from sdx_ros_nodes.dicom.receiver import CT_CLASSES
from sdx_ros_nodes.dicom.sender import TRIES, WAIT_S, Sent

TIMEOUT_S = 60.0
_T = TypeVar("_T")
PAGE = 500
"""Matches asked for at once."""


class WebFailed(RuntimeError):
    """The service did not do what was asked; the message says what, the status and what to do, and names nobody."""


@dataclass(frozen=True, slots=True)
class Service:
    """A DICOMweb service, e.g. https://pacs.example/dicom-web."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """E.g. {"Authorization": "Bearer ..."}."""
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        at = urlsplit(self.url)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise ValueError(f"{self.url!r} is no DICOMweb service: https://HOST[:PORT]/PATH")
        if at.username or at.password:
            raise ValueError("a password in the address would end up in logs: give it as a header instead")

    @property
    def open(self) -> bool:
        """Whether patients' data would go through the network readable by all."""
        at = urlsplit(self.url)
        return at.scheme == "http" and at.hostname not in ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class SeriesFound:
    """One match. Real UIDs: for the one who asked, kept out of every repr."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    modality: str
    instances: int | None
    """None where the service does not say."""


def search(service: Service, filters: Mapping[str, str], modality: str = "CT") -> tuple[SeriesFound, ...]:
    """Series whose attributes match, e.g. {"AccessionNumber": "..."} or {"StudyInstanceUID": "..."}. WebFailed."""
    wanted = {**filters, **({"Modality": modality} if modality else {})}
    fields = ["StudyInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances"]
    found: dict[tuple[str, str], SeriesFound] = {}
    with _client(service) as client, _told("search"):
        before = -1
        while len(found) > before:  # a service that knows no pages gives the same again
            before = len(found)
            page = client.search_for_series(search_filters=wanted, fields=fields, limit=PAGE, offset=before)
            found |= {(series.study, series.series): series for each in page if (series := _series(each)) is not None}
            if len(page) < PAGE:
                break
    return tuple(found.values())


def fetch(
    service: Service,
    inbox: Inbox,
    study: str,
    series: str = "",
    *,
    tries: int = TRIES,
    wait_s: float = WAIT_S,
    say: Callable[[str], None] = lambda line: None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Received, ...]:
    """Bring a CT series, or every CT series of a study, into the inbox; what is there already is not written again.

    Raises:
        WebFailed: nothing matches, or a series did not come whole in `tries` attempts.
    """
    matches = search(service, {"StudyInstanceUID": study, **({"SeriesInstanceUID": series} if series else {})})
    matches = tuple(match for match in matches if match.study == study and series in (match.series, "") and match.modality in ("CT", ""))
    if not matches:
        raise WebFailed("the service has no CT series of that study: check the UID and whether your account may see it")
    fetched: list[Received] = []
    for number, match in enumerate(matches, 1):
        received = _again(lambda match=match: _bring(service, inbox, match), tries, wait_s, say, sleep)
        inbox.mark(received.folder, inbox.state(received.folder))
        say(f"series {number} of {len(matches)}: {received.instances} instances in {received.folder}")
        fetched.append(received)
    return tuple(fetched)


def store(
    service: Service,
    paths: Sequence[Path],
    *,
    tries: int = TRIES,
    wait_s: float = WAIT_S,
    say: Callable[[str], None] = lambda line: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Sent:
    """Store files one by one; storing twice is harmless to a service. Never raises for the network: what failed is in the answer."""
    stored, failed = list[Path](), list[tuple[Path, str]]()
    for path in dict.fromkeys(paths):
        try:
            refused = _again(lambda path=path: _post(service, path), tries, wait_s, say, sleep)
        except WebFailed as error:
            refused = str(error)
        if refused:
            failed.append((path, refused))
        else:
            stored.append(path)
        say(f"{len(stored)} of {len(stored) + len(failed)} stored")
    return Sent(tuple(stored), tuple(failed))


class _Passing(WebFailed):
    """May be better the next time."""


def _again(attempt: Callable[[], _T], tries: int, wait_s: float, say: Callable[[str], None], sleep: Callable[[float], None]) -> _T:
    for number in range(1, tries):
        try:
            return attempt()
        except _Passing as error:
            say(f"{error}; trying again in {wait_s * 2 ** (number - 1):g} s")
            sleep(wait_s * 2 ** (number - 1))
    return attempt()


def _bring(service: Service, inbox: Inbox, match: SeriesFound) -> Received:
    folder: Path | None = None
    with _client(service) as client, _told("retrieve"):
        for dataset in client.iter_series(match.study, match.series, media_types=(("application/dicom", "*"),)):
            uids = Uids(*(str(dataset.get(keyword, "")) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")))
            if (uids.study, uids.series) != (match.study, match.series) or str(dataset.get("SOPClassUID", "")) not in CT_CLASSES:
                raise WebFailed(
                    "the service sent an instance of another series or class than it was asked for: nothing more is taken from it"
                )
            folder, _ = inbox.put(uids, (_file(dataset),))
    if folder is None:
        raise _Passing("the service sent no instance of the series")
    received = inbox.received(folder)
    if match.instances is not None and received.instances < match.instances:
        raise _Passing(f"{received.instances} of {match.instances} instances of a series came")
    return received


def _file(dataset: Any) -> bytes:
    target = BytesIO()
    with unchecked():
        dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


def _post(service: Service, path: Path) -> str:
    """ "" when it was stored, else why it was refused for good. Raises _Passing or WebFailed."""
    from pydicom import dcmread

    with unchecked():
        try:
            dataset = dcmread(path)
        except Exception as error:  # noqa: BLE001 - whatever a broken file raises
            return f"no DICOM file ({type(error).__name__})"
    with _client(service) as client, _told("store"):
        answer = client.store_instances([dataset])
    failures = answer.get("FailedSOPSequence") or ()
    codes = ", ".join(f"0x{int(item.get('FailureReason', 0)):04X}" for item in failures)
    return f"the service refused it ({codes})" if failures else ""


def _series(found: Mapping[str, Any]) -> SeriesFound | None:
    """Of DICOM JSON (PS3.18 annex F); None where UIDs are missing."""

    def value(tag: str) -> Any:
        return (found.get(tag, {}).get("Value") or [None])[0]

    study, series, instances = value("0020000D"), value("0020000E"), value("00201209")
    if not (study and series):
        return None
    return SeriesFound(str(study), str(series), str(value("00080060") or ""), int(instances) if instances is not None else None)


@contextmanager
def _client(service: Service) -> Iterator[Any]:
    import requests
    from dicomweb_client.api import DICOMwebClient

    with requests.Session() as session:
        client = DICOMwebClient(service.url, session=session, headers=dict(service.headers), timeout=service.timeout_s)
        client.set_http_retry_params(retry=False)
        yield client


@contextmanager
def _told(verb: str) -> Iterator[None]:
    """Errors of the network and the service, without addresses that name a patient."""
    import requests

    try:
        with unchecked():
            yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        said = f"the service answered {status} to {verb}"
        if status >= 500 or status in (408, 429):
            raise _Passing(said) from None
        advice = {
            401: ": give a valid token",
            403: ": your account may not do this",
            404: ": check address and UID",
            406: ": it cannot send DICOM files",
        }
        raise WebFailed(said + advice.get(status, "")) from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Passing(f"the connection broke during {verb} ({type(error).__name__})") from None
    except WebFailed:
        raise
    except OSError as error:
        raise WebFailed(f"what came cannot be kept: {errno.errorcode.get(error.errno or 0, type(error).__name__)}") from None
    except Exception as error:  # noqa: BLE001 - whatever a hostile answer raises
        raise _Passing(f"what the service answered to {verb} cannot be read ({type(error).__name__})") from None
