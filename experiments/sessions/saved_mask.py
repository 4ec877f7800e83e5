"""Measure what the built-in agent makes of a mask that is loaded, beside going on without a break.

    python -m experiments.sessions.saved_mask

On each of `--cases` phantoms that were not trained on, a session of 25 and 5 clicks leaves a mask. The lines say what
the next step makes of it: in the same session; of the mask alone, whose clicks are gone; and of nothing.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from mecca_agents.session import InteractiveSession, Model, load_model
from mecca_agents.tables import grid
from mecca_env.data.base import Scan
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.phantom import PhantomSource
from mecca_env.kernels.dispatch import loops
from mecca_env.metrics import dice


def one(model: Model, case: int) -> dict[str, float]:
    """Dice of one phantom in every way."""
    scan = PhantomSource().scan(2 * case + 1)  # odd ones are for tests
    rng, found = np.random.default_rng(case), {}
    with InteractiveSession(model) as session:
        session.set_image(scan.image, scan.affine)
        session.set_box(*bounding_box(scan.label))
        session.add_clicks(_clicks(session, scan, rng, 25))
        session.step()
        session.add_clicks(_clicks(session, scan, rng, 5))
        mask = session.step()
        found["the mask that is saved"] = _score(mask, scan)
        five, many = (_clicks(session, scan, rng, count) for count in (5, 25))
        session.add_clicks(five)
        found["5 clicks, same session"] = _score(session.step(), scan)
        for name, clicks in {"no clicks": None, "5 clicks": five, "25 clicks": many}.items():
            session.set_mask(mask)
            if clicks is not None:
                session.add_clicks(clicks)
            found[f"{name}, mask loaded"] = _score(session.step(), scan)
        for name, clicks in {"5 clicks": five, "25 clicks": many}.items():
            session.reset()
            session.add_clicks(clicks)
            found[f"{name}, from nothing"] = _score(session.step(), scan)
    return found


def _clicks(session: InteractiveSession, scan: Scan, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """As the simulated user's: on edges of the label that are not edges of the mask."""
    wrong = _edge(scan.label) & ~_edge(session.mask())
    return rng.permutation(np.argwhere(wrong))[:count]


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    label = torch.from_numpy(mask)[None]
    surface = loops(label.device).label_surface(label)[0]
    edge = np.zeros(mask.size, bool)
    edge[surface[surface >= 0].numpy()] = True
    return edge.reshape(mask.shape)


def _score(mask: NDArray[np.bool_], scan: Scan) -> float:
    return 100 * float(dice(torch.from_numpy(mask)[None], torch.from_numpy(scan.label)[None])[0])


def main() -> None:
    """Measure and print, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20)
    options = parser.parse_args()
    model = load_model("phantom", device="cpu")
    results = [one(model, case) for case in range(options.cases)]
    lines = [[name, f"{np.mean([result[name] for result in results]):.1f}"] for name in results[0]]
    print(grid([f"Dice %, {options.cases} phantoms", ""], lines, padded=False))


if __name__ == "__main__":
    main()
