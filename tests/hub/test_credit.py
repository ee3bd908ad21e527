"""The credit of a whole network, against every order of wanting, sending, acknowledging and going away."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bourn.hub.credit import CreditPool

LINKS = 6


class Borrower:
    """A link as the pool sees it: what it may send, what it sent, what it still asks for."""

    def __init__(self, name: int, served: list["Borrower"]) -> None:
        self.name = name
        self.served = served
        self.credit = 0
        self.in_flight = 0
        self.wanted = 0

    def __repr__(self) -> str:
        return f"<{self.name}: credit {self.credit}, in flight {self.in_flight}, wants {self.wanted}>"

    def grant(self, n: int) -> None:
        assert 1 <= n <= self.wanted, "nobody gets nothing, or more than was asked for"
        self.credit += n
        self.wanted -= n
        self.served.append(self)


class Credit(RuleBasedStateMachine):
    """Links that want, send, are acknowledged and disappear, over one pool."""

    @initialize(limit=st.integers(1, 12))
    def start(self, limit: int) -> None:
        self.pool = CreditPool(limit)
        self.served: list[Borrower] = []  # in the order of their grants
        self.links = [Borrower(i, self.served) for i in range(LINKS)]
        self.queue: deque[Borrower] = deque()  # who waits, the longest first: what "first come, first served" means
        self.lost_in_flight = 0  # sent by links that are gone; their readings are committed all the same
        self.peak = 0

    @rule(i=st.integers(0, LINKS - 1), n=st.integers(1, 20))
    def want(self, i: int, n: int) -> None:
        link = self.links[i]
        link.wanted += n
        if link not in self.queue:
            self.queue.append(link)
        self.pool.want(link, n)
        self.check_order()

    @rule(i=st.integers(0, LINKS - 1), share=st.floats(0, 1))
    def send(self, i: int, share: float) -> None:
        link = self.links[i]
        n = round(share * link.credit)
        link.credit -= n
        link.in_flight += n

    @rule(i=st.integers(0, LINKS - 1), share=st.floats(0, 1))
    def acknowledge(self, i: int, share: float) -> None:
        link = self.links[i]
        n = round(share * link.in_flight)
        link.in_flight -= n
        self.pool.give_back(n)
        self.check_order()

    @rule(i=st.integers(0, LINKS - 1))
    def give_back_unused(self, i: int) -> None:
        link = self.links[i]
        n, link.credit = link.credit, 0
        self.pool.give_back(n)
        self.check_order()

    @rule(i=st.integers(0, LINKS - 1))
    def disappear(self, i: int) -> None:
        """A link is closed, as Link.release does it; what it sent is committed later. A new one takes its place."""
        link = self.links[i]
        self.pool.forget(link)
        self.queue = deque(other for other in self.queue if other is not link)
        self.lost_in_flight += link.in_flight
        self.links[i] = Borrower(link.name + LINKS, self.served)
        self.pool.give_back(link.credit)
        self.check_order()

    @precondition(lambda self: self.lost_in_flight)
    @rule()
    def acknowledge_the_lost(self) -> None:
        n, self.lost_in_flight = self.lost_in_flight, 0
        self.pool.give_back(n)
        self.check_order()

    def check_order(self) -> None:
        """Every grant went to who waited longest; who got less than it wanted stands at the end of the queue."""
        for link in self.served:
            assert self.queue, f"{link} was served and did not wait"
            first = self.queue.popleft()
            assert link is first, f"{link} was served before {first}"
            if link.wanted:  # what it still wants after this grant, or after another one in the same call
                self.queue.append(link)
        self.served.clear()
        self.peak = max(self.peak, self.pool.lent)

    @invariant()
    def no_more_is_lent_than_there_is(self) -> None:
        if hasattr(self, "pool"):
            out = self.lost_in_flight + sum(link.credit + link.in_flight for link in self.links)
            assert out == self.pool.lent
            assert 0 <= out <= self.pool.limit
            assert self.peak <= self.pool.peak <= self.pool.limit

    @invariant()
    def nothing_is_free_while_someone_waits(self) -> None:
        if hasattr(self, "pool"):
            assert not (self.pool.free and self.queue)

    def teardown(self) -> None:
        """Nobody starves: when all send and are acknowledged, everyone gets all it wanted."""
        if not hasattr(self, "pool"):
            return
        self.pool.give_back(self.lost_in_flight)
        self.lost_in_flight = 0
        rounds = sum(link.wanted for link in self.links) + 2 * LINKS
        for _ in range(rounds):
            for i, link in enumerate(self.links):
                self.send(i, 1)
                n, link.in_flight = link.in_flight, 0
                self.pool.give_back(n)
        assert not any(link.wanted for link in self.links)
        assert self.pool.lent == 0


TestCredit = Credit.TestCase
TestCredit.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_a_hungry_link_does_not_starve_the_others() -> None:
    pool = CreditPool(5)
    served: list[Borrower] = []
    hungry, modest = Borrower(0, served), Borrower(1, served)
    hungry.wanted = 1_000_000
    pool.want(hungry, 1_000_000)
    assert hungry.credit == 5
    modest.wanted = 1
    pool.want(modest, 1)
    hungry.credit -= 1
    pool.give_back(1)
    assert modest.credit == 0, "the hungry link asked first: its turn"
    hungry.credit -= 1
    pool.give_back(1)
    assert modest.credit == 1


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CreditPool(0)
