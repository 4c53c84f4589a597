"""sdx rag eval: questions with known answers, asked; and what is answered at all, learnt from such questions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from sdx_ui.commands.rag_ask import AsJson, say

if TYPE_CHECKING:
    from sdx_rag.evaluate import Evaluation
    from sdx_rag.library import Library


def evaluate(
    gold: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="questions to your own library, one JSON object a line; may be given again"),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="learn from these questions what is answered at all"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="of --fit; default: thresholds.yaml beside rag.yaml, which is read from then on")] = None,
    missed: Annotated[bool, typer.Option("--missed", help="also each question that went wrong, and how")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask questions with known answers: recall of both indexes, of vectors and of words alone; answers that hold; refusals.

    Without --gold: the shipped questions to the shipped knowledge alone. A line of a file of your own:
    {"id": "1", "domain": "ship", "language": "en", "question": "...", "answers": ["0.5 NM"], "addresses": ["4.2"]}

    sdx rag eval

    sdx rag eval --gold my-questions.jsonl --missed

    sdx rag eval --fit my-questions.jsonl
    """
    if fit is not None:
        print(f"{_fitted(fit, out)} is written")
        return
    from sdx_rag.evaluate import markdown

    evaluation = evaluated(gold, say)
    if as_json:
        print(evaluation.model_dump_json(indent=1))
        return
    print(markdown(evaluation), end="")
    for one in evaluation.missed if missed else ():
        print(f"{one.id}: {one.what}: {one.question}" + (f"\n    {one.got}" if one.got else ""))


def evaluated(gold: Sequence[Path] | None, tell: Callable[[str], None]) -> "Evaluation":
    """None: the shipped questions to fresh libraries that hold the shipped knowledge and nothing else."""
    from sdx_rag.evaluate import evaluate as evaluate_libraries
    from sdx_rag.gold import read, shipped

    questions = read(gold or shipped())
    with libraries({question.domain for question in questions}, own=bool(gold), tell=tell) as opened:
        return evaluate_libraries(opened, questions, tell)


def _fitted(path: Path, out: Path | None) -> Path:
    """The thresholds learnt anew, on the shipped knowledge alone. ValueError for the questions that measure them."""
    from sdx_rag import thresholds
    from sdx_rag.evaluate import fitted
    from sdx_rag.gold import read, shipped

    if path.resolve() in [gold.resolve() for gold in shipped()]:
        raise ValueError(f"{path} is of the gold set: what is learnt from it cannot be measured with it; give other questions")
    questions = read([path])
    with libraries({question.domain for question in questions}, own=False, tell=say) as opened:
        learnt = fitted(opened, questions, thresholds.read(), say)
    target = out or thresholds.own()
    target.parent.mkdir(parents=True, exist_ok=True)
    thresholds.write(learnt, target, f"Fitted on {path.parent.name}/{path.name} by `sdx rag eval --fit`.")
    return target


@contextmanager
def libraries(domains: set[str], own: bool, tell: Callable[[str], None]) -> "Iterator[dict[str, Library]]":
    """The user's, or fresh ones with the user's settings in a temporary folder."""
    from sdx_agents.library import bring_knowledge
    from sdx_rag.library import Library
    from sdx_rag.settings import RagSettings

    settings = RagSettings.read()
    with ExitStack() as stack:
        if not own:
            settings = settings.model_copy(update={"home": Path(stack.enter_context(TemporaryDirectory()))})
        opened = {domain: stack.enter_context(Library.open(domain, settings)) for domain in sorted(domains)}
        for library in opened.values():
            bring_knowledge(library, tell)
        yield opened
