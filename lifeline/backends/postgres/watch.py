"""Hearing of releases: LISTEN on a connection of its own."""

from __future__ import annotations

from .session import Session, Statement


class Listener:
    """A `Wake`: its descriptor can be read when the server told something."""

    def __init__(self, session: Session, channel: str) -> None:
        self._session = session
        session.run(Statement(f"LISTEN {channel}"))

    @property
    def usable(self) -> bool:
        return self._session.usable

    def fileno(self) -> int:
        return self._session.fileno()

    def drain(self) -> bool:
        notices = self._session.notices()
        return any(notice.payload.startswith("free") for notice in notices)

    def close(self) -> None:
        self._session.close()

    def forget(self) -> None:
        self._session.forget()
