"""What to make more rows of, who writes them, and what each must pass: one YAML file, closed schema."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sdx_domains.contract import Closed, Language, digest
from sdx_finetune.recipe import Dotted
from sdx_serving.closed import from_yaml

PLANNER = "planner"
Share = Annotated[float, Field(gt=0.0, le=1.0)]


class TeacherSpec(Closed):
    """Who writes, and how it is asked."""

    model: str = PLANNER
    """"planner" (the domain answers its own situations), "embedded", a GGUF file, or an OpenAI-compatible address with its version,
    e.g. http://127.0.0.1:8080/v1, with #name where it serves several models."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the key itself never stands in a file."""
    temperatures: tuple[Annotated[float, Field(ge=0.0, le=2.0)], ...] = (0.7,)
    """Sampling grid: requests take them in turn."""
    max_tokens: int = Field(800, ge=16)
    deadline_s: float = Field(120.0, gt=0)
    concurrency: int = Field(4, ge=1, le=256)
    """Requests at once: what the server takes (llama.cpp: its slots)."""


class ShotSpec(Closed):
    """Which of the examples a prompt shows."""

    count: int = Field(4, ge=1, le=32)
    choose: Literal["diverse", "similar", "class"] = "diverse"
    """diverse: far from one another; similar: near to one that is drawn; class: as many values of `key` as possible."""
    key: str | None = None
    """Of meta, for "class"."""

    @model_validator(mode="after")
    def _class_has_a_key(self) -> Self:
        if (self.choose == "class") != (self.key is not None):
            raise ValueError('shots.key goes with shots.choose "class", and only with it')
        return self


class CheckSpec(Closed):
    """What a made row must pass besides being a row."""

    answer_schema: Path | None = None
    """JSON schema that the answer must follow."""
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Field of the JSON answer, dots between levels ("w1", "plan.heat_deg_c") -> lowest and highest value."""
    near: float = Field(0.9, gt=0.0, le=1.0)
    """Most that a new row may be like an example or an accepted row (Jaccard of shingles)."""
    apart_from: tuple[str, ...] = ()
    """Data sets (NAME@VERSION) that no new row may be like: evaluation must stay unseen."""
    domain: Dotted | None = None
    """Dotted name of `check(row: dict) -> str`: "" for a good row, else what is wrong with it."""


class AugmentSpec(Closed):
    """A whole run. Either `examples` to write more of, or `situations` of a domain to answer."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    task: str = ""
    """What the rows are for, in a sentence or two: stands in the prompt."""
    rows: int = Field(ge=1)
    """Accepted rows wanted."""
    most_requests: int | None = Field(None, ge=1)
    """Give up beyond; default ten times what is needed if every row passes."""
    languages: tuple[Language, ...] = ("en",)
    examples: Path | None = None
    """A file that `sdx data check` takes."""
    situations: Dotted | None = None
    """Dotted name of `situations(count: int, seed: int) -> Iterator[Situation]`."""
    prompt: Path | None = None
    """Jinja template instead of the shipped one; knows task, language, shots, count."""
    per_request: int = Field(2, ge=1, le=50)
    """Rows asked for at once."""
    shots: ShotSpec = Field(default_factory=lambda: ShotSpec.model_validate({}))
    teacher: TeacherSpec = Field(default_factory=lambda: TeacherSpec.model_validate({}))
    checks: CheckSpec = Field(default_factory=lambda: CheckSpec.model_validate({}))
    balance: dict[str, dict[str, Share]] = Field(default_factory=dict)
    """Key of meta -> value -> largest share of the rows; other values are not limited."""
    seed: int = Field(1_000_000, ge=0)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.examples is None) == (self.situations is None):
            raise ValueError("give either examples (a file to write more of) or situations (of a domain, to be answered)")
        if self.examples is not None and self.teacher.model == PLANNER:
            raise ValueError("teacher.model: writing more of examples wants a model; give its address, e.g. http://127.0.0.1:8080/v1")
        if loose := [name for name in self.checks.apart_from if "@" not in name]:
            raise ValueError(f"checks.apart_from: {loose[0]!r} names no version; write NAME@VERSION, `sdx data show {loose[0]}` lists them")
        if self.examples is not None and not self.task.strip():
            raise ValueError("task: say in a sentence what the rows are for; the teacher reads it")
        return self

    @property
    def request_limit(self) -> int:
        return self.most_requests or 10 * -(-self.rows // (self.per_request if self.examples else 1))

    @property
    def id(self) -> str:
        """Hash of everything that decides which rows come out; not of how many are asked at once, nor of how many are wanted."""
        files = {"examples": self.examples, "prompt": self.prompt, "answer_schema": self.checks.answer_schema}
        content = {name: sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path is not None and path.is_file()}
        loose = {
            "rows": True, "most_requests": True, "teacher": {"concurrency", "deadline_s", "api_key_env"},
            "examples": True, "prompt": True, "checks": {"answer_schema"},
        }  # fmt: skip
        return digest([self.model_dump(mode="json", exclude=loose), content])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read YAML; paths in it are relative to it. ValueError names the file, each wrong field, its value and what was expected."""
        return from_yaml(cls, path)._beside(path.resolve().parent)

    def _beside(self, folder: Path) -> Self:
        whole = lambda path: folder / path if path is not None else None
        checks = self.checks.model_copy(update={"answer_schema": whole(self.checks.answer_schema)})
        teacher = self.teacher
        if teacher.model.endswith(".gguf"):
            teacher = teacher.model_copy(update={"model": str(folder / teacher.model)})
        changed = {"examples": whole(self.examples), "prompt": whole(self.prompt), "checks": checks, "teacher": teacher}
        return self.model_copy(update=changed)
