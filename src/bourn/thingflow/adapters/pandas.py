"""A stream as a Series of pandas: `pip install 'bourn[data]'`."""

from __future__ import annotations

import datetime

from bourn.thingflow.base import InputThing

try:
    import pandas as pd
except ImportError as e:
    raise ImportError("PandasSeriesWriter needs pandas: pip install 'bourn[data]'") from e


class PandasSeriesWriter(InputThing):
    """When the stream has completed, `result` is a pandas.Series of its values, indexed by their times in `tz`."""

    def __init__(self, tz=datetime.UTC):
        self.data = []
        self.index = []
        self.tz = tz
        self.result = None

    def on_next(self, x):
        """Keep the value of `x`."""
        self.data.append(x.val)
        self.index.append(datetime.datetime.fromtimestamp(x.ts, tz=self.tz))

    def on_completed(self):
        """Make the Series."""
        self.result = pd.Series(self.data, index=self.index)
