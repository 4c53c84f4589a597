"""sdx run medicine, sdx room, sdx dicom: a chest CT to a draft, the room where drafts are read and signed, and the way in and out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sdx_ui.commands.choices import Tongue

HOME = Path("~/.local/share/sdx/reading")
Folder = Annotated[Path, typer.Option(help="of the reading room: cases, their audit, and the vault that alone knows who is who")]
Model = Annotated[
    str, typer.Option(help="embedded, none (measurements alone decide), a vision model's folder, or the address of its engine")
]
Token = Annotated[str, typer.Option(envvar="SDX_DICOMWEB_TOKEN", help="bearer token of the DICOMweb service")]

app = typer.Typer(no_args_is_help=True, help="DICOM in and out: receive from scanners, fetch from and send to a PACS.")


def medicine(
    study: Annotated[Path, typer.Argument(exists=True, help="DICOM folder or ZIP, NIfTI, MHA, or NPZ volume")],
    language: Annotated[Tongue, typer.Option("--language", "--lang", help="of the report that is printed; both are made")] = Tongue.en,
    model: Model = "embedded",
    folder: Folder = HOME,
    out: Annotated[Path | None, typer.Option(help="folder for the preliminary results: SR, PDF, FHIR, SEG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the case as JSON on standard output")] = False,
) -> None:
    """Read a chest CT and draft its report. The draft waits in the reading room: nothing final leaves without a signature.

    sdx run medicine scan/ --lang ko

    sdx run medicine scan.nii.gz --out results
    """
    from sdx_ui.reading_room.drafts import drafting, reading

    with reading(model) as reader:
        case, seconds = drafting(folder.expanduser(), reader)(study)
    written = _written(folder, case.id, out) if out is not None else ()
    if as_json:
        told = {"case": case.model_dump(mode="json"), "seconds": seconds, "written": [str(path) for path in written]}
        print(json.dumps(told, ensure_ascii=False))
        return
    for line in _lines(case.reports[language.value], case.id, written):
        print(line)


def _written(folder: Path, case: str, out: Path, identified: bool = False) -> tuple[Path, ...]:
    from sdx_ui.reading_room.drafts import results

    made = results(folder.expanduser(), case, out, identified)
    for reason in made.left_out:
        _say(f"left out  {reason}")
    return made.files


def _lines(report: Any, case: str, written: Sequence[Path]) -> Iterator[str]:
    yield from (report.statement, "", report.technique, report.comparison, "", report.findings_text(), "", report.impression_text())
    yield from ("", *(f"{each.rule}, {each.category}: {each.text}" for each in report.recommendations))
    yield from ("", *(f"! {warning}" for warning in report.warnings))
    yield f"case {case}: `sdx room` opens it for review and signature"
    yield from (str(path) for path in written)


def room(
    folder: Folder = HOME,
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the page, this machine only")] = 7861,
    model: Model = "embedded",
    listen: Annotated[
        int | None, typer.Option(min=1, max=65535, help="port on which DICOM series are received and drafted as they come")
    ] = None,
    host: Annotated[str, typer.Option(help="address on which DICOM is received; 0.0.0.0: all")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option(help="own AE title")] = "SDX",
    calling: Annotated[list[str] | None, typer.Option(help="AE title that may send; may be given again; none: any")] = None,
) -> None:
    """The reading room: worklist, viewer, findings to accept or reject, report in English and Korean, signature.

    sdx room

    sdx room --listen 11112 --host 0.0.0.0 --calling CT1
    """
    from sdx_ui.reading_room.serve import Listening, serve

    at = Listening(host, listen, ae_title, tuple(calling or ())) if listen is not None else None
    serve(folder.expanduser(), port, model, at)


def opinion(
    study: Annotated[Path, typer.Argument(exists=True, help="DICOM folder or ZIP, NIfTI, MHA, or NPZ volume")],
    model: Annotated[str, typer.Option(help="address of a served vision-language model, with /v1; the images go there, no identity does")],
    preset: Annotated[str, typer.Option(help="how it wants a volume: medgemma15, generic2d, montage")] = "generic2d",
    question: Annotated[str, typer.Option(help="instead of a report")] = "",
    language: Annotated[Tongue, typer.Option("--language", "--lang", help="of its answer")] = Tongue.en,
    name: Annotated[str, typer.Option(help="of the model at that address, where it serves several")] = "default",
    api_key: Annotated[str, typer.Option(envvar="SDX_VLM_KEY", help="of that address")] = "",
    timeout_s: Annotated[float, typer.Option(min=1, max=3600, help="for its answer")] = 300.0,
    licence_accepted: Annotated[bool, typer.Option("--licence-accepted", help="you hold the right to this use of its weights")] = False,
    folder: Folder = HOME,
) -> None:
    """Ask a public vision-language model about a chest CT, and see its labels beside what is measured. It enters no case and no report.

    sdx opinion scan/ --model http://127.0.0.1:8000/v1 --preset medgemma15 --licence-accepted
    """
    from sdx_agents.reading.drafting import Drafter
    from sdx_agents.reading.opinion import opinion as ask
    from sdx_domains.medicine.ingest.read import read_study
    from sdx_domains.medicine.privacy.logs import install
    from sdx_domains.medicine.privacy.vault import Vault
    from sdx_serving.client import OpenAIChat
    from sdx_serving.vision import presets, public

    install()
    vault = Vault(folder.expanduser() / "vault")
    chosen = presets.preset(preset, production=True, licence_accepted=licence_accepted)
    with OpenAIChat(model, name, api_key or None) as chat:
        pictures = public.PictureChat(chat, chosen)
        said = ask(read_study(study, vault.pseudonym), pictures, Drafter(vault), language.value, question, timeout_s)
    print(said.text, end="\n\n")
    for key, row in said.labels.items():
        print(f"{key}: {said.model} says {row.says}, measured {row.measured or 'not'}{'  <- differs' if row.differs else ''}")
    print("Research use, not a medical device. What this model says is not checked against the images and enters no report.")


@app.command("list")
def list_(path: Annotated[Path, typer.Argument(exists=True, help="DICOM folder or ZIP, NIfTI, MHA, or NPZ volume")]) -> None:
    """The series of a path, and what `sdx run medicine` would do with each.

    sdx dicom list scan
    """
    from sdx_domains.medicine.ingest.read import list_series

    for each in list_series(path):
        good = f", best for {' and '.join(each.best_for)}" if each.best_for else ""
        print(f"{each.key}  {each.slices} slices, {each.extent_mm:.0f} mm, {each.kernel} kernel: {each.use}{good}: {each.reason}")


@app.command()
def listen(
    folder: Folder = HOME,
    port: Annotated[int, typer.Option(min=1, max=65535, help="on which DICOM is received")] = 11112,
    host: Annotated[str, typer.Option(help="address; 0.0.0.0: all")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option(help="own AE title")] = "SDX",
    calling: Annotated[list[str] | None, typer.Option(help="AE title that may send; may be given again; none: any")] = None,
) -> None:
    """Receive series into the inbox and print the folder of each, without drafting: `sdx room --listen` drafts them too.

    sdx dicom listen --calling CT1
    """
    from sdx_ros_nodes.dicom.receiver import Bounds
    from sdx_ros_nodes.dicom.serve import listen as receive

    home, bounds = folder.expanduser(), Bounds(calling=tuple(calling or ()))
    receive(
        home / "inbox", home / "vault", lambda series: print(series.folder, flush=True),
        host=host, port=port, ae_title=ae_title, bounds=bounds, say=_say,
    )  # fmt: skip


@app.command()
def results(
    case: Annotated[str, typer.Argument(help="id, as the worklist and `sdx run medicine` name it")],
    out: Annotated[Path, typer.Option(help="folder for SR, SEG, PDF and FHIR; made when missing")],
    folder: Folder = HOME,
    identified: Annotated[bool, typer.Option("--identified", help="with the patient and the real UIDs of the vault: for the PACS")] = False,
) -> None:
    """Write the results of a case: preliminary until it is signed, final after.

    sdx dicom results 0123456789abcdef --out results --identified
    """
    for path in _written(folder, case, out, identified):
        print(path)


@app.command()
def send(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="DICOM files, or folders of them")],
    to: Annotated[str, typer.Option(help="AET@host:port, or the address of a DICOMweb service, https://...")],
    token: Token = "",
) -> None:
    """Send results to a PACS by C-STORE or STOW-RS; what it does not confirm is tried again.

    sdx dicom send results --to PACS@10.0.0.5:104
    """
    from sdx_ros_nodes.dicom import network, sender, web

    files = _files(paths)
    with _web_errors():
        sent = (
            web.store(_service(to, token), files, say=_say)
            if to.startswith(("http://", "https://"))
            else sender.send(files, network.peer(to), say=_say)
        )
    for path, reason in sent.failed:
        typer.echo(f"error: {path}: {reason}", err=True)
    raise typer.Exit(1 if sent.failed or not files else 0)


@app.command()
def fetch(
    study: Annotated[str, typer.Argument(help="StudyInstanceUID")],
    source: Annotated[str, typer.Option("--from", help="address of a DICOMweb service, https://...")],
    folder: Folder = HOME,
    token: Token = "",
) -> None:
    """Bring the CT series of a study into the reading room's inbox.

    sdx dicom fetch 1.2.840.113619.2.55 --from https://pacs.example/dicom-web
    """
    from sdx_domains.medicine.privacy.vault import Vault
    from sdx_ros_nodes.dicom import web
    from sdx_ros_nodes.dicom.inbox import Inbox

    home = folder.expanduser()
    with _web_errors():
        for series in web.fetch(_service(source, token), Inbox(home / "inbox", Vault(home / "vault").pseudonym), study, say=_say):
            print(series.folder)


@app.command()
def deidentify(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="DICOM files, or folders of them")],
    out: Annotated[Path, typer.Option(help="folder for the copies; made when missing")],
    folder: Folder = HOME,
) -> None:
    """Copies without identity, after DICOM PS3.15 Annex E; the vault keeps the way back.

    sdx dicom deidentify scan --out shared
    """
    from sdx_domains.medicine.privacy.deidentify import deidentify_files
    from sdx_domains.medicine.privacy.vault import Vault

    files = _files(paths)
    written = deidentify_files(files, out, Vault(folder.expanduser() / "vault"), say=_say)
    print(f"{written} of {len(files)} files in {out}")
    raise typer.Exit(0 if files and written == len(files) else 1)


def _files(paths: Sequence[Path]) -> list[Path]:
    """Those named, and the DICOM files below the folders named."""
    return [file for path in paths for file in (sorted(filter(_is_dicom, path.rglob("*"))) if path.is_dir() else [path])]


def _is_dicom(path: Path) -> bool:
    """PS3.10 section 7.1: "DICM" after 128 bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _service(url: str, token: str) -> Any:
    from sdx_ros_nodes.dicom.web import Service

    return Service(url, {"Authorization": f"Bearer {token}"} if token else {})


def _say(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def _web_errors() -> Iterator[None]:
    from sdx_ros_nodes.dicom.web import WebFailed

    try:
        yield
    except WebFailed as error:
        raise ValueError(str(error)) from error
