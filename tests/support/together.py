"""MECCA in several processes, one of which is killed in the middle of its third update, the first time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from mecca_agents.agent import Learned, Observation
from mecca_agents.algorithms.mecca import Mecca
from mecca_env.vector_env import MeccaVectorEnv


class Dying(Mecca):
    """Rank 1 dies where TOGETHER_ONCE names a file that is not there yet."""

    def learn(self, envs: MeccaVectorEnv, observation: Observation, progress: float) -> Learned:
        once = os.environ.get("TOGETHER_ONCE")
        if progress >= 0.5 and os.environ.get("RANK") == "1" and once and not Path(once).exists():
            Path(once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().learn(envs, observation, progress)
