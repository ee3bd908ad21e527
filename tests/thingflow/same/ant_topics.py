"""AntEvents: publishers with topics, subscribers, disposal inside a dispatch, and what is wrong with a topic."""

from antevents.base import (
    CallableAsSubscriber,
    DefaultSubscriber,
    FatalError,
    InvalidTopicError,
    Publisher,
    TopicAlreadyClosed,
    UnknownTopicError,
    from_list,
)
from antevents.linq.dispatch import dispatch
from virtual import Show


class Split(Publisher, DefaultSubscriber):
    def __init__(self):
        super().__init__(topics=["low", "high"])

    def on_next(self, x):
        self._dispatch_next(x, topic="low" if x < 3 else "high")

    def on_completed(self):
        self._dispatch_completed(topic="low")
        self._dispatch_error(ValueError("no more"), topic="high")

    def __str__(self):
        return "Split"


class Left(DefaultSubscriber):
    def on_left_next(self, x):
        print("left", x)

    def on_left_completed(self):
        print("left completed")

    def on_left_error(self, e):
        print("left error", e)

    def __str__(self):
        return "Left"


class Once(DefaultSubscriber):
    """Disposes of its subscription inside the dispatch."""

    def __init__(self, publisher):
        self.dispose = publisher.subscribe(self, topic_mapping=("low", "default"))

    def on_next(self, x):
        print("once", x)
        self.dispose()

    def __str__(self):
        return "Once"


split = Split()
split.subscribe(Left(), topic_mapping=("low", "left"))
Once(split)
split.subscribe(Show("high"), ("high", "default"))
calls = CallableAsSubscriber(lambda x: print("call", x), on_error=lambda e: print("call error", e))
dispose = split.subscribe(calls, topic_mapping=("high", "default"))
split.subscribe(lambda x: print("low call", x), ("low", "default"))
numbers = from_list([1, 2, 3, 4])
numbers.subscribe(split)
for _ in range(2):
    numbers._observe()
numbers._observe()
dispose()
numbers._observe()
numbers._observe()
for wrong in (
    lambda: split.subscribe(Show()),
    lambda: Publisher().subscribe(Show(), ("default", "nowhere")),
    lambda: split._dispatch_next(1, topic="low"),
    lambda: split._dispatch_next(1, topic="nowhere"),
    lambda: Publisher(topics=["a"])._dispatch_completed(),
):
    try:
        wrong()
    except (InvalidTopicError, TopicAlreadyClosed, UnknownTopicError) as e:
        print(type(e).__bases__[0].__name__, isinstance(e, FatalError))
source = from_list([1, 2, 3, 4])
ways = source.dispatch([(lambda x: x % 2, "odd"), (lambda x: x == 2, "two")])
for topic in ("odd", "two", "default"):
    ways.subscribe(Show("way " + topic), topic_mapping=(topic, "default"))
for _ in range(5):
    source._observe()
print(dispatch is not None)
