"""Commands: mecca train | evaluate | benchmark | report | record | annotate | serve | accept | learn | demo | data."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import subcommand

from mecca_agents.commands.accept import Accept
from mecca_agents.commands.annotate import Annotate
from mecca_agents.commands.benchmark import DESCRIPTION, Benchmark, Report
from mecca_agents.commands.data import Data
from mecca_agents.commands.evaluate import Evaluate
from mecca_agents.commands.learn import Learn
from mecca_agents.commands.preset_flags import check_switches
from mecca_agents.commands.record import Record
from mecca_agents.commands.serve import Serve
from mecca_agents.commands.train import _TRAIN, Train
from mecca_agents.runtime.stopping import Stopped
from mecca_env.data.caching.disk import CacheError


@dataclass(frozen=True)
class Demo:
    """Train on the built-in phantom, compare with the untrained network, draw a picture: in minutes, it says how many.

    Attributes:
        out: Folder for the run, the table and the picture; an earlier demo there is replaced.
        updates: Number of updates, in place of the preset's.
        seed: Seed of everything.
    """

    out: Path = Path("runs/demo")
    updates: int | None = None
    seed: int = 0

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.demo import demo

        demo(self.out, updates=self.updates, seed=self.seed)
        return 0


Command = (
    Annotated[Train, subcommand("train", description=_TRAIN)]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Benchmark, subcommand("benchmark", description=DESCRIPTION)]
    | Annotated[Report, subcommand("report")]
    | Annotated[Record, subcommand("record")]
    | Annotated[Annotate, subcommand("annotate")]
    | Annotated[Serve, subcommand("serve")]
    | Annotated[Accept, subcommand("accept")]
    | Annotated[Learn, subcommand("learn")]
    | Annotated[Demo, subcommand("demo")]
    | Annotated[Data, subcommand("data")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; what the user did wrong, or memory that ran out, is one line on standard error and exit code 2."""
    sys.path.insert(0, "")  # methods of one's own, as "module:class", from the folder one stands in
    command = tyro.cli(Command, args=arguments, prog="mecca", description=__doc__)
    try:
        check_switches(sys.argv[1:] if arguments is None else arguments)
        return int(command.run())
    except (ValueError, TypeError, FloatingPointError, CacheError, OSError, ImportError) as error:
        print(f"mecca: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        reason = (str(error).strip() or "of this machine").splitlines()[0]
        hint = "a smaller --num-envs, --channels or --shape needs less"
        print(f"mecca: out of memory, {hint} ({reason})", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"mecca: {stopped}", file=sys.stderr)
        return 128 + stopped.signal
    except KeyboardInterrupt:
        print("mecca: stopped", file=sys.stderr)
        return 130


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: NumPy and a GPU's allocator have a class for it, other parts of torch only a text."""
    texts = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or any(text in str(error) for text in texts)


if __name__ == "__main__":
    sys.exit(main())
