"""What is shown of a command line that has a password on it."""

from __future__ import annotations

import pytest

from lifeline.errors import show_words, without_secrets

SHOWN = {
    "redis://:hunter2@h:6379/0": "redis://h:6379/0",
    "--lock=postgresql://me:hunter2@h/d?sslmode=require": "--lock=postgresql://me@h/d?sslmode=require",
    "postgresql://h/d?user=me&password=hunter2&a=b": "postgresql://h/d?user=me&password=&a=b",
    "redlock:redis://a:1/0,redis://b:1/0,redis://:hunter2@c:1/0": (
        "redlock:redis://a:1/0,redis://b:1/0,redis://c:1/0"
    ),
    "redis://:hun/ter2@h/0": "redis://h/0",
    "redis://:hun@ter2@h/0": "redis://h/0",
    "https://h:8000/path?q=1": "https://h:8000/path?q=1",
    "postgresql://me@h/d": "postgresql://me@h/d",
    "me:mine@example.com": "me:mine@example.com",
    "env:DATABASE_URL": "env:DATABASE_URL",
}


@pytest.mark.parametrize("given", SHOWN)
def test_a_password_in_a_url_is_left_out(given: str) -> None:
    """Wherever in the URL it is, and of every URL in the word; all else stays."""
    assert without_secrets(given.encode()).decode() == SHOWN[given]
    assert show_words((b"run", given.encode())) == f"run {show_words((SHOWN[given].encode(),))}"
