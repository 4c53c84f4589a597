"""An engine's program in an environment of its own: named by a variable, or on the PATH."""

import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """E.g. Program("SDX_VLLM", "vllm", "vLLM is not installed: type ...")."""

    variable: str
    """Names the program's file where it is not on the PATH."""
    name: str
    todo: str
    """What to type where it is not installed."""

    def path(self) -> str | None:
        return shutil.which(os.path.expanduser(os.environ.get(self.variable) or self.name))

    def missing(self) -> str | None:
        """None if it is there, else what to do."""
        if self.path():
            return None
        if given := os.environ.get(self.variable):
            return f"{self.variable}={given} is no program that can be run: give the path of `{self.name}` in its environment"
        return self.todo
