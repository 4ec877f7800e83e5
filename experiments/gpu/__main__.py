"""Everything that a GPU is needed for, in order, as far as the time allows; the same command goes on.

    python -m experiments.gpu --data /data --minutes 9                  # again and again, until all is done
    python -m experiments.gpu --data /data --only training --updates 2000
    python -m experiments.gpu --device cpu --tiny --out runs/tiny       # whether all of it runs, on any machine
    python -m experiments.gpu --table                                   # what was found, into the pages

First what the machine is, then the tests that need a GPU, the measurements of `benchmarks.performance`, and trainings
on the paper's grid with 64 channels. Everything goes into one folder; what is there is not done again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import performance
from benchmarks.timing import device_there
from experiments.gpu import junit, pages, training
from experiments.gpu.parts import Launch, Part, launch, run_parts
from mecca_env.atomic import write_text

GROUPS = ("surroundings", "tests", "performance", "training")
OUT = Path("runs/gpu")
SMALL = "--shape 12 11 10 --channels 4 --repeats 1"
"""Of measurements that are only to be seen running."""


def parts_of(options: argparse.Namespace) -> list[Part]:
    """All parts that were asked for, in their order."""
    out, device = options.out, str(options.device)
    groups = {
        "surroundings": [_surroundings(options)],
        "tests": _tests(options),
        "performance": _measurements(out, device, options.tiny),
        "training": [_training(options)],
    }
    return [part for name in GROUPS if name in options.only for part in groups[name]]


def _surroundings(options: argparse.Namespace) -> Part:
    file = options.out / "surroundings.json"
    command = ["-m", "experiments.gpu.surroundings", "--device", str(options.device), "--json", str(file)]
    return Part("surroundings", (*command, *(["--commit", options.commit] if options.commit else [])), file)


def _tests(options: argparse.Namespace) -> list[Part]:
    chosen = {"cuda": ["tests", "-m", "cuda"], "kernels": ["tests/mecca_env/kernels"]}
    if options.tiny:
        chosen = {"devices": ["tests/mecca_agents/runtime/test_devices.py"]}
    parts = []
    for name, which in chosen.items():
        file = options.out / "tests" / f"{name}.xml"
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
        command += ["-n", str(options.processes), "--junitxml", str(file), *which]
        data = {"MECCA_TEST_DATA": str(options.data)} if options.data is not None else {}
        # Failed tests are a finding, and what failed is listed.
        parts.append(Part(f"tests_{name}", tuple(command), file, data, codes=(0, 1)))
    return parts


def _measurements(out: Path, device: str, tiny: bool) -> list[Part]:
    folder = out / "performance"
    if tiny:
        small = ["--device", device, *SMALL.split(), "--json"]
        commands = {
            "cuda_step": ["-m", "benchmarks.gpu.step", "--batch", "2", "--loop-envs", "1", *small],
            "cuda_updates": ["-m", "benchmarks.gpu.updates", "--num-envs", "1", "--methods", "iter-mrl", *small],
        }
        return [
            Part(name, (*command, str(folder / f"{name}.json")), folder / f"{name}.json")
            for name, command in commands.items()
        ]
    command = ("-m", "benchmarks.performance", "--device", device, "--folder", str(folder), "--only")
    return [Part(name, (*command, name), folder / f"{name}.json") for name in performance.PARTS["cuda"]]


def _training(options: argparse.Namespace) -> Part:
    command = ["-m", "experiments.gpu.training", "--out", str(options.out / "results")]
    command += ["--device", str(options.device), "--seeds", str(options.seeds), "--methods", *options.methods]
    command += ["--data", str(options.data)] if options.data is not None else []
    command += ["--tiny"] if options.tiny else []
    for name in ("updates", "num_envs", "learning_rate"):
        value = getattr(options, name)
        command += [] if value is None else ["--" + name.replace("_", "-"), str(value)]
    return Part("training", tuple(command), None)  # it sees itself what is done: there may be another data set


def main(arguments: list[str] | None = None, start: Launch = launch) -> int:
    """Read the options and do it; the exit code is 1 where something failed, 3 where there is more to do."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    training.arguments(parser)
    parser.set_defaults(data=None)
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder for everything; by default {OUT}")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop before so many are over")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--processes", type=int, default=4, help="of the tests")
    parser.add_argument("--commit", help="of the code, where it is no clone of the repository")
    parser.add_argument("--table", action="store_true", help="only put what was found into the pages")
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    options.data = options.data.resolve() if options.data is not None else None
    if options.table:
        pages.write(options.out)
        return 0
    try:
        device_there(options.device)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    if "training" in options.only and options.data is None and not options.tiny:
        parser.error("--data: expected the folder with the data sets that are trained on")
    for name in ("tests", "performance", "results"):
        (options.out / name).mkdir(parents=True, exist_ok=True)
    states = run_parts(parts_of(options), options.out, 60 * options.minutes, start)
    text = pages.summary(options.out)
    write_text(options.out / "summary.md", text)
    print(text)
    print("\n".join(f"{name}: {state}" for name, state in states.items()))
    tests = junit.summary(sorted((options.out / "tests").glob("*.xml")))
    if tests["failed"] or any(state.startswith("failed") for state in states.values()):
        return 1
    return 0 if all(state.startswith("done") for state in states.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
