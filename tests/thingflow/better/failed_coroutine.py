"""`stop` raises NameError when a coroutine has failed; and the failure itself is lost."""

from thingflow.base import InputThing, ScheduleError, Scheduler, SensorAsOutputThing
from virtual import Loop, Sensor

EXPECTED = """
done
ended by OSError
"""


async def fail():
    raise OSError("no route")


class Start(InputThing):
    def on_next(self, x):
        scheduler._schedule_coroutine(fail(), lambda f: print("done"))


scheduler = Scheduler(Loop())
thing = SensorAsOutputThing(Sensor(1, [1, 2]))
thing.connect(Start())
thing.connect(lambda x: scheduler.stop())
scheduler.schedule_periodic(thing, 1)
try:
    scheduler.run_forever()
except ScheduleError as e:
    print("ended by", type(e.__cause__).__name__)
