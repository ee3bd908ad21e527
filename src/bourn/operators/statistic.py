"""Statistics over the values of a window: added at the new end, dropped at the old one, asked for at any time.

Theory. min, max and the sum have no inverse that can be trusted (a sum of floats from which one is taken away is not
the sum of the others, and nothing takes an infinity away), so a sliding window is kept in two parts. The older
part has, for each of its values, the result from there to the part's end; the newer one has one running result. When
the older part is used up the newer becomes it. Each value is so looked at twice, whatever the length of the window,
and no error builds up. A window that tumbles needs the running result alone, and keeps no values.

A median or quantile keeps its values sorted as well; any other function of a list is given one.
"""


class Recent:
    """Values in the order of coming; at most `bound`, which the caller keeps. Allocates only while it grows."""

    def __init__(self, bound):
        self.bound = bound
        self.n = 0
        self._at = 0  # where the oldest is
        self._items = [None] * min(bound, 8)

    def get(self, i):
        """The value that came as the i-th of those here, from 0."""
        return self._items[(self._at + i) % len(self._items)]

    def push(self, v):
        """Add `v` as the newest."""
        size = len(self._items)
        if self.n == size:
            self._items = self.values() + [None] * (min(self.bound, 2 * size) - size)
            self._at = 0
            size = len(self._items)
        self._items[(self._at + self.n) % size] = v
        self.n += 1

    def pop(self):
        """Remove the oldest and return it."""
        v = self._items[self._at]
        self._items[self._at] = None
        self._at = (self._at + 1) % len(self._items)
        self.n -= 1
        return v

    def values(self):
        """All as a list, oldest first."""
        return [self.get(i) for i in range(self.n)]


class Running:
    """`fold(a, b)` over all values since `clear`; keeps none of them and drops none."""

    def __init__(self, fold):
        self._fold = fold
        self.clear()

    def clear(self):
        """Begin anew."""
        self.n = 0
        self._folded = None

    def add(self, v):
        """Take `v` in."""
        self._folded = self._fold(self._folded, v) if self.n else v
        self.n += 1

    def result(self):
        """The fold of all values."""
        return self._folded


class Folded:
    """`fold(a, b)` over the values that were added and not dropped."""

    def __init__(self, fold, bound):
        self._fold = fold
        self._ring = Recent(bound)
        # _older[i]: the fold of the newest i + 1 values of the older part, which has _top; its last is that of all
        self._older = []
        self._top = 0
        self._newer = None
        self.n = 0

    def add(self, v):
        """Take `v` in as the newest."""
        self._newer = self._fold(self._newer, v) if self.n > self._top else v
        self._ring.push(v)
        self.n += 1

    def drop(self):
        """Leave the oldest out."""
        if not self._top:
            self._turn()
        self._ring.pop()
        self._top -= 1
        self.n -= 1

    def result(self):
        """The fold of all values here."""
        if not self._top:
            return self._newer
        older = self._older[self._top - 1]
        return older if self.n == self._top else self._fold(older, self._newer)

    def _turn(self):
        n = self.n
        while len(self._older) < n:
            self._older.append(None)
        folded = None
        for i in range(n):
            v = self._ring.get(n - 1 - i)
            folded = self._fold(v, folded) if i else v
            self._older[i] = folded
        self._top = n


class Mean:
    """The sum kept by `sums`, divided."""

    def __init__(self, sums):
        self._sums = sums
        self.add = sums.add
        self.drop = getattr(sums, "drop", None)
        self.clear = getattr(sums, "clear", None)

    def result(self):
        """The arithmetic mean."""
        return self._sums.result() / self._sums.n


class Listed:
    """`function` of the list of all values, oldest first."""

    def __init__(self, function, bound):
        self._function = function
        self._ring = Recent(bound)

    def clear(self):
        """Begin anew."""
        while self._ring.n:
            self.drop()

    def add(self, v):
        """Take `v` in as the newest."""
        self._ring.push(v)

    def drop(self):
        """Leave the oldest out."""
        self._ring.pop()

    def result(self):
        """What the function says."""
        return self._function(self._ring.values())


class Quantile(Listed):
    """Between the smallest value (q = 0) and the largest (q = 1), interpolated between the two nearest."""

    def __init__(self, q, bound):
        super().__init__(None, bound)
        self._q = q
        self._sorted = []

    def add(self, v):
        """Take `v` in as the newest."""
        super().add(v)
        self._sorted.insert(self._place(v), v)

    def drop(self):
        """Leave the oldest out."""
        self._sorted.pop(self._place(self._ring.pop()))

    def result(self):
        """One of the values, or a number between two."""
        place = (len(self._sorted) - 1) * self._q
        i = int(place)
        v = self._sorted[i]
        return v if place == i else v + (self._sorted[i + 1] - v) * (place - i)

    def _place(self, v):
        """Where the first value that is not smaller than `v` stands."""
        low = 0
        high = len(self._sorted)
        while low < high:
            middle = (low + high) // 2
            if self._sorted[middle] < v:
                low = middle + 1
            else:
                high = middle
        return low


def _smaller(a, b):
    return b if b < a else a


def _larger(a, b):
    return b if b > a else a


def _sum(a, b):
    return a + b


def _latest(a, b):
    return b


_FOLDS = {"min": _smaller, "max": _larger, "mean": _sum, "last": _latest}


def keeps_values(name):
    """True where a window that tumbles has to keep its values for this."""
    return name not in _FOLDS


def check(name):
    """The q of a quantile, else None. ValueError for what is no statistic."""
    if name in _FOLDS or callable(name):
        return None
    if name == "median":
        return 0.5
    if isinstance(name, str) and name[:1] == "p":
        try:
            q = float(name[1:]) / 100
        except ValueError:
            q = -1
        if 0 <= q <= 1:
            return q
    raise ValueError("a statistic: 'min', 'max', 'mean', 'median', 'last', 'p95' or a function, not %r" % (name,))


def statistic(name, bound, slides):
    """What computes the statistic of that name over at most `bound` values; without `slides` it needs no `drop`."""
    q = check(name)
    if name in _FOLDS:
        fold = _FOLDS[name]
        folded = Folded(fold, bound) if slides else Running(fold)
        return Mean(folded) if name == "mean" else folded
    return Listed(name, bound) if q is None else Quantile(q, bound)
