"""The last word on a draft: judge() a proposal, check() a standing order, fallback() when nobody decides. Deterministic, no text read.

Where the encoder is within its depth the label's fitted operating point decides (yes, no, or uncertain inside its abstention band); a
language model orders and explains. Where it is not (a volume unlike its training, a patient for one that saw phantoms alone), and
without one, "yes" needs a measurement above its floor or, without an encoder, a probability above the band, else it is put down to
"uncertain"; "no" against clear evidence is put up to "uncertain".
"""

from collections.abc import Mapping, Sequence

from sdx_domains.contract import Order, Proposal, Source, Verdict, VerdictKind
from sdx_domains.medicine.assure.thresholds import carried_by_measurement, suggested, thresholds
from sdx_domains.medicine.evidence import PHANTOMS
from sdx_domains.medicine.findings import Finding, Presence
from sdx_domains.medicine.picture import DRAFT, PRESENCE, Candidate, MedicinePicture

DAY_S = 86400.0
PRESENT: Mapping[float, Presence] = {value: name for name, value in PRESENCE.items()}


def judge(picture: MedicinePicture, candidates: Sequence[Candidate], proposal: Proposal) -> Verdict:
    """accept; clip (some answers put down or up, each with its reason); reject (ill-formed, or mostly without support).

    Margins: of each stated finding its probability above the band's upper end, as "F1_probability"; negative where measurement carries it.
    """
    wrong = _ill_formed(picture, candidates, proposal)
    if wrong:
        return _verdict(picture, "reject", wrong)
    asked: dict[str, Presence] = {item.subject: _presence(item.role) for item in proposal.understanding}
    bare = [finding for finding in picture.findings if asked[finding.id] == "yes" and not supported(finding)]
    said = sum(present == "yes" for present in asked.values())
    bounds = thresholds()
    if len(bare) >= bounds.unsupported_least and len(bare) > bounds.unsupported_share * said:
        names = ", ".join(f"{finding.id} {finding.label} {finding.probability:.2f}" for finding in bare)
        return _verdict(picture, "reject", (f"{len(bare)} of {said} findings that are stated have nothing behind them: {names}",))
    decided: dict[str, tuple[Presence, str]] = {finding.id: _held(picture, finding, asked[finding.id]) for finding in picture.findings}
    reasons = tuple(reason for _, reason in decided.values() if reason)
    order = _order(picture, {name: present for name, (present, _) in decided.items()}, proposal.source, DRAFT)
    return _verdict(picture, "clip" if reasons else "accept", reasons, order)


def fallback(picture: MedicinePicture) -> Verdict:
    """What operating points and measurements say, when no language model does; see planned()."""
    reason = "no answer could be used: operating points and measurements decide"
    return _verdict(picture, "fallback", (reason,), _order(picture, planned(picture), "fallback", ""))


def check(picture: MedicinePicture, order: Order) -> Verdict:
    """May this order stand? Same study, every finding decided, nothing stated without support, not too old. accept or reject."""
    if order.domain != picture.domain or order.picture_id != picture.id:
        return _verdict(picture, "reject", ("the order is of another study or of an older picture of it",))
    ids = {finding.id for finding in picture.findings}
    reasons = [f"finding {name} is not in the picture" for name in sorted(set(order.setpoints) - ids)]
    reasons += [f"nothing is said of finding {name}" for name in sorted(ids - set(order.setpoints))]
    reasons += [f"{name} = {value}: 1, 0.5 or 0 is wanted" for name, value in order.setpoints.items() if value not in PRESENT]
    if order.expired(picture.t_s):
        reasons.append(f"the draft is older than {order.valid_for_s / DAY_S:.0f} days: make it anew")
    stated: dict[str, Presence] = {name: PRESENT[value] for name, value in order.setpoints.items() if value in PRESENT}
    if order.source != "human":  # a radiologist may state what no code supports
        held = [_held(picture, finding, stated[finding.id]) for finding in picture.findings if finding.id in stated]
        reasons += [reason for _, reason in held if reason]
    return _verdict(picture, "reject" if reasons else "accept", tuple(reasons))


def supported(finding: Finding) -> bool:
    """Does anything speak for the finding: its probability in or above the abstention band, or a measurement above its floor?"""
    return suggested(finding) != "no" or carried_by_measurement(finding)


def beyond_training(picture: MedicinePicture) -> bool:
    """Is the encoder out of its depth: the volume too far from its training, or a patient's while it saw phantoms alone? Without one: no."""
    saw = picture.saw
    if saw is None:
        return False
    return saw.unlike_training > thresholds().unlike_training or (saw.trained_on == PHANTOMS and not picture.study.synthetic)


def planned(picture: MedicinePicture) -> dict[str, Presence]:
    """What the operating points and measurements say of each finding: passes judge() as it is."""
    decided: dict[str, Presence] = {}
    measured_alone = picture.saw is None or beyond_training(picture)
    for finding in picture.findings:
        carried = measured_alone and carried_by_measurement(finding)
        decided[finding.id] = _held(picture, finding, "yes" if carried else suggested(finding))[0]
    return decided


def _ill_formed(picture: MedicinePicture, candidates: Sequence[Candidate], proposal: Proposal) -> tuple[str, ...]:
    if proposal.option_id is None:
        return ("the proposal abstains",)
    if proposal.option_id != DRAFT or DRAFT not in {candidate.id for candidate in candidates}:
        return (f"option {proposal.option_id!r} is not the draft ({DRAFT!r})",)
    if proposal.picture_id not in ("", picture.id):
        return ("the proposal was made from another picture",)
    found = {finding.id: finding for finding in picture.findings}
    offered = {candidate.finding.id for candidate in candidates if candidate.finding}
    if offered != set(found):
        return (f"candidates and findings differ: {', '.join(sorted(offered ^ set(found)))}",)
    subjects = [item.subject for item in proposal.understanding]
    wrong = [f"{name} is decided twice" for name in sorted({name for name in subjects if subjects.count(name) > 1})]
    wrong += [f"finding {name} is not decided" for name in found if name not in subjects]
    for item in proposal.understanding:
        if item.subject not in found:
            wrong.append(f"{item.subject!r} is no finding of this study")
        elif item.kind != found[item.subject].label:
            wrong.append(f"{item.subject} is {found[item.subject].label}, not {item.kind!r}")
        if item.role not in PRESENCE:
            wrong.append(f"{item.subject}: {item.role!r} is said; yes, uncertain or no is wanted")
    return tuple(wrong)


def _held(picture: MedicinePicture, finding: Finding, asked: Presence) -> tuple[Presence, str]:
    """What may be said of one finding, and why it is not what was asked ("" where it is)."""
    name, beyond = f"{finding.id} {finding.label}", beyond_training(picture)
    if picture.saw is not None and not beyond:
        decided = suggested(finding)
        return (
            decided,
            "" if asked == decided else f"{name}: at probability {finding.probability:.2f} the operating point says {decided}, not {asked}",
        )
    carried = carried_by_measurement(finding)
    if asked == "yes" and beyond and not carried:
        return "uncertain", f"{name}: this volume is unlike the training data, and no measurement carries it"
    if asked == "yes" and not carried and suggested(finding) != "yes":
        where = "inside the abstention band" if supported(finding) else "without support"
        return "uncertain", f"{name}: probability {finding.probability:.2f} is {where} and no measurement carries it"
    if asked == "no" and (suggested(finding) == "yes" or carried):
        return "uncertain", f"{name}: clear evidence (probability {finding.probability:.2f}) is not dropped without a reader"
    return asked, ""


def _presence(role: str) -> Presence:
    return "yes" if role == "yes" else "uncertain" if role == "uncertain" else "no"


def _order(picture: MedicinePicture, decided: Mapping[str, Presence], source: Source, option_id: str) -> Order:
    stated = sum(present == "yes" for present in decided.values())
    return Order(
        domain=picture.domain,
        setpoints={name: PRESENCE[present] for name, present in decided.items()},
        issued_s=picture.t_s,
        valid_for_s=thresholds().draft_valid_days * DAY_S,
        source=source,
        picture_id=picture.id,
        option_id=option_id,
        label=f"draft with {stated} of {len(decided)} candidate findings stated",
    )


def _verdict(picture: MedicinePicture, kind: VerdictKind, reasons: tuple[str, ...], order: Order | None = None) -> Verdict:
    yes = [finding for finding in picture.findings if order and order.setpoints[finding.id] == PRESENCE["yes"]]
    margins = {f"{each.id}_probability": round(each.probability - thresholds().labels[each.label].high, 3) for each in yes}
    return Verdict(kind=kind, picture_id=picture.id, reasons=reasons, margins=margins, order=order)
