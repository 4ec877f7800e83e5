"""Forms made of other forms: walls, what walls enclose, several parts, halves of twins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import Self

from mecca_env.data.procedural.noise import Grid, Point
from mecca_env.data.shapes.drawing import dot
from mecca_env.data.shapes.forms import Form


@dataclass(frozen=True)
class Changed:
    """A part of a form, where that lies; subclasses say how deep it is.

    Attributes:
        form: The form.
    """

    form: Form

    @property
    def centre(self) -> Point:
        """See `Form`."""
        return self.form.centre

    @property
    def reach(self) -> Point:
        """See `Form`."""
        return self.form.reach

    def moved(self, step: Point) -> Self:
        """See `Form`."""
        return replace(self, form=self.form.moved(step))


@dataclass(frozen=True)
class Inside(Changed):
    """What lies deeper than `by` mm in a form.

    Attributes:
        form: The form.
        by: How much is left out, mm.
    """

    by: float

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        return self.form.depth(grid).sub_(self.by)


@dataclass(frozen=True)
class Wall(Changed):
    """The outermost layer of a form, open on one side.

    Attributes:
        form: The form.
        thickness: Of the layer, mm.
        opening: Towards where it is open, a unit vector.
        open_from: How far from the centre the opening begins, mm; beyond the form's reach there is none.
    """

    thickness: float
    opening: Point
    open_from: float

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        half = self.thickness / 2
        wall = self.form.depth(grid).sub_(half).abs_().neg_().add_(half)
        x, y, z = grid.coordinates()
        rest = self.open_from + dot(self.centre, self.opening)
        cap = (x * -self.opening.x + y * -self.opening.y) + (z * -self.opening.z + rest)
        return torch.minimum(wall, cap)


@dataclass(frozen=True)
class Union:
    """Several forms that count as one.

    Attributes:
        forms: At least one.
    """

    forms: tuple[Form, ...]

    @property
    def centre(self) -> Point:
        """See `Form`."""
        return Point(*((low + high) / 2 for low, high in self._ends()))

    @property
    def reach(self) -> Point:
        """See `Form`."""
        return Point(*((high - low) / 2 for low, high in self._ends()))

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        first, *others = self.forms
        depth = first.depth(grid)
        for other in others:
            depth = torch.maximum(depth, other.depth(grid))
        return depth

    def _ends(self) -> list[tuple[float, float]]:
        return [
            (
                min(form.centre[axis] - form.reach[axis] for form in self.forms),
                max(form.centre[axis] + form.reach[axis] for form in self.forms),
            )
            for axis in range(3)
        ]

    def moved(self, step: Point) -> Union:
        """See `Form`."""
        return replace(self, forms=tuple(form.moved(step) for form in self.forms))


@dataclass(frozen=True)
class Half(Changed):
    """A form where it is deeper than another one: two twins share the border between them.

    Attributes:
        form: The form.
        twin: The other one.
    """

    twin: Form

    def depth(self, grid: Grid) -> Tensor:
        """See `Form`."""
        depth = self.form.depth(grid)
        return torch.minimum(depth, (depth - self.twin.depth(grid)).mul_(0.5))

    def moved(self, step: Point) -> Half:
        """See `Form`."""
        return replace(self, form=self.form.moved(step), twin=self.twin.moved(step))
