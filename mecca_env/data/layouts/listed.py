"""Layouts with `imagesTr/`, `labelsTr/` and a `dataset.json`: the Medical Segmentation Decathlon, and nnU-Net."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path, PureWindowsPath
from typing import Any

from mecca_env.data.base import DataError
from mecca_env.data.inventory import SUFFIXES, CaseFiles, Inventory, one_of, shortened, stem, visible_files

_CHANNEL = re.compile(r"(.+)_(\d{4})")


def decathlon(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`dataset.json`, whose "training" lists the cases; `imagesTr/` and `labelsTr/`.

    Pairs that `dataset.json` does not list are not part of the data set, and a note says so.
    """
    content = _dataset_json(root)
    inventory = Inventory(modalities=len(_channels(root, content)))
    listed: set[Path] = set()
    for entry in _training(root, content):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(part), str) for part in ("image", "label")):
            raise DataError(
                f'{root / "dataset.json"}: expected entries of "training" with "image" and "label", found {entry!r}'
            )
        image, label = (_listed(root, entry[part]) for part in ("image", "label"))
        if image.name.startswith("._"):  # which macOS leaves beside each file, and some lists name
            continue
        listed.update((image.resolve(), label.resolve()))
        _add_listed(root, stem(image) or image.name, [image], label, inventory)
    _report_unlisted(root / "imagesTr", root / "labelsTr", listed, inventory)
    return inventory


def is_decathlon(root: Path) -> bool:
    """Whether there is a list, or a folder of images called as in the Decathlon."""
    return (root / "dataset.json").is_file() or (root / "imagesTr").is_dir()


def nnunet(root: Path, modalities: tuple[str, ...]) -> Inventory:
    """`imagesTr/<case>_0000.nii.gz`, a file for each channel, and `labelsTr/<case>.nii.gz`.

    Of `dataset.json` count "channel_names" ("modality" in the first version) and "labels": a label called "ignore" is
    no foreground. Where "dataset" lists the files, they are taken from there.
    """
    path = root / "dataset.json"
    content = _dataset_json(root) if path.is_file() else {}
    ending = content.get("file_ending", SUFFIXES[0])
    if ending not in SUFFIXES:
        raise DataError(f'{path}: expected a "file_ending" of {one_of(SUFFIXES)}, found {ending!r}; convert the images')
    inventory = Inventory(labels=_without_ignored(content.get("labels")))
    if isinstance(content.get("dataset"), dict):
        return _nnunet_listed(root, content, inventory)
    images, labels = (inventory.images_in(root / kind) for kind in ("imagesTr", "labelsTr"))
    by_case: dict[str, dict[int, Path]] = {}
    for name, image in images.items():
        match = _CHANNEL.fullmatch(name)
        if match is None:
            inventory.faults.append(f"{image}: expected a name that ends in the channel, {name}_0000, found {name}")
        else:
            by_case.setdefault(match[1], {})[int(match[2])] = image
    most = max((channel for channels in by_case.values() for channel in channels), default=0) + 1
    inventory.modalities = len(_channels(root, content)) if content else most
    for name in sorted(by_case.keys() | labels.keys()):
        _add_channels(root, name, by_case.get(name, {}), labels.get(name), inventory)
    _check_against_list(root, content, by_case.keys() | labels.keys(), inventory)
    return inventory


def is_nnunet(root: Path) -> bool:
    """Whether channels are files of their own, by the list or by the names of images and labels."""
    path = root / "dataset.json"
    if path.is_file() and "channel_names" in _dataset_json(root):
        return True
    labels = {stem(f) for f in visible_files(root / "labelsTr")}
    matches = (_CHANNEL.fullmatch(stem(f) or "") for f in visible_files(root / "imagesTr"))
    return any(match is not None and match[1] in labels for match in matches)


def _add_channels(
    root: Path, name: str, channels: Mapping[int, Path], label: Path | None, inventory: Inventory
) -> None:
    if not channels:
        inventory.pair(name, None, label)
        return
    wanted = [root / "imagesTr" / f"{name}_{channel:04d}.nii.gz" for channel in range(inventory.modalities)]
    for channel in sorted(channels.keys() - set(range(inventory.modalities))):
        count = inventory.modalities
        inventory.faults.append(f"{channels[channel]}: expected channels 0 to {count - 1}, found {channel}")
    images = [
        inventory.only([channels[channel]] if channel in channels else [], path, "missing image")
        for channel, path in enumerate(wanted)
    ]
    if label is None:
        inventory.pair(name, next(iter(channels.values())), None)
    inventory.add(name, images, label)


def _nnunet_listed(root: Path, content: Mapping[str, Any], inventory: Inventory) -> Inventory:
    inventory.modalities = len(_channels(root, content))
    for name, entry in content["dataset"].items():
        images, label = (entry.get("images"), entry.get("label")) if isinstance(entry, dict) else (None, None)
        names = images if isinstance(images, list) else []
        if not isinstance(label, str) or not names or not all(isinstance(image, str) for image in names):
            raise DataError(
                f'{root / "dataset.json"}: expected entries of "dataset" with "images" and "label", found {entry!r}'
            )
        _add_listed(root, str(name), [_listed(root, image) for image in names], _listed(root, label), inventory)
    return inventory


def _add_listed(root: Path, name: str, images: list[Path], label: Path, inventory: Inventory) -> None:
    missing = [p for p in (*images, label) if not p.is_file()]
    inventory.faults.extend(f"{p}: listed in {root / 'dataset.json'}, expected a file, found none" for p in missing)
    if not missing:
        inventory.cases.append(CaseFiles(name, tuple(images), label))


def _listed(root: Path, text: str) -> Path:
    r"""The path that a list names; Windows writes `.\imagesTr\a.nii.gz`."""
    path = root / text
    return path if path.exists() or "\\" not in text else root / PureWindowsPath(text).as_posix()


def _report_unlisted(images: Path, labels: Path, listed: set[Path], inventory: Inventory) -> None:
    """What lies in the folders and not in the list: half a pair is a fault, a whole one a note."""
    unlisted: list[str] = []
    for here, there, kind in ((images, labels, "image without label"), (labels, images, "label without image")):
        partners = {stem(f) for f in visible_files(there)}
        for path in visible_files(here):
            if stem(path) is None or path.resolve() in listed:
                continue
            if stem(path) not in partners:
                inventory.faults.append(f"{path}: {kind}; expected {there / path.name}, found none")
            elif here == images:
                unlisted.append(path.name)
    if unlisted:
        inventory.notes.append(f"{images}: not listed in dataset.json, so left aside: {shortened(unlisted)}")


def _dataset_json(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    if not path.is_file():
        raise DataError(f"{path}: expected the list of the data set's cases, found no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, found {error}") from error
    return content if isinstance(content, dict) else {}


def _training(root: Path, content: Mapping[str, Any]) -> list[Any]:
    """The entries of the list of cases. Raises `DataError`."""
    training = content.get("training")
    if not isinstance(training, list):
        raise DataError(f'{root / "dataset.json"}: expected a list "training", found {training!r}')
    return training


def _channels(root: Path, content: Mapping[str, Any]) -> dict[str, Any] | list[Any]:
    """The entries of the channels. Raises `DataError`."""
    channels = content.get("channel_names", content.get("modality"))
    if not isinstance(channels, dict | list) or not channels:
        path = root / "dataset.json"
        raise DataError(
            f'{path}: expected a "modality" or "channel_names" with one entry per channel, found {channels!r}'
        )
    return channels


def _without_ignored(labels: Any) -> tuple[int, ...] | None:
    """The foreground values where one label is "ignore": all others above 0. None where none is."""
    if not isinstance(labels, dict) or not isinstance(labels.get("ignore"), int):
        return None
    values = {v for value in labels.values() for v in (value if isinstance(value, Iterable) else (value,))}
    return tuple(sorted(v for v in values if isinstance(v, int) and 0 < v != labels["ignore"])) or None


def _check_against_list(root: Path, content: Mapping[str, Any], found: Set[str], inventory: Inventory) -> None:
    """Whether there are as many cases as the list says, and all that the first version's list names."""
    path, number = root / "dataset.json", content.get("numTraining", len(found))
    for entry in _training(root, {"training": [], **content}):
        label = _listed(root, str(entry["label"])) if isinstance(entry, dict) and "label" in entry else None
        if label is not None and stem(label) not in found:
            inventory.faults.append(f"{label}: listed in {path}, expected images and a label, found none")
    if number != len(found):
        inventory.faults.append(f'{path}: expected as many cases as "numTraining" says, {number}, found {len(found)}')
