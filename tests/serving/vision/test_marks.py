"""What is held under handles."""

import pytest

from sdx_serving.vision.marks import Held


def test_what_was_not_asked_for_longest_goes_first():
    held: Held[int] = Held(2)
    held.hold("a", 1)
    held.hold("b", 2)
    assert held["a"] == 1  # asked for: now b is the oldest
    held.hold("c", 3)
    assert ("a" in held, "b" in held, "c" in held) == (True, False, True)
    with pytest.raises(KeyError):
        held["b"]


def test_the_same_handle_again_is_the_newest_and_takes_no_second_place():
    held: Held[int] = Held(2)
    held.hold("a", 1)
    held.hold("b", 2)
    held.hold("a", 3)
    held.hold("c", 4)
    assert (held["a"], "b" in held) == (3, False)
