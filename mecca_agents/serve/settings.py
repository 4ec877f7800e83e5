"""Settings of the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mecca_agents.runtime.addresses import check_secret, is_local


@dataclass(frozen=True)
class Settings:
    """Settings of the server.

    Attributes:
        host: Address to listen on.
        port: Port; 0: any that is free.
        key: What a viewer must know; None: nothing.
        sessions: Viewers at a time.
        idle: Seconds without anything done after which a viewer's session is taken back.
        liveness: Seconds without any request after which it is; viewers say that they are there twice in this time.
        sweep: Seconds between looks at these clocks.
        logs: Folder for logs and scans of all sessions; None: nothing is kept.
        itk_snap: Answer ITK-SNAP, too, which knows no key.
        most_bytes: Of a scan, unpacked.
        patience: Seconds that a request may be silent while its body arrives.
        longest_body: Seconds that a body may take altogether.
        workers: Threads for what takes long.

    Raises:
        ValueError: The address is not this machine's own and there is no key, or ITK-SNAP is to be answered; the key
            is too short, or ITK-SNAP would have to know it; or one of the numbers is too small.
    """

    host: str = "127.0.0.1"
    port: int = 1527
    key: str | None = None
    sessions: int = 3
    idle: float = 600.0
    liveness: float = 60.0
    sweep: float = 15.0
    logs: Path | None = None
    itk_snap: bool = False
    most_bytes: int = 1 << 30
    patience: float = 30.0
    longest_body: float = 600.0
    workers: int = 2

    def __post_init__(self) -> None:
        if self.itk_snap and not is_local(self.host):
            raise ValueError(f"itk_snap: expected this machine's own address (ITK-SNAP knows no key), got {self.host}")
        if self.itk_snap and self.key is not None:
            raise ValueError("itk_snap: expected no key, since ITK-SNAP knows none, got one")
        check_secret("key", self.key, self.host)
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
        for name in ("sessions", "most_bytes", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("idle", "liveness", "sweep", "patience", "longest_body"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected seconds above 0, got {getattr(self, name)}")
        if self.logs is not None and not self.logs.is_dir():
            raise ValueError(f"logs: expected a folder, found none at {self.logs}")
