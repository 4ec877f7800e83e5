"""One episode between a trained agent and a person: the environment's own simulator, with the person's clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mecca_agents.evaluation.play import change_of, checked_confidence
from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.drawn import read_points, voxels_of
from mecca_agents.session.inputs.mask import BoxedMask
from mecca_agents.session.inputs.scan import Image
from mecca_agents.session.playing.model import Model
from mecca_agents.session.playing.moment import Answer, Click, Moment
from mecca_agents.session.playing.views import (
    DOUBT,
    MOST_CHANGES,
    MOST_DOUBT,
    SIDES,
    around,
    drawn_closer,
    grown,
    opening,
    with_margin,
)
from mecca_env.actions import ActionReader
from mecca_env.data.base import Box, DataError, Triple
from mecca_env.data.grid.cutting import move_map, prepare
from mecca_env.data.grid.placement import Placement, fixed_placement
from mecca_env.data.grid.sampling import resample_cases
from mecca_env.episodes.regions import case_regions, placed_regions
from mecca_env.episodes.views import ShownBox, box_map
from mecca_env.process.simulator import EpisodeStart, Simulator, mask_action
from mecca_env.state import State, observe


class EpisodePlayer:
    """Makes a moment of another one.

    Args:
        model: The trained method.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._simulator = Simulator(model.config, model.device)
        self._actions = ActionReader(model.config, 1, model.device)

    def begin(self, image: Image, box: Box | None, mask: BoxedMask | None = None, view: Box | None = None) -> Moment:
        """An episode in a box: what an evaluation would begin where this is the label's bounding box.

        Args:
            image: The scan.
            box: The box; None: the whole scan.
            mask: What it goes on from, within what the agent sees; None: every probability is a half.
            view: What the agent sees; None: the box, and a margin around it.

        Raises:
            SessionError: The scan is constant there.
        """
        config = self.model.config
        shown_part = view or box or ((0, 0, 0), image.shape)
        margin = 0 if view else config.evaluation_extension
        try:
            case = prepare(
                image.scan if mask is None else replace(image.scan, label=mask.whole(image.shape)),
                extension=config.extension,
                rotation=config.rotation,
                evaluation_extension=margin,
                box=shown_part,
            )
        except DataError as error:
            name = "view" if view else "box"
            raise SessionError(f"{name}: expected an image that varies in it, got {shown_part} ({error})") from error
        placement = fixed_placement(case, config.shape, margin)
        volume, inside, _ = resample_cases([case], [placement], config.intensity_clip, self.model.device)
        regions = None
        if config.needs_regions:
            regions = placed_regions(case_regions(case, config), case, placement).to(self.model.device)
        nothing = torch.zeros(config.shape, dtype=torch.bool, device=self.model.device)
        shown = None
        if config.shows_box:
            shown = box_map(None if box is None else ShownBox(*box), placement, self.model.device)
        state = self._simulator.begin([EpisodeStart(volume[0], nothing, 0, True, 0, regions, shown)])
        moment = Moment(image, box, placement, state, state, state)
        return moment if mask is None else self._masked(moment, mask, inside)

    def go_on(self, moment: Moment, mask: BoxedMask) -> Moment:
        """An episode that goes on from a mask: in the same box, or in that of the mask where there is none.

        Raises:
            SessionError: The mask reaches beyond what the agent sees; or the scan is constant there.
        """
        low, high = moment.view
        (a, b, c), (d, e, f) = mask.box
        if not all(v <= first for v, first in zip(low, (a, b, c), strict=True)) or not all(
            last <= v for v, last in zip(high, (d, e, f), strict=True)
        ):
            raise SessionError(
                f"mask: expected one within what the agent sees, {low} to {high} (exclusive), "
                f"got one from {mask.box[0]} to {mask.box[1]}; choose a larger box first"
            )
        if self._finds_its_view(moment):
            return self.begin(moment.image, None, mask, with_margin(mask.box, moment.image.shape))
        return self.begin(moment.image, moment.box or mask.box, mask)

    def again(self, moment: Moment) -> Moment:
        """The same episode from its beginning; a view that the agent has found is given up."""
        if self._finds_its_view(moment):
            return self.begin(moment.image, None)
        first = moment.first
        return Moment(moment.image, moment.box, moment.placement, first, first, first)

    def click(self, moment: Moment, points: ArrayLike, inside: bool | None = None) -> tuple[Moment, list[Click]]:
        """The moment after clicks, the same one where the agent learns nothing from them; and each of them.

        Args:
            moment: The one before.
            points: (K, 3) or (3,), voxels of the scan.
            inside: On which side of the border they are, where the run knows signs.

        Raises:
            SessionError: One of them is no point of the view, or a sign is missing, one too many or none.
        """
        if not (inside is None or isinstance(inside, (bool, np.bool_))):
            raise SessionError(f"inside: expected True, False or None, got {inside!r:.80}")
        inside = None if inside is None else bool(inside)
        if (inside is not None) != self.model.config.signed:
            wanted = "True or False, since this run was trained" if inside is None else "None: this run was not trained"
            raise SessionError(f"inside: expected {wanted} with clicks inside and outside the target, got {inside!r}")
        there = [(float(x), float(y), float(z)) for x, y, z in read_points(points, self.reach(moment))]
        view = self._view_for(there, moment, inside)
        seen = self.in_view(moment, view)
        said = dict(zip(_places(moment.clicks, moment), (click.inside for click in moment.clicks), strict=True))
        made = []
        voxels = _voxels(there, seen.placement)
        clicks = [Click(p, v, len(moment.answers) + 1, False, inside) for p, v in zip(there, voxels, strict=True)]
        for click, place in zip(clicks, _places(clicks, moment), strict=True):
            made.append(replace(click, repeated=place in said and said[place] == inside))
            said[place] = inside  # the last word on it
        new = tuple(click for click in made if not click.repeated)
        if not new:
            return moment, made
        after = replace(seen, clicks=(*seen.clicks, *new))
        return replace(after, state=self._hinted(after)), made

    def step(self, moment: Moment) -> Moment:
        """The moment after the agent has acted once.

        Where it finds its view by itself, it looks again as long as what it finds touches the border of that, and
        closer where it is small in it.

        Raises:
            SessionError: What the agent answered is no action, or not finite.
        """
        if not self._finds_its_view(moment):
            return self._acted(moment)
        after = self._acted_first(moment) if _is_untouched(moment) else self._acted(moment)
        for _ in range(MOST_CHANGES):
            mask, shape = after.state.prediction[0].cpu().numpy(), after.image.shape
            view = grown(mask, after.placement, shape)
            closer = view == after.view
            if closer:
                view = drawn_closer(mask, after.placement, shape, *_points_by_side(after.clicks))
            if view == after.view or (again := self._if_it_varies(after, view)) is None:
                break
            after = self._acted(replace(again, answers=again.answers[:-1]))
            if closer:
                break  # or it might go to and fro
        return after

    def _acted_first(self, moment: Moment) -> Moment:
        """The moment after a first action, in the smallest view in which the agent doubts less than it finds.

        Nobody has said how large the target is. In a view that does not hold it an agent is in doubt about much of it.
        Where it is so in all of them, the one of least doubt is taken.
        """
        first = next((click for click in moment.clicks if click.inside), None)
        if first is None:
            return self._acted(moment)
        shape, points = moment.image.shape, _points_by_side(moment.clicks)[0]
        spacing = np.linalg.norm(moment.image.affine[:3, :3], axis=0).tolist()
        views = dict.fromkeys(around(opening(first.point, spacing, shape, side), points, shape) for side in SIDES)
        found = []
        for seen in (self._if_it_varies(moment, view) for view in views):
            if seen is None:
                continue
            found.append(self._acted(seen))
            if _doubt(found[-1]) < MOST_DOUBT:
                return found[-1]
        return min(found, key=_doubt) if found else self._acted(moment)

    def _acted(self, moment: Moment, action: Any = None) -> Moment:
        """The moment after one action: this one, or the agent's best."""
        agent, config = self.model.agent, self.model.config
        observation = observe(moment.state)
        try:
            action = agent.act(observation) if action is None else action
            adjustment, confidence = self._actions.read(action)
            self._actions.refuse(wait=True)
            certainty = checked_confidence(agent, observation, action, config.shape)
        except (ValueError, TypeError, FloatingPointError) as error:
            raise SessionError(f"{self.model.folder}: expected an action of the agent, got none: {error}") from error
        after, *_ = self._simulator.step(moment.state, adjustment, confidence)
        return replace(
            moment,
            answered=after,
            state=after,
            answers=(*moment.answers, Answer(moment.placement, after.probability[0])),
            acted=moment.state,
            change=change_of(adjustment, config)[0],
            confidence=certainty,
            loaded=None,
            chosen=None,
        )

    def act(self, moment: Moment, action: Any) -> Moment:
        """The moment after an action that the agent has answered with. Raises `SessionError` where it is none."""
        return self._acted(moment, action)

    def view_of_step(self, moment: Moment) -> Box:
        """The view that a step would end in. Raises `SessionError` as `step` does."""
        return self.step(moment).view if self._finds_its_view(moment) else moment.view

    def in_view(self, moment: Moment, view: Box) -> Moment:
        """The same moment in a view of the scan, which may be its own."""
        return moment if view == moment.view else self._seen_in(moment, view)

    def reach(self, moment: Moment) -> Box:
        """Box of the scan in which points are taken: all of it where the view can be changed, else the view."""
        return ((0, 0, 0), moment.image.shape) if self.model.finds_its_view else moment.view

    def regions(self, moment: Moment) -> Tensor:
        """The supervoxels that the guide chooses from, (D, H, W); only where there are any."""
        return self._simulator.regions(moment.state)[0]

    def _finds_its_view(self, moment: Moment) -> bool:
        return self.model.finds_its_view and moment.box is None

    def _view_for(self, points: list[tuple[float, float, float]], moment: Moment, inside: bool | None) -> Box:
        """The view that shows points: one around the first click of all, or the present one, as far as they need.

        Beyond it all is background, so that clicks outside the target need none.
        """
        if not (self.model.finds_its_view and inside):  # which have sides
            return moment.view
        if moment.box is None and _is_untouched(moment) and not moment.clicks:
            spacing = np.linalg.norm(moment.image.affine[:3, :3], axis=0).tolist()
            least, most = self.model.config.click_side
            view = opening(points[0], spacing, moment.image.shape, (least * most) ** 0.5)
        else:
            view = moment.view
        return around(view, np.array(points), moment.image.shape)

    def _if_it_varies(self, moment: Moment, view: Box) -> Moment | None:
        """The same moment in another view; None where the scan is constant there."""
        try:
            return self._seen_in(moment, view)
        except SessionError:
            return None

    def _seen_in(self, moment: Moment, view: Box) -> Moment:
        """The same moment in another view: what was beyond the one before is background, or open before any step."""
        made = self.begin(moment.image, moment.box, view=view)
        old, new = moment.placement, made.placement

        def moved(values: Tensor) -> Tensor:
            return move_map(values, old, new)

        begun = bool(moment.answers) or moment.loaded is not None
        probability = moved(moment.answered.probability[0])[None] if begun else made.first.probability
        points = [click.point for click in moment.clicks]
        voxels = _voxels(points, new) if points else []
        clicks = tuple(replace(click, voxel=voxel) for click, voxel in zip(moment.clicks, voxels, strict=True))
        seen = replace(
            made,
            answered=made.first.changed(step=moment.answered.step, time=moment.answered.time, probability=probability),
            clicks=tuple(click for click in clicks if click.step <= len(moment.answers)),
        )
        answered = self._hinted(seen) if seen.clicks else seen.answered
        after = replace(
            seen,
            answered=answered,
            state=answered,
            clicks=clicks,
            answers=moment.answers,
            acted=moment.acted,
            change=None if moment.change is None else moved(moment.change),
            confidence=None if moment.confidence is None else moved(moment.confidence),
            loaded=moment.loaded,
            chosen=moment.chosen,
        )
        return replace(after, state=self._hinted(after)) if after.waiting else after

    def _masked(self, moment: Moment, mask: BoxedMask, inside: Tensor) -> Moment:
        """Every voxel as sure of a mask, on the grid (1, D, H, W) bool, as one step can make it."""
        made, *_ = self._simulator.step(moment.first, mask_action(inside, self.model.config))
        state = replace(made, step=moment.first.step, time=moment.first.time)  # the person's steps count from 1
        return replace(moment, answered=state, state=state, loaded=mask)

    def _hinted(self, moment: Moment) -> State:
        """The state with all waiting clicks in view, which become hints at once, as those of the environment's user."""
        answered, clicks = moment.answered, [click for click in moment.waiting if min(click.voxel) >= 0]
        if not clicks:
            return answered
        made = torch.tensor([[click.voxel for click in clicks]], device=self.model.device)  # (1, K, 3)
        before = replace(answered, clicks=torch.cat((answered.clicks, torch.full_like(made, -1)), dim=1))
        if answered.signs is None:
            return self._simulator.add_clicks(before, made)
        signs = torch.tensor([[1 if click.inside else -1 for click in clicks]], device=self.model.device)
        room = torch.zeros_like(signs, dtype=torch.int8)
        before = replace(before, signs=torch.cat((answered.signs, room), dim=1))
        return self._simulator.add_clicks(before, made, signs)


def _is_untouched(moment: Moment) -> bool:
    """Whether nothing has been found yet, and nothing was given to go on from."""
    return not moment.answers and moment.loaded is None


def _doubt(moment: Moment) -> float:
    """Voxels of the grid that are neither foreground nor background for sure, for each one of the mask."""
    probability = moment.state.probability[0]
    open_voxels = ((probability - 0.5).abs() < DOUBT).sum()
    return float(open_voxels / moment.state.prediction[0].sum().clamp_min(1))


def _points_by_side(clicks: Sequence[Click]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of the scan that were clicked inside and outside the target, (K, 3) each."""
    inside, outside = (np.array([c.point for c in clicks if c.inside == side]).reshape(-1, 3) for side in (True, False))
    return inside, outside


def _voxels(points: Sequence[tuple[float, float, float]], placement: Placement) -> list[Triple]:
    """The voxels of the grid that hold these points of the scan; -1s for those that lie beyond it."""
    return [(int(d), int(h), int(w)) for d, h, w in placement.voxels(np.array(points, np.float64))]


def _places(clicks: Sequence[Click], moment: Moment) -> list[Triple]:
    """The voxels that a second click in would repeat each: of the scan where the mask keeps to what was said."""
    if not clicks or clicks[0].inside is None:
        return [click.voxel for click in clicks]
    points = np.array([click.point for click in clicks])
    return [(int(x), int(y), int(z)) for x, y, z in voxels_of(points, ((0, 0, 0), moment.image.shape))]
