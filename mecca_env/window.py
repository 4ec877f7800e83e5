"""The desktop window of `render_mode="human"`, and what is said where there is no mode at all."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray


class Window:
    """A desktop window for `render_mode="human"`, drawn with matplotlib; without a display it warns once.

    A user who closes the window ends the show, not the program: later frames are ignored.

    Attributes:
        title: The window's title.
        fps: Frames per second: `show` waits 1 / fps seconds.
    """

    def __init__(self, title: str = "mecca_env", fps: float = 4.0) -> None:
        if not fps > 0:
            raise ValueError(f"fps: expected a number above 0, got {fps!r}")
        self.title, self.fps = title, fps
        self._figure: Any = None
        self._image: Any = None
        self._headless = False

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show (height, width, 3) uint8 in place of the last frame; later frames have the same shape."""
        if self._figure is None and not self._headless:
            self._open(frame)
        if self._headless:
            return
        # Late, because importing pyplot takes long and picks a backend.
        import matplotlib.pyplot as plt

        if plt.fignum_exists(self._figure.number):
            self._image.set_data(frame)
            self._figure.canvas.draw_idle()
            plt.pause(1 / self.fps)

    def close(self) -> None:
        """Close the window; closing twice does nothing."""
        if self._figure is not None:
            import matplotlib.pyplot as plt

            plt.close(self._figure)
        self._figure = self._image = None

    def _open(self, frame: NDArray[np.uint8]) -> None:
        import matplotlib.pyplot as plt

        height, width = frame.shape[:2]
        try:
            figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
        except Exception as error:  # each toolkit has an exception of its own for a display that is not there
            return self._give_up(str(error))
        if figure.canvas.required_interactive_framework is None:
            plt.close(figure)
            return self._give_up(f"matplotlib's backend is {plt.get_backend()!r}")
        plt.ion()
        if figure.canvas.manager is not None:
            figure.canvas.manager.set_window_title(self.title)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        self._image, self._figure = axes.imshow(frame), figure

    def _give_up(self, reason: str) -> None:
        self._headless = True
        warnings.warn(f"no window can be shown ({reason}); use render_mode='rgb_array'", stacklevel=4)


def warn_of_no_mode(spec: EnvSpec | None) -> None:
    """Warn that a render method was called without a mode, in the words of Gymnasium's own envs."""
    made = f'gym.make("{"MECCA-Phantom-v0" if spec is None else spec.id}", render_mode="rgb_array")'
    gym.logger.warn(
        "You are calling render method without specifying any render mode. "
        f"You can specify the render_mode at initialization, e.g. {made}"
    )
