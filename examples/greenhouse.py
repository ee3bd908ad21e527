"""Warn when a greenhouse gets hot. Runs unchanged on CPython and on MicroPython."""

from bourn import Scheduler, SensorAsOutputThing, where


class Thermometer:
    sensor_id = "greenhouse"
    celsius = iter([19.5, 24.8, 31.2, 33.0, 28.4])

    def sample(self):
        return next(self.celsius)  # on a board: ask the chip here


thermometer = SensorAsOutputThing(Thermometer())
thermometer.pipe(where(lambda e: e.val > 30), lambda e: print(e.sensor_id, e.val))

scheduler = Scheduler()
scheduler.schedule_periodic(thermometer, 0.2)
scheduler.run_forever()
