"""When a one-time schedule that is the only one schedules itself again, the loop ends all the same."""

from thingflow.base import DirectOutputThingMixin, OutputThing, Scheduler
from virtual import Loop

EXPECTED = """
observed 1
observed 2
observed 3
"""


class Again(OutputThing, DirectOutputThingMixin):
    count = 0

    def _observe(self):
        self.count += 1
        print("observed", self.count)
        if self.count < 3:
            scheduler.schedule_later_one_time(self, 1)


scheduler = Scheduler(Loop())
scheduler.schedule_later_one_time(Again(), 1)
scheduler.run_forever()
