"""The commands mecca benchmark and mecca report."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from mecca_agents.commands.preset_flags import PresetFlags, given_settings, preset_table
from mecca_agents.commands.prompt_flags import PromptFlags, given_prompts
from mecca_agents.presets import find_preset


@dataclass(frozen=True)
class Benchmark:
    """Train and test every method on one data set; what is done already stays, so the same command goes on.

    Attributes:
        methods: Names of methods, or module:class of your own; by default all.
        env: Environment id.
        out: The benchmark's folder; other data sets may have their results there, too.
        root: Folder of the data set; by default looked for under $MECCA_DATA.
        label: Label values that are foreground, by default the data set's own, or all above 0; each makes every value
            of every scan a case of its own.
        name: What the data set is called in tables; by default as in the environment id.
        seeds: Trainings of each method, with seeds from 0; nothing is bold in a table with fewer than five.
        fractions: Shares of the training cases whose labels give rewards.
        labelled_cases: Numbers of training cases whose labels give rewards, beside the fractions.
        ablation: Add the rows of Table 5: mecca with its mechanisms one by one.
        preset: paper, paper-grid, fast, brief, general, online or demo. Every setting of it has a flag below.
        cases: Only so many of the training cases; by default all.
        test_env: Environment id to test on; by default the one that is trained on.
        test_root: Folder of its data set.
        test_split: train, test or all.
        test_cases: Only so many test cases; by default all.
        shard: i/n: only every n-th cell, from the i-th, for one of n machines or processes.
        list: Print the cells and how far they are, and do nothing.
        timing: Only measure how long an iteration takes with each method that is trained (Table 6).
        threads: Threads of torch; by default as many as there are cores.
        skip_bad: Leave unusable cases out, with a warning, rather than refuse to start.
        tolerance: Millimetres that image and label may lie apart; by default next to nothing.
        device: auto, cpu or cuda.
        prompts: Who prompts, with what and when, in trainings and tests; by default as in the paper.
        settings: Settings in place of the preset's: what every run has.
    """

    env: Annotated[str, arg(metavar="ID")]
    out: Annotated[Path, arg(metavar="DIR")]
    methods: Annotated[tuple[str, ...], arg(metavar="METHOD...", help_behavior_hint="")] = ()
    root: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    label: Annotated[tuple[int, ...] | Literal["each"] | None, arg(metavar="each|N...", help_behavior_hint="")] = None
    name: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    seeds: int = 5
    fractions: Annotated[tuple[float, ...], arg(metavar="F...")] = (1.0,)
    labelled_cases: Annotated[tuple[int, ...], arg(metavar="N...", help_behavior_hint="")] = ()
    ablation: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    preset: str = "fast"
    cases: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    test_env: Annotated[str | None, arg(metavar="ID", help_behavior_hint="")] = None
    test_root: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    test_split: str = "test"
    test_cases: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    shard: str = "1/1"
    list: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    timing: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    threads: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    skip_bad: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None
    device: str = "auto"
    prompts: Annotated[PromptFlags, OmitArgPrefixes] = field(default_factory=lambda: PromptFlags())
    settings: Annotated[PresetFlags, OmitArgPrefixes] = field(default_factory=dict)

    def run(self) -> int:
        """Do it; the exit code is 1 where a cell failed."""
        import torch

        from mecca_agents.agent import check_effect, methods
        from mecca_agents.benchmark.cells import as_rows, make_cells, shard_of
        from mecca_agents.benchmark.plan import Plan
        from mecca_agents.benchmark.runner import benchmark
        from mecca_env.arguments import read_count

        seeds = range(read_count("seeds", self.seeds))
        chosen, given, prompts = self.methods or methods(), given_settings(self.settings), given_prompts(self.prompts)
        cells = shard_of(make_cells(chosen, self.fractions, seeds, self.ablation, self.labelled_cases), self.shard)
        preset = find_preset(self.preset).replace(**given)
        few = next((cell.settings for cell in cells if not cell.all_labelled), {})
        check_effect([*chosen, *["mecca"] * self.ablation], as_rows(preset), given, few)
        shared = {f.name for f in fields(Plan)} & {f.name for f in fields(self)} - {"preset", "settings"}
        named = {name: getattr(self, name) for name in shared}
        plan = Plan(preset=preset, preset_name=self.preset, settings=prompts, **named)
        if self.threads is not None:
            torch.set_num_threads(read_count("threads", self.threads))
        if self.list:
            print("\n".join(f"{plan.status(cell):8} {cell.name}" for cell in cells))
            return 0
        if self.timing:
            from mecca_agents.benchmark.timing import time_methods

            print(time_methods(plan, [c for c in cells if c.all_labelled and (c.seed, c.variant) == (0, "")]))
            return 0
        outcome = benchmark(plan, cells)
        print(outcome.text())
        return 1 if outcome.failed else 0


@dataclass(frozen=True)
class Report:
    """Turn a benchmark's results into tables, statistics and pictures; print the overview.

    Attributes:
        folder: The benchmark's folder, with a sub-folder for each data set.
        out: Folder for the report, made if missing; by default DIR/report.
    """

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    out: Annotated[Path | None, arg(metavar="OUT", help_behavior_hint="")] = None

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.report.document import summary, write_report
        from mecca_agents.report.studies import read_studies

        studies = read_studies(self.folder)
        path = write_report(studies, self.folder / "report" if self.out is None else self.out)
        print(f"{summary(studies)}\n\n{path}")
        return 0


DESCRIPTION = f"""{(Benchmark.__doc__ or "").partition("Attributes:")[0].strip()}

Presets, what they are for and where they differ:

{preset_table()}"""
"""The beginning of the help of `mecca benchmark`."""
