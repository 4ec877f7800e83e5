"""Small volumes, written to disk in each published layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from mecca_env.data.base import PreparedCase, Scan
from mecca_env.data.grid.cutting import prepare

AFFINE = np.array([[-1.5, 0, 0, 40], [0, 1.25, 0, -30], [0, 0, 3, 7], [0, 0, 0, 1]], float)
SHAPE = (24, 22, 16)


def ellipsoid(shape: Sequence[int] = SHAPE, radii: Sequence[float] = (6, 5, 4)) -> NDArray[np.bool_]:
    """A filled ellipsoid in the middle of the volume, touching no side."""
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    inside: NDArray[np.bool_] = sum((a / r) ** 2 for a, r in zip(axes, radii, strict=True)) <= 1
    return inside


def intensities(label: NDArray[Any], seed: int = 0) -> NDArray[np.int16]:
    """Noise with a brighter target."""
    noise = np.random.default_rng(seed).normal(100, 10, label.shape)
    return (noise + 40 * (label > 0)).astype(np.int16)


def scan_of(label: NDArray[np.bool_], channels: int = 1, name: str = "case") -> Scan:
    """A scan around a label, in memory."""
    image = np.stack([intensities(label, seed) for seed in range(channels)]).astype(np.float32)
    return Scan(name, image, label, AFFINE)


def prepared(label: NDArray[np.bool_], channels: int = 1, **settings: Any) -> PreparedCase:
    """The same, prepared with the settings of the paper unless told otherwise."""
    return prepare(
        scan_of(label, channels), **{"extension": (1, 11), "rotation": 15.0, "evaluation_extension": 6, **settings}
    )


def write_nifti(path: Path, data: NDArray[Any], affine: NDArray[Any] = AFFINE) -> Path:
    """Write one NIfTI file, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


def write_mha(path: Path, data: NDArray[Any], affine: NDArray[Any] = AFFINE, compressed: bool = False) -> Path:
    """Write one .mha or .nrrd file so that it lies where the NIfTI file of the same data and affine lies."""
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(np.swapaxes(data, 0, 2))
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    SimpleITK.WriteImage(image, str(path), compressed)
    return path


def write_npz(root: Path, names: Sequence[str] = ("a", "b", "c"), classes: NDArray[Any] | None = None) -> Path:
    """`<case>.npz` as the CVPR 2025 challenge has them: arrays (D, H, W), the spacing (x, y, z)."""
    numbers = ellipsoid().astype(np.uint8) if classes is None else classes
    root.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        image = intensities(numbers, seed).astype(np.uint8)
        np.savez_compressed(root / f"{name}.npz", imgs=image.T, gts=numbers.T, spacing=(1.5, 1.25, 3.0))
    return root


def write_pair(image: Path, label: Path, seed: int = 0, value: int = 1) -> None:
    """Write an image and its label as NIfTI."""
    mask = ellipsoid()
    write_nifti(image, intensities(mask, seed))
    write_nifti(label, mask.astype(np.uint16) * value)


def write_pairs(root: Path, names: Sequence[str] = ("a", "b", "c"), suffix: str = ".nii.gz") -> Path:
    """`images/` and `labels/`."""
    for seed, name in enumerate(names):
        write_pair(root / "images" / f"{name}{suffix}", root / "labels" / f"{name}{suffix}", seed)
    return root


def write_decathlon(
    root: Path,
    names: Sequence[str] = ("a", "b", "c"),
    channels: int = 1,
    label: NDArray[np.bool_] | None = None,
) -> Path:
    """`dataset.json`, `imagesTr/` and `labelsTr/`."""
    mask = ellipsoid() if label is None else label
    for seed, name in enumerate(names):
        layers = [intensities(mask, seed * channels + c) for c in range(channels)]
        write_nifti(root / "imagesTr" / f"{name}.nii.gz", layers[0] if channels == 1 else np.stack(layers, -1))
        write_nifti(root / "labelsTr" / f"{name}.nii.gz", mask.astype(np.uint8))
    training = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    modality = {str(c): "MRI" for c in range(channels)}
    (root / "dataset.json").write_text(json.dumps({"modality": modality, "training": training}))
    return root


def write_nnunet(
    root: Path, names: Sequence[str] = ("a", "b", "c"), channels: int = 1, suffix: str = ".nii.gz", **content: Any
) -> Path:
    """`imagesTr/a_0000.nii.gz`, `labelsTr/a.nii.gz` and the second version's `dataset.json`."""
    for seed, name in enumerate(names):
        for channel in range(channels):
            image = root / "imagesTr" / f"{name}_{channel:04d}{suffix}"
            write_pair(image, root / "labelsTr" / f"{name}{suffix}", seed * channels + channel)
    own = {
        "channel_names": {str(c): "T2" for c in range(channels)},
        "labels": {"background": 0, "spleen": 1},
        "numTraining": len(names),
        "file_ending": suffix,
    }
    (root / "dataset.json").write_text(json.dumps({**own, **content}))
    return root


def write_brats2023(root: Path, names: Sequence[str] = ("BraTS-GLI-00000-000", "BraTS-GLI-00002-000")) -> Path:
    """`<case>/<case>-t2f.nii.gz` with all four images."""
    for name in names:
        for seed, part in enumerate(("t2f", "t1n", "t1c", "t2w")):
            write_pair(root / name / f"{name}-{part}.nii.gz", root / name / f"{name}-seg.nii.gz", seed, value=3)
    return root


def write_atria2018(root: Path, names: Sequence[str] = ("08FSU8RRYV", "0RZDK210BS")) -> Path:
    """`<case>/lgemri.nrrd` and `<case>/laendo.nrrd`, whose foreground is 255."""
    mask = ellipsoid()
    for seed, name in enumerate(names):
        write_mha(root / name / "lgemri.nrrd", intensities(mask, seed), compressed=True)
        write_mha(root / name / "laendo.nrrd", mask.astype(np.uint8) * 255, compressed=True)
    return root


def write_brats2020(root: Path, numbers: Sequence[int] = (1, 2), suffix: str = ".nii.gz") -> Path:
    """`<case>/<case>_flair.nii.gz` with all four images."""
    for number in numbers:
        name = f"BraTS20_Training_{number:03d}"
        for seed, part in enumerate(("flair", "t1", "t1ce", "t2")):
            write_pair(root / name / f"{name}_{part}{suffix}", root / name / f"{name}_seg{suffix}", seed, value=4)
    return root


def write_brats2015(
    root: Path, cases: Sequence[str] = ("HGG/pat1", "LGG/pat1"), label: str = "VSD.Brain_3more"
) -> Path:
    """`<case>/VSD.Brain.XX.O.MR_Flair.<n>/*.mha` with all four images."""
    mask = ellipsoid()
    for number, case in enumerate(cases):
        for seed, part in enumerate(("Flair", "T1", "T1c", "T2")):
            stem = f"VSD.Brain.XX.O.MR_{part}.{54500 + 10 * number + seed}"
            write_mha(root / case / stem / f"{stem}.mha", intensities(mask, seed))
        stem = f"{label}.XX.O.OT.{54519 + number}"
        write_mha(root / case / stem / f"{stem}.mha", mask.astype(np.uint8) * 3)
    return root


def write_mmwhs(root: Path, numbers: Sequence[int] = (1001, 1002), subfolders: bool = True) -> Path:
    """`mr_train/mr_train_1001_image.nii.gz`, ct_ likewise; left atrium 420 beside another structure."""
    for kind in ("mr", "ct"):
        folder = root / f"{kind}_train" if subfolders else root
        for number in numbers:
            stem = folder / f"{kind}_train_{number}"
            image, label = Path(f"{stem}_image.nii.gz"), Path(f"{stem}_label.nii.gz")
            write_pair(image, label, number, value=420)
            values = (ellipsoid() * 420).astype(np.uint16)
            values[:3, :3, :3] = 500
            write_nifti(label, values)
    return root


ORGANS: dict[int, tuple[slice, slice, slice]] = {
    1: (slice(3, 9), slice(4, 9), slice(2, 7)),
    2: (slice(12, 16), slice(5, 9), slice(3, 6)),
    4: (slice(14, 20), slice(13, 18), slice(8, 13)),
}
"""Boxes of three label values, apart from each other."""


def organs(values: Sequence[int] = tuple(ORGANS)) -> NDArray[np.uint8]:
    """A label map of several values, each in its box of `ORGANS`."""
    numbers = np.zeros(SHAPE, np.uint8)
    for value in values:
        numbers[ORGANS[value]] = value
    return numbers


def write_organs(root: Path, scans: dict[str, Sequence[int]] | Sequence[str] = ("a", "b", "c")) -> Path:
    """`images/` and `labels/` of scans with these values of `ORGANS`, all of them where only names are given."""
    of_scan = scans if isinstance(scans, dict) else dict.fromkeys(scans, tuple(ORGANS))
    for seed, (name, values) in enumerate(of_scan.items()):
        write_nifti(root / "images" / f"{name}.nii.gz", intensities(organs(values), seed))
        write_nifti(root / "labels" / f"{name}.nii.gz", organs(values))
    return root
