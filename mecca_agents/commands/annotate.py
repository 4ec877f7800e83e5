"""The command `mecca annotate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg


@dataclass(frozen=True)
class Annotate:
    """Open a page in the browser on which a person and a trained agent segment a scan together; Ctrl-C ends it.

    Attributes:
        scan: A .nii, .nii.gz, .hdr, .mha or .nrrd file that the page opens at first; several, one for each modality.
        run_folder: The run that acts, a folder or the name of one that comes with the package; by default general.
        checkpoint: last, or best: the one with the highest smoothed training Dice.
        folder: The page opens files below this folder, and no others; by default the scan's, or the current one.
        host: Address to listen on; by default this machine alone. Others need a token, and one is made and printed.
        port: Port; 0: any that is free.
        token: Token to ask for, in place of a random one.
        max_upload_mb: Most megabytes (2^20 bytes) that a page may send.
        tolerance: Millimetres that files of a scan, and masks of it, may lie apart; by default next to nothing.
        project: Accepted masks go into this folder, with scan and log, and can be learned from. Which of the weights
            that were learned from it count is kept there, too.
        learn_minutes: What each learning may take.
        no_show: Do not open the page in this machine's browser.
        device: auto, cpu or cuda.
    """

    scan: Annotated[Positional[tuple[Path, ...]], arg(metavar="[SCAN...]", help_behavior_hint="")] = ()
    run_folder: Annotated[Path | None, arg(name="run", metavar="RUN", help_behavior_hint="")] = None
    checkpoint: str = "last"
    folder: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    host: str = "127.0.0.1"
    port: int = 8080
    token: Annotated[str | None, arg(metavar="WORD", help_behavior_hint="")] = None
    max_upload_mb: int = 512
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None
    project: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    learn_minutes: float = 1.0
    no_show: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    device: str = "auto"

    def run(self) -> int:
        """Serve until Ctrl-C; the exit code."""
        from mecca_agents.app.server import Settings, new_token, serve
        from mecca_agents.online.live import LearnSettings
        from mecca_agents.runtime.addresses import is_local
        from mecca_agents.session import load_model
        from mecca_env.data.formats.names import check_utf8

        missing = [str(path) for path in self.scan if not path.is_file()]
        if missing:
            raise ValueError(f"{missing[0]}: expected a scan, found no such file")
        for path in self.scan:
            check_utf8(path)
        if self.max_upload_mb < 1:
            raise ValueError(f"max_upload_mb: expected at least 1, got {self.max_upload_mb}")
        if self.project is not None and self.checkpoint != "last":
            raise ValueError(f"checkpoint: expected last with a project, which is learned from, got {self.checkpoint}")
        folder = self.folder or (self.scan[0].resolve().parent if self.scan else Path.cwd())
        settings = Settings(
            folder=folder,
            scan=self.scan,
            host=self.host,
            port=self.port,
            token=self.token if is_local(self.host) else self.token or new_token(),
            most_upload=self.max_upload_mb << 20,
            tolerance=self.tolerance,
            learning=None if self.project is None else LearnSettings(self.project, self.learn_minutes),
        )
        model = load_model(self.run_folder, checkpoint=self.checkpoint, device=self.device)
        serve(model, settings, show=not self.no_show)
        return 0
