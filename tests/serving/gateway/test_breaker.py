"""A breaker opens, lets one through, and closes."""

from sdx_serving.gateway.breaker import Breaker


def test_it_opens_after_failures_on_end_only() -> None:
    breaker = Breaker(3)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.passes
    for _ in range(3):
        breaker.failed()
    assert (breaker.state, breaker.passes, breaker.opened) == ("open", False, 1)


def test_a_good_probe_lets_one_request_decide() -> None:
    breaker = Breaker(1)
    breaker.failed()
    breaker.probed(False)
    assert not breaker.passes
    breaker.probed(True)
    assert breaker.passes
    breaker.begin()
    assert not breaker.passes  # one at a time
    breaker.failed()
    assert breaker.state == "open"
    breaker.probed(True)
    breaker.begin()
    breaker.left()  # the client went: another may decide
    assert breaker.passes
    breaker.begin()
    breaker.succeeded()
    assert (breaker.state, breaker.passes) == ("closed", True)
