"""All pages that are open, each by a name that only its own browser knows."""

from __future__ import annotations

import threading

from mecca_agents.app.tab.folder import Folder
from mecca_agents.app.tab.tab import Tab
from mecca_agents.online.live import ProjectLearner
from mecca_agents.session import Model, SessionError


class Tabs:
    """Opens and closes tabs; they share one model.

    Args:
        model: The trained method.
        folder: Where pages may open files.
        most_bytes: Of uploads, for each page.
        most: Pages at a time.
        tolerance: Millimetres that files of a scan may lie apart; None: next to nothing.
        learner: Of the project that they accept masks into; None: there is no project.
    """

    def __init__(
        self,
        model: Model,
        folder: Folder,
        most_bytes: int,
        most: int,
        tolerance: float | None = None,
        learner: ProjectLearner | None = None,
    ) -> None:
        self.model, self.folder, self.tolerance, self.learner = model, folder, tolerance, learner
        self.most_bytes, self.most = most_bytes, most
        self._open: dict[str, Tab] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of open ones."""
        return len(self._open)

    def add(self) -> Tab:
        """A new one; where there are too many, the oldest one that no browser shows any more makes room.

        Raises:
            SessionError: All of them are in use.
        """
        with self._lock:
            if len(self._open) >= self.most:
                left = next((tab for tab in self._open.values() if not tab.connected), None)
                if left is None:
                    raise SessionError(f"page: expected at most {self.most} at a time, got one more; close one first")
                self._close(left)
            model = self.model if self.learner is None else self.learner.model
            tab = Tab(model, self.folder, self.most_bytes, self.tolerance, self.learner)
            self._open[tab.key] = tab
            return tab

    def find(self, key: str) -> Tab:
        """The one of that name. Raises `SessionError`."""
        found = self._open.get(key)
        if found is None:
            raise SessionError("page: expected one that is open, got none of this name; load the page anew")
        return found

    def remove(self, tab: Tab) -> None:
        """Close one; closing twice does nothing."""
        with self._lock:
            self._close(tab)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for tab in list(self._open.values()):
                self._close(tab)

    def _close(self, tab: Tab) -> None:
        self._open.pop(tab.key, None)
        tab.close()
