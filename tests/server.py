"""The dashboard as a process, for tests that look at it from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0


@dataclass
class Server:
    """`streamlit run app.py` on a port of its own, with nothing of this process's settings."""

    data: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        scheme = "https" if "STREAMLIT_SERVER_SSL_CERT_FILE" in self.environment else "http"
        return f"{scheme}://localhost:{self.port}"

    @property
    def terminal(self) -> str:
        """Everything the server has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def setup_token(self) -> str:
        """The one-time token in the terminal; the newest, if the server was started again."""
        return re.findall(r"One-time token: (\S+)", self.terminal)[-1]

    def start(self) -> None:
        """Start and wait until the server answers; on the same port as before, if there was one."""
        self.port = self.port or free_port()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={self.port}"],
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def stop(self) -> None:
        """Stop as an operator would; by force if that takes too long."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def health(self) -> httpx.Response:
        # Where it speaks HTTPS, it does so with a certificate made for the test.
        return httpx.get(f"{self.url}/health", timeout=5, verify=False)

    @property
    def _log(self) -> Path:
        return self.data / "terminal.txt"

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CRYPTOSATX_", "STREAMLIT_")) and name != "DATABASE_URL"
        }
        own = {"CRYPTOSATX_DATA": str(self.data), "CRYPTOSATX_WORKER": "off"}
        own["CRYPTOSATX_MARKET"] = "demo"
        return kept | own | dict(self.environment)

    def _wait(self) -> None:
        assert self.process is not None
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise RuntimeError(f"The server did not start:\n{self.terminal}")
            try:
                self.health()
            except httpx.TransportError:
                time.sleep(0.2)
            else:
                return
        self.stop()
        raise RuntimeError(f"The server did not answer in {START_SECONDS} s:\n{self.terminal}")


@contextmanager
def running(data: Path, **environment: str) -> Iterator[Server]:
    """A server over the folder ``data``, stopped at the end; without a worker unless asked for."""
    data.mkdir(parents=True, exist_ok=True)
    server = Server(data, environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port
