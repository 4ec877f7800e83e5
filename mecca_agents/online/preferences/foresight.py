"""How far a person's choices can be foreseen: each by a reward model of other cases (Stone, 1974)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from mecca_agents.online.preferences.reward import Situations, fit_reward, foreseen
from mecca_agents.online.preferences.verdicts import Share
from mecca_agents.online.project import drawn

FOLDS = 4
"""Parts of the choices, each of which is foreseen from the others."""

LEVEL = 0.99
"""Of the interval. Parts share what they were learned from, so that with choices by chance what is foreseen scatters by
a quarter more than independent guesses: an interval of 95 % would begin above a half in 6 of 100 such projects, this
one does in one or two (`tests/mecca_agents/online/preferences/test_foresight.py`)."""

Watch = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""What a fit is made under; it gives the function that is asked whether to leave it at that."""


def foreseen_across(
    situations: Situations,
    cases: Sequence[str],
    seed: int,
    watch: Watch = lambda: nullcontext(lambda: False),
) -> Share:
    """How many choices are foreseen, each by a model that has learned from those of other cases.

    Args:
        situations: All choices.
        cases: Of which case each is.
        seed: Of the models.
        watch: Entered for each of `FOLDS` models.

    Raises:
        FloatingPointError: A loss became NaN or infinite.
    """
    right = 0
    for part in folds(cases):
        held = part.to(situations.inputs.device)
        with watch() as over:
            model = fit_reward(situations[~held], seed, over)
        right += foreseen(model, situations[held])
    return Share(right, len(cases), LEVEL)


def folds(cases: Sequence[str]) -> list[Tensor]:
    """Parts of choices, `FOLDS` masks of (N,) bool, none empty where there are so many choices.

    A case is in one part as a whole; only where there are too few cases for that are choices dealt out one by one.

    Args:
        cases: Of which case each choice is.
    """
    whole = len(set(cases)) >= FOLDS
    units = list(cases) if whole else [f"{case}:{place}" for place, case in enumerate(cases)]
    dealt = {unit: number % FOLDS for number, unit in enumerate(sorted(set(units), key=drawn))}
    part = torch.tensor([dealt[unit] for unit in units])
    return [part == number for number in range(FOLDS)]
