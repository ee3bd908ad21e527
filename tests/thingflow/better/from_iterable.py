"""`from_iterable` fails for what is an iterable and no iterator, such as a list."""

from thingflow.base import Scheduler, from_iterable
from virtual import Loop, Show

EXPECTED = """
i 1
i 2
i completed
"""

thing = from_iterable([1, 2])
thing.connect(Show("i"))
scheduler = Scheduler(Loop())
scheduler.schedule_recurring(thing)
scheduler.run_forever()
