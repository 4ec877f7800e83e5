"""The list of objects: to choose, add, name, colour and remove them, and to save them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from mecca_agents.app.page.runner import Runner
from mecca_agents.app.page.session_commands import SessionCommands
from mecca_agents.app.tab.objects import LONGEST_NAME, LabelObject, ObjectList

_SENT = "(event) => emit(event.target.value)"  # what a field of the browser has


class ObjectsPanel:
    """A tab of the panel beside the views.

    Args:
        runner: Runs what is asked for.
        commands: Saves.
    """

    def __init__(self, runner: Runner, commands: SessionCommands) -> None:
        self.runner, self.tab, self.commands = runner, runner.tab, commands
        self._shown: ObjectList | None = None

    def build(self) -> None:
        """Make it, at this spot of the page."""
        with ui.row().classes("w-full items-center no-wrap gap-2"):
            self._add = self._button(
                "Add object", "add", lambda _: self._do("the object is begun", self.tab.add_object)
            )
            self._save = self._button("Save labels", "save", lambda _: self.commands.save_labels())
            self._save.tooltip("All objects in one NIfTI file, and their names as JSON")
            self._overwrite = ui.checkbox("overwrite")
            # of a person alone: what `refresh` sets would come back late and count as one's wish
            self._overwrite.on("update:model-value", self.runner.guarded(self._set_overwrite), [None])
            self._overwrite.props("dense size=xs").classes("text-xs").mark("overwrite")
            self._overwrite.tooltip("Where two objects claim a voxel, the later one has it, not the earlier one")
        self._rows = ui.column().classes("w-full gap-0 q-mt-xs").mark("objects")

    def refresh(self) -> None:
        """Show the objects, where they have changed."""
        there, objects = bool(self.tab.planes), self.tab.objects
        for button in (self._add, self._save):
            button.set_enabled(there and not self.runner.doing)
        if self._shown is objects:
            return
        self._shown = objects
        self._overwrite.set_value(objects.overwrite)
        self._rows.clear()
        with self._rows:
            for value, item in enumerate(objects.items, 1):
                self._row(value, item, objects)

    def _row(self, value: int, item: LabelObject, objects: ObjectList) -> None:
        chosen, key, tab = item.key == objects.chosen, item.key, self.tab
        with ui.row().classes(f"w-full items-center no-wrap gap-1 {'bg-grey-9' if chosen else ''}"):
            icon = "radio_button_checked" if chosen else "radio_button_unchecked"
            choose = ui.button(icon=icon).props(f"flat dense round size=sm aria-label='Choose object {value}'")
            choose.on("click", self.runner.guarded(lambda _: self._do("the object is opened", tab.choose_object, key)))
            ui.label(str(value)).classes("text-xs w-5 text-right")
            colour = ui.element("input").classes("w-6 h-5").props(f"type=color value={item.colour}")
            colour.props(f"aria-label='Colour of object {value}'")
            self._on_change(colour, lambda sent: self._change(lambda now: now.coloured(key, sent)))
            name = ui.element("input").classes("annotate-object grow px-1")
            name.props(f"type=text maxlength={LONGEST_NAME} aria-label='Name of object {value}'")
            name.props["value"] = item.name
            self._on_change(name, lambda sent: self._change(lambda now: now.renamed(key, sent)))
            count = "chosen" if chosen else f"{item.voxels} voxels" if item.mask is not None else "empty"
            ui.label(count).classes("text-xs opacity-80 whitespace-nowrap")
            remove = ui.button(icon="delete").props(f"flat dense round size=sm aria-label='Remove object {value}'")
            remove.set_enabled(len(objects.items) > 1)
            remove.on("click", self.runner.guarded(lambda _: self._ask_to_remove(item)))

    def _button(self, text: str, icon: str, clicked: Callable[[Any], Any]) -> Any:
        button = ui.button(text, icon=icon).props("dense no-caps outline color=grey-5 size=sm")
        button.on("click", self.runner.guarded(clicked))
        return button

    def _on_change(self, field: Any, changed: Callable[[Any], Any]) -> None:
        field.on("change", self.runner.guarded(changed), js_handler=_SENT)

    def _ask_to_remove(self, item: LabelObject) -> None:
        with self.runner.client, ui.dialog(value=True) as dialog, ui.card():
            ui.label(f"Remove {item.name}? Its mask is lost.")
            with ui.row().classes("w-full justify-end"):
                ui.button("Keep", on_click=dialog.close).props("flat no-caps")
                remove = ui.button("Remove", on_click=dialog.close).props("no-caps")
                remove.on("click", self.runner.guarded(lambda _: self._do("", self.tab.remove_object, item.key)))
        dialog.on("hide", dialog.delete)

    async def _set_overwrite(self, value: Any) -> None:
        await self._change(lambda now: now.overwriting(value))

    async def _change(self, change: Callable[[ObjectList], ObjectList]) -> None:
        """Another list for the one of now, between what else is asked for."""

        def apply() -> None:
            self.tab.objects = change(self.tab.objects)

        await self._do("", apply)

    async def _do(self, what: str, function: Callable[..., None], *arguments: Any) -> None:
        self._shown = None  # a field has what was typed: where that is refused, it gets its own again
        await self.runner.do(what, function, *arguments)
