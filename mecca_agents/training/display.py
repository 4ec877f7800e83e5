"""Progress of a run as it is shown: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import Any, TextIO

from tqdm import tqdm

from mecca_agents.runs.tally import Tally


class Display:
    """Shows a run's progress.

    Args:
        updates: How many there will be in all.
        tally: How far the run is at the start.
        stream: Where to show it.
    """

    LINES = 20  # plain lines in a whole run

    def __init__(self, updates: int, tally: Tally, stream: TextIO) -> None:
        self._updates = updates
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        if stream.isatty():
            form = "{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}{postfix}"  # our own time left: it outlives a stop
            self._bar = tqdm(total=updates, initial=tally.updates, file=stream, dynamic_ncols=True, bar_format=form)

    def show(self, tally: Tally) -> None:
        """The run is this far now."""
        done = tally.updates
        if self._bar is not None:
            self._bar.set_postfix_str(tally.describe(self._updates), refresh=False)
            self._bar.update(done - self._bar.n)
        elif done % max(self._updates // self.LINES, 1) == 0 or done == self._updates:
            print(f"update {done}/{self._updates}: {tally.describe(self._updates)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the bar as it is and go on below it."""
        if self._bar is not None:
            self._bar.close()
