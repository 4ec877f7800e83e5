"""Learning from accepted scans on a stream of 40 hippocampi and then 16 left atria, beside the run that never learns.

    python -m experiments.online --data /data --out runs/online                # goes on where it was stopped
    python -m experiments.online --data /data --out runs/online --shard 1/6    # one stream of the six
    python -m experiments.online --data /data --out runs/online --wrong 0.5    # half of the accepted masks are wrong
    python -m experiments.online --out runs/online --table                     # writes docs/online.md
    python -m experiments.online --data /data --out runs/look --cases 3 1 --updates 3 --clean 2 --orders 0

A simulated person works under `one-click` or `paper`, and accepts the mask once it is right: what the agent left wrong
is corrected, so that what is accepted is the label. `mecca_agents.online.learn` then makes `--updates`, before the next
case comes.
"""

from __future__ import annotations

import argparse
import re
from itertools import product
from pathlib import Path

import torch

from benchmarks.document import DOCS, write_document
from experiments.online.report import PICTURE, Told, draw, read_trial, tables
from experiments.online.stream import ORGANS, PROTOCOLS, WRONG, Trial
from mecca_agents.benchmark.cells import shard_of

PAGE = DOCS / "online.md"
MARKS = ("<!-- tables, written by experiments.online -->", "<!-- end of tables -->")


def main() -> None:
    """Play what this shard lacks, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trials")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--orders", type=int, nargs="+", default=[0, 1, 2])
    names = " and ".join(organ.name for organ in ORGANS)
    parser.add_argument("--cases", type=int, nargs=len(ORGANS), default=[40, 16], help=f"of {names}")
    parser.add_argument("--updates", type=int, default=24, help="of learning after each case")
    parser.add_argument("--clean", type=int, default=16, help="cases of each organ apart from the stream")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of accepted masks that are wrong on purpose")
    parser.add_argument("--wrong-way", choices=WRONG, default="moved", help="how they are wrong")
    parser.add_argument("--run", default="general", help="whose weights a stream begins with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th of the streams, from the i-th")
    parser.add_argument("--table", action="store_true", help="only write tables and curves of what is there")
    parser.add_argument("--print", action="store_true", help="with --table: only print the tables")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trials = [
        Trial(
            *(options.data, options.out, protocol, order),
            counts=tuple(options.cases),
            updates=options.updates,
            clean=options.clean,
            wrong=options.wrong,
            wrong_way=options.wrong_way,
            run=options.run,
        )
        for order, protocol in product(options.orders, options.protocols)
    ]
    if not options.table:
        for trial in shard_of(trials, options.shard):
            trial.go()
        return
    write(options.out, options.print)


def found_in(out: Path) -> dict[str, list[Told]]:
    """All trials that are there, by protocol; those with wrong masks apart."""
    several: dict[str, list[Told]] = {}
    for folder in sorted(out.iterdir()):
        told = read_trial(folder)
        if told is not None:
            protocol, _, rest = folder.name.partition("-order")
            way = re.search(r"-([a-z]+)([\d.]+)$", rest)
            name = protocol if way is None else f"{protocol}, {100 * float(way[2]):.0f} % {way[1]}"
            several.setdefault(name, []).append(told)
    if not several:
        raise SystemExit(f"{out}: expected trials of this experiment, found none")
    return dict(sorted(several.items(), key=lambda item: ("%" in item[0], item[0])))


def write(out: Path, only_print: bool) -> None:
    """Print the tables, and put them and the curves into the page."""
    trials = found_in(out)
    text = tables(trials)
    print(text)
    if not only_print:
        draw({name: of for name, of in trials.items() if "%" not in name} or trials, PICTURE)
        picture = "![Dice of each case when it came, under both kinds of prompts](images/online.png)"
        write_document(f"{picture}\n\n{text}", PAGE, MARKS)


if __name__ == "__main__":
    main()
