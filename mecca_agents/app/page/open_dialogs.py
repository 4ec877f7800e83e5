"""Dialogs that open scans, labels and logs: from the folder given at the start, or sent by the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nicegui import ui

from mecca_agents.app.page.browser_input import read_words
from mecca_agents.app.page.elements import Picker
from mecca_agents.app.page.runner import Runner
from mecca_agents.app.tab.folder import Listing
from mecca_agents.app.tab.uploads import ENDINGS, MOST_FILES
from mecca_agents.session import MOST_VOXELS, SessionError
from mecca_env.data.inventory import SUFFIXES

Use = Callable[[Sequence[Path], Sequence[str]], None]


class OpenDialogs:
    """The dialogs of a page.

    Args:
        runner: Runs what opens them.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner, self.tab = runner, runner.tab

    def scan(self) -> None:
        """Open a scan."""
        count = self.tab.session.model.modalities
        images = "A scan" if count == 1 else f"{count} images, one for each modality, in the order of the training"
        size = f"up to {MOST_VOXELS // 10**6} million voxels and {self.tab.uploads.most_bytes >> 20} MiB"
        about = f"{images}: {', '.join(SUFFIXES)}; {size}. What was open is closed."
        _FileDialog(self.runner, "Open a scan", about, (), count, self._open_scan, "the scan is opened")

    def label(self) -> None:
        """Open a label to review with."""
        about = "A label on the scan's own grid; what is above 0 is foreground. Masks are compared with it."
        _FileDialog(self.runner, "Review with a label", about, (), 1, self._open_label, "the label is opened")

    def mask(self) -> None:
        """Open a mask to go on from."""
        about = (
            "A saved mask on the scan's own grid. The next step goes on from it, without the clicks that made it: "
            "to go on exactly where you stopped, load the session. Undo brings back what was there."
        )
        _FileDialog(self.runner, "Load a mask", about, (), 1, self._open_mask, "the mask is opened")

    def log(self) -> None:
        """Open the log of a session."""
        about = "A session log (.json) of the scan that is open: everything in it is done again."
        _FileDialog(self.runner, "Load a session", about, (".json",), 1, self._open_log, "the session is played again")

    def _open_scan(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.tab.open_scan(paths, names)

    def _open_label(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.tab.open_label(paths[0], names[0])

    def _open_mask(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.tab.open_mask(paths[0], names[0])

    def _open_log(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.tab.open_log(paths[0], names[0])


class _FileDialog:
    """One dialog; it is thrown away when it is closed.

    Args:
        runner: Runs what opens them.
        title: Its purpose.
        about: The files that are expected.
        endings: Of the files; none: images.
        count: Number of files that are needed.
        use: Called with them, in another thread.
        doing: That, in words.
    """

    def __init__(
        self, runner: Runner, title: str, about: str, endings: tuple[str, ...], count: int, use: Use, doing: str
    ) -> None:
        self._runner, self._endings, self._count = runner, endings, count
        self._use, self._doing = use, doing
        self._chosen: list[str] = []
        with ui.dialog() as self._dialog, ui.card().classes("w-[640px] max-w-full gap-2"):
            self._dialog.on("hide", self._dialog.delete)
            ui.label(title).classes("text-lg")
            ui.label(about).classes("text-sm opacity-80")
            with ui.row().classes("items-center w-full"):
                accept = ",".join(endings or (*ENDINGS, ".gz"))
                Picker(runner.tab, "From this computer", accept, self._sent, runner.say_for_browser, multiple=count > 1)
                ui.space()
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
            ui.separator()
            self._path = ui.input("Path below the folder of the server").classes("w-full").props("dense clearable")
            self._path.on("keydown.enter", lambda: self._choose(str(self._path.value or "")))
            self._list = ui.column().classes("w-full gap-0 h-56 overflow-auto no-wrap")
        self._show("")
        self._dialog.open()

    def _show(self, path: str) -> None:
        try:
            listing = self._runner.tab.folder.listing(path, self._endings)
        except SessionError as error:
            self._runner.say(str(error), "negative")
            return
        self._list.clear()
        with self._list:
            root = self._runner.tab.folder.root.name or "/"
            ui.label(f"{root}/{listing.path}").classes("text-xs opacity-70 q-px-sm")
            self._entries(listing)

    def _entries(self, listing: Listing) -> None:
        below = f"{listing.path}/" if listing.path else ""
        if listing.path:
            self._entry("arrow_upward", "..", lambda: self._show(listing.path.rpartition("/")[0]))
        for name in listing.folders:
            self._entry("folder", name, lambda name=name: self._show(below + name))  # type: ignore[misc]
        for name in listing.files:
            chosen = "check" if below + name in self._chosen else "description"
            self._entry(chosen, name, lambda name=name: self._choose(below + name))  # type: ignore[misc]
        if not listing.folders and not listing.files:
            ui.label("Nothing to open here.").classes("text-sm opacity-70 q-pa-sm")

    def _entry(self, icon: str, name: str, chosen: Callable[[], Any]) -> None:
        button = ui.button(name, icon=icon, on_click=chosen)
        button.props("flat dense no-caps align=left").classes("w-full")

    async def _choose(self, name: str) -> None:
        """Take a file of the folder; with the last one that is needed, open them."""
        if name in self._chosen:
            self._chosen.remove(name)
        elif name:
            self._chosen.append(name)
        if len(self._chosen) < self._count:
            self._show(name.rpartition("/")[0] if name else "")
            return
        names, self._chosen = self._chosen, []
        try:
            paths = [self._runner.tab.folder.file(name) for name in names]
        except SessionError as error:
            self._runner.say(str(error), "negative")
            return
        await self._open(paths, [path.name for path in paths])

    async def _sent(self, keys: Any) -> None:
        """Open what the browser has sent, and delete it: an open scan needs its files no more."""
        try:
            uploads = [self._runner.tab.uploads.take(key) for key in read_words(keys, MOST_FILES)]
        except SessionError as error:
            self._runner.say(str(error), "negative")
            return
        try:
            await self._open([upload.path for upload in uploads], [upload.name for upload in uploads])
        finally:
            for upload in uploads:
                self._runner.tab.uploads.discard(upload)

    async def _open(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self._dialog.close()
        await self._runner.do(self._doing, self._use, paths, names)
