"""ThingFlow 2.3's API on Bourn's core: a program of ThingFlow runs after changing only its imports (CPython).

`thingflow.base` becomes `bourn.thingflow.base`, `thingflow.filters.map` becomes `bourn.thingflow.filters.map`, and so
on; a program of AntEvents imports `bourn.thingflow.antevents` for `antevents.base`. What differs, and why, is in
docs/migration.md.

    things, sources          things with named ports, filters, sensors and iterables
    thunks                   the functional API, and methods on `OutputThing`
    scheduler, threads       the scheduler on an asyncio loop; things that block
    drawing                  print_downstream, trace_downstream
    base, filters/, adapters/  the modules that programs import
"""

__version__ = "2.3.0"  # of the API
