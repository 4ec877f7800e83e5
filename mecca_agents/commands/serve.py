"""The command `mecca serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, arg


@dataclass(frozen=True)
class Serve:
    """Let people segment with a trained agent from the viewers that they have; Ctrl-C ends it.

    napari, 3D Slicer and MITK reach it with their nnInteractive plug-ins, whose server address is the one that is
    printed; ITK-SNAP with --itk-snap. Needs pip install -e ".[serve]".

    Attributes:
        run_folder: The run that acts, a folder or the name of one that comes with the package; by default the one
            that acts where none is named.
        checkpoint: last, or best: the one with the highest smoothed training Dice.
        host: Address to listen on; by default this machine alone. Others need a key, and one is made and printed.
        port: Port; 0: any that is free.
        key: Key to ask for (API key in the viewers), in place of a random one.
        sessions: Viewers at a time.
        idle: Seconds without a prompt after which a viewer's session is taken back.
        logs: Keep each session's logs and scans in this folder, for mecca accept and mecca record --sessions.
        itk_snap: Answer ITK-SNAP, too, at the same address; on this machine alone.
        device: auto, cpu or cuda.
    """

    run_folder: Annotated[Path | None, arg(name="run", metavar="RUN", help_behavior_hint="")] = None
    checkpoint: str = "last"
    host: str = "127.0.0.1"
    port: int = 1527
    key: Annotated[str | None, arg(metavar="WORD", help_behavior_hint="")] = None
    sessions: int = 3
    idle: float = 600.0
    logs: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    itk_snap: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    device: str = "auto"

    def run(self) -> int:
        """Serve until Ctrl-C; the exit code."""
        from mecca_agents.runtime.addresses import is_local, new_secret
        from mecca_agents.serve import Settings, serve
        from mecca_agents.session import load_model

        settings = Settings(
            host=self.host,
            port=self.port,
            key=self.key if is_local(self.host) else self.key or new_secret(),
            sessions=self.sessions,
            idle=self.idle,
            logs=self.logs,
            itk_snap=self.itk_snap,
        )
        serve(load_model(self.run_folder, checkpoint=self.checkpoint, device=self.device), settings)
        return 0
