"""mecca record: what an agent plays with a simulated user, or has played with people, becomes a Minari data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from mecca_agents.offline.record import record
from mecca_agents.tables import plural

if TYPE_CHECKING:
    from mecca_agents.agent import Agent
    from mecca_env.vector_env import MeccaVectorEnv


@dataclass(frozen=True)
class Record:
    """Write episodes as a Minari data set: an agent's with a simulated user, or people's, from their sessions' logs.

    It lies under $MINARI_DATASETS_PATH, or ~/.minari/datasets, and is opened with minari.load_dataset(ID). Needs
    pip install -e ".[offline]".

    Attributes:
        player: A run's folder or the name of one that comes with the package (general, hippocampus, phantom), or a
            method that needs no training: random, oracle, module:class of your own.
        dataset: Minari id of the data set: namespace/name-v0.
        sessions: Logs that mecca annotate has saved with this run: nobody plays, each becomes an episode. Their scans
            are looked for beside them, or in --root.
        env: Environment id; a run knows its own.
        root: Folder of the data set of scans; by default that of the run, or looked for under $MECCA_DATA.
        label: Label values that are foreground, or each, for every value as a case; a run knows its own.
        shape: Grid of the episodes; a run knows its own, by default 55 55 30.
        checkpoint: Of a run: last, or best.
        episodes: How many; each of the next case, from the first again after the last.
        split: train, with random crops, flips and rotations, or test or all.
        cases: Only so many of the split's cases.
        seed: Of the first episode; the following ones have the following seeds.
        device: auto, cpu or cuda.
        overwrite: Replace a data set of this id.
    """

    player: Annotated[Positional[str], arg(metavar="RUN|METHOD")]
    dataset: Annotated[str, arg(metavar="ID")]
    sessions: Annotated[tuple[Path, ...], arg(metavar="LOG...", help_behavior_hint="")] = ()
    env: Annotated[str | None, arg(metavar="ID", help_behavior_hint="")] = None
    root: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    label: Annotated[tuple[int, ...] | Literal["each"] | None, arg(metavar="each|N...", help_behavior_hint="")] = None
    shape: Annotated[tuple[int, int, int] | None, arg(metavar="D H W", help_behavior_hint="")] = None
    checkpoint: str = "last"
    episodes: int = 100
    split: str = "train"
    cases: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    seed: int = 0
    device: str = "auto"
    overwrite: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False

    def run(self) -> int:
        """Do it; the exit code."""
        from mecca_agents.offline.minari_writer import import_minari
        from mecca_agents.runs.config import is_run

        import_minari()  # before anything else is done
        if self.sessions:
            path, what = self._people(), plural(len(self.sessions), "session")
        else:
            agent, envs, algorithm = self._run() if is_run(self._folder()) else self._method()
            path, what = self._play(agent, envs, algorithm), plural(self.episodes, "episode")
        size = sum(file.stat().st_size for file in path.rglob("*")) / 1e6
        print(f'{path}: {what}, {size:.1f} MB; next: minari.load_dataset("{self.dataset}")')
        return 0

    def _play(self, agent: Agent, envs: MeccaVectorEnv, algorithm: str) -> Path:
        path = record(
            agent,
            envs,
            self.dataset,
            episodes=self.episodes,
            algorithm=algorithm,
            seed=self.seed,
            overwrite=self.overwrite,
        )
        envs.close()
        return path

    def _people(self) -> Path:
        from mecca_agents.offline.sessions import record_sessions
        from mecca_agents.session.playing.model import load_model

        self._refuse("with --sessions, whose run knows")
        model = load_model(self._folder(), checkpoint=self.checkpoint, device=self.device)
        return record_sessions(self.sessions, model, self.dataset, scans=self.root, overwrite=self.overwrite)

    def _folder(self) -> Path:
        from mecca_agents.runs.shipped import find_run

        return find_run(self.player)

    def _refuse(self, where: str) -> None:
        """Refuse what a run knows by itself."""
        known = [name for name in ("env", "label", "shape") if getattr(self, name) is not None]
        if known:
            flags = ", ".join(f"--{name}" for name in known)
            raise ValueError(f"record: expected none of --env, --label, --shape {where}; got {flags}")

    def _run(self) -> tuple[Agent, MeccaVectorEnv, str]:
        from mecca_agents.runs.loading import load_agent
        from mecca_agents.runtime.devices import find_device

        self._refuse("with a run, which knows")
        agent, config = load_agent(self._folder(), find_device(self.device), self.checkpoint)
        keywords = {"label": config.label, "shape": config.preset.shape, "tolerance": config.tolerance}
        keywords |= config.settings
        root = self.root or (None if config.root is None else Path(config.root))
        envs = self._envs(config.env, root, keywords, fallback=config.stood_in)
        if envs.dataset.modalities != config.modalities:
            raise ValueError(
                f"{envs.dataset.name}: expected volumes of {config.modalities} modalities, as in training, "
                f"found {envs.dataset.modalities}"
            )
        return agent, envs, config.method

    def _method(self) -> tuple[Agent, MeccaVectorEnv, str]:
        from mecca_agents.agent import find_method, make_agent
        from mecca_agents.presets import Preset
        from mecca_agents.runs.loading import make_task
        from mecca_agents.runtime.devices import find_device

        method = find_method(self.player)
        if method.learns:
            raise ValueError(f"record: expected a run's folder or a method that needs no training, got {self.player!r}")
        if self.env is None:
            raise ValueError(f"record: expected --env with a method, got none for {self.player}")
        preset = Preset() if self.shape is None else Preset(shape=self.shape)
        keywords = {"label": self.label, "shape": preset.shape, **method.env_settings(preset, {})}
        envs = self._envs(self.env, self.root, keywords)
        task, device = make_task(envs.config, envs.dataset.modalities), find_device(self.device)
        return make_agent(self.player, preset, task, device=device, seed=self.seed), envs, self.player

    def _envs(self, env: str, root: Path | None, keywords: dict[str, Any], fallback: bool = True) -> MeccaVectorEnv:
        from mecca_agents.runs.envs import make_envs
        from mecca_agents.runtime.devices import find_device

        given = {"split": self.split, "cases": self.cases, "fallback": fallback, "device": find_device(self.device)}
        return make_envs(env, 1, root=root, autoreset_mode="Disabled", **given, **keywords)
