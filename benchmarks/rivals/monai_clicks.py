"""MONAI's simulated clicks on one case: the click transforms of Deepgrow and of DeepEdit.

They do less than an env step: a click and its guidance map, without dynamics, reward or metrics. A Deepgrow call makes
one click; a DeepEdit call makes a round of them, of a number that it draws itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from monai.apps.deepedit.transforms import (
    AddGuidanceSignalDeepEditd,
    AddRandomGuidanceDeepEditd,
    FindDiscrepancyRegionsDeepEditd,
)
from monai.apps.deepgrow.transforms import AddGuidanceSignald, AddRandomGuidanced, FindDiscrepancyRegionsd
from numpy.typing import NDArray

Channel = NDArray[np.float32]  # (1, D, H, W), as MONAI wants its arrays


class DeepgrowClicks:
    """Deepgrow's `FindDiscrepancyRegionsd`, `AddRandomGuidanced` and `AddGuidanceSignald`.

    Args:
        sigma: Of the guidance map's Gaussian, voxels.
        seed: Of the clicks.
    """

    def __init__(self, sigma: float = 2.0, seed: int = 0) -> None:
        self._discrepancy = FindDiscrepancyRegionsd(label="label", pred="pred", discrepancy="discrepancy")
        self._click = AddRandomGuidanced(guidance="guidance", discrepancy="discrepancy", probability="probability")
        self._click.set_random_state(seed)
        self._signal = AddGuidanceSignald(image="image", guidance="guidance", sigma=sigma, number_intensity_ch=1)

    def __call__(self, image: Channel, label: Channel, prediction: Channel, clicks: int) -> dict[str, Any]:
        """Make `clicks` clicks: the discrepancy and the guidance map are worked out once, a click is drawn each time.

        That is less than Deepgrow's own loop does, where everything is done anew for each click.
        """
        data: dict[str, Any] = {"image": image, "label": label, "pred": prediction}
        data |= {"guidance": "[[], []]", "probability": 1.0}
        data = self._discrepancy(data)
        for _ in range(clicks):
            data = self._click(data)
        return dict(self._signal(data))


class DeepEditClicks:
    """DeepEdit's `FindDiscrepancyRegionsDeepEditd`, `AddRandomGuidanceDeepEditd` and `AddGuidanceSignalDeepEditd`.

    Args:
        sigma: Of the guidance map's Gaussian, voxels.
        seed: Of the clicks' places; how many labels are clicked comes from Python's global generator.
    """

    def __init__(self, sigma: float = 2.0, seed: int = 0) -> None:
        self._discrepancy = FindDiscrepancyRegionsDeepEditd(keys="label", pred="pred", discrepancy="discrepancy")
        self._click = AddRandomGuidanceDeepEditd(
            keys="NA", guidance="guidance", discrepancy="discrepancy", probability="probability"
        )
        self._click.set_random_state(seed)
        self._signal = AddGuidanceSignalDeepEditd(keys="image", guidance="guidance", sigma=sigma, number_intensity_ch=1)

    def __call__(self, image: Channel, label: Channel, prediction: Channel) -> dict[str, Any]:
        """One round of clicks."""
        names = {"tumour": 1, "background": 0}
        data: dict[str, Any] = {"image": image, "label": label, "pred": prediction, "label_names": names}
        data |= {"guidance": {name: [] for name in names}, "probability": 1.0}
        return dict(self._signal(self._click(self._discrepancy(data))))


def channel(array: NDArray[Any]) -> Channel:
    """(D, H, W) of any type as MONAI's (1, D, H, W) float32."""
    return np.ascontiguousarray(array[None], dtype=np.float32)
