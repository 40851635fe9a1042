"""The protected side: a fence that is older than the newest seen is refused."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline import Fence, LifelineError, StaleFence


def test_a_fence_is_admitted_again_until_a_newer_one_came() -> None:
    """A holder writes many times; its successor's first write shuts it out for good."""
    guard = Fence()
    for fence in (3, 3, 7, 7):
        guard.admit(fence)
    with pytest.raises(StaleFence) as caught:
        guard.admit(3)
    assert (caught.value.fence, caught.value.newest) == (3, 7)
    assert isinstance(caught.value, LifelineError)
    assert "\n" not in str(caught.value)
    guard.admit(7)
    assert guard.newest == 7


def test_a_guard_goes_on_from_what_was_written_down() -> None:
    """What it has seen before a restart is given to it."""
    with pytest.raises(StaleFence):
        Fence(newest=10).admit(9)


@given(st.lists(st.integers(0, 50)))
def test_what_is_admitted_never_goes_back(fences: list[int]) -> None:
    """Whatever comes, in whatever order; and only what is older is refused."""
    guard, newest = Fence(), 0
    for fence in fences:
        if fence >= newest:
            guard.admit(fence)
            newest = fence
        else:
            with pytest.raises(StaleFence):
                guard.admit(fence)
        assert guard.newest == newest


def test_threads_that_write_at_once_are_told_apart() -> None:
    """The admitted fences, in the order in which they were, never go back."""
    guard, admitted, mutex = Fence(), [], threading.Lock()

    def write(fences: list[int]) -> None:
        for fence in fences:
            with mutex:  # the write and its admission are one
                try:
                    guard.admit(fence)
                except StaleFence:
                    continue
                admitted.append(fence)

    threads = [threading.Thread(target=write, args=(list(range(n, 400, 4)),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admitted == sorted(admitted)
    assert guard.newest == 399
