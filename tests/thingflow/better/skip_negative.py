"""`skip(-1)` raises NameError: the exception was never imported."""

import thingflow.filters.skip
from thingflow.base import FatalError, from_list

EXPECTED = """
ArgumentOutOfRangeException
"""

try:
    from_list([1]).skip(-1)
except FatalError as e:
    print(type(e).__name__)
except NameError as e:
    print(e)
