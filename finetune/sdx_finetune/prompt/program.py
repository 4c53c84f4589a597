"""The prompt as a DSPy program whose model calls go through calls.py. Only search.py needs it; importing it imports DSPy.

What DSPy sends while it searches is byte for byte what is served afterwards: a system turn, demos as turns, the question.
DSPy's own caches, network clients and history are not used.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from sdx_finetune.prompt.calls import Share
from sdx_finetune.prompt.examples import Example, Prompt

PROPOSAL_TOKENS = 800
"""Of what the model writes about the task; answers keep to model.max_tokens."""
MetricOf = Callable[[Example, str], float]


class Answering(dspy.Signature):
    """One question and its answer."""

    query: str = dspy.InputField()
    response: str = dspy.OutputField()


class PlainAdapter(dspy.ChatAdapter):
    """Turns without markers for Answering; DSPy's own form for what its optimisers ask about the task."""

    def __init__(self) -> None:
        super().__init__(use_json_adapter_fallback=False)

    def format(self, signature: Any, demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        if not _plain(signature):
            return super().format(signature, demos, inputs)
        return list(Prompt(signature.instructions, shown(demos)).messages(inputs["query"]))

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        if _plain(signature):
            return {"response": completion}
        wanted = list(signature.output_fields)
        # Small models forget the markers; what they wrote is tried all the same, and loses where it is of no use.
        return {wanted[0]: completion.strip()} if len(wanted) == 1 and "[[ ##" not in completion else super().parse(signature, completion)


class Engine:
    """Answers DSPy's requests, within the calls of a search."""

    def __init__(self, calls: Share) -> None:
        self.calls = calls

    def complete(self, request: Request) -> Response:
        """Raises Halt; an answer that the model failed to give is empty, and DSPy scores it 0."""
        system = request.system if isinstance(request.system, str) else "".join(part.text for part in request.system or ())  # type: ignore[union-attr]
        turns = [{"role": "system", "content": system}] if system else []
        turns += [{"role": message.role, "content": message.text or ""} for message in request.messages]
        said = self.calls.ask(turns, request.config.temperature, request.config.max_tokens)
        usage = Usage(input_tokens=said.prompt_tokens, output_tokens=said.completion_tokens)
        return Response(id=None, model=request.model, message=Message.assistant([TextPart(said.text)]), finish_reason="stop", usage=usage)


class Program(dspy.Module):
    """One predictor: its signature's instructions are the system turn."""

    def __init__(self, instruction: str) -> None:
        super().__init__()
        self.answer = dspy.Predict(Answering.with_instructions(instruction))

    def forward(self, query: str) -> Any:
        return self.answer(query=query)


def language_models(calls: Share) -> tuple[Any, Any]:
    """DSPy's view of the model: to answer, and to write about the task."""
    spec = calls.spec
    shared: dict[str, Any] = {"engine": Engine(calls), "cache": False, "num_retries": 0, "temperature": spec.temperature}
    return tuple(dspy.LM("sdx", max_tokens=count, **shared) for count in (spec.max_tokens, max(spec.max_tokens, PROPOSAL_TOKENS)))  # type: ignore[return-value]


def prompt_of(program: Any) -> Prompt:
    """What the program sends before a question."""
    predictor = program.predictors()[0]
    return Prompt(predictor.signature.instructions, shown(predictor.demos))


def shown(demos: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(demo["query"]), str(demo["response"])) for demo in demos)


def as_dspy(examples: Sequence[Example]) -> list[Any]:
    return [dspy.Example(query=example.query, response=example.response).with_inputs("query") for example in examples]


def _plain(signature: Any) -> bool:
    return list(signature.fields) == ["query", "response"]
