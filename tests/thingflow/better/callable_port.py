"""A function connected to a named input port cannot be printed, so `print_downstream` fails."""

from thingflow.base import OutputThing

EXPECTED = """
***** Dump of all paths from OutputThing() *****
  OutputThing() [default]=>[side] CallableAsInputThing(<built-in function print>)
*************************
"""

thing = OutputThing()
thing.connect(print, port_mapping=("default", "side"))
thing.print_downstream()
