"""Threads that stand for processes."""

from threading import Barrier


class Meeting:
    """Exchanges lines between `count` threads, as `processes.exchanged` does between processes."""

    def __init__(self, count):
        self._barrier, self._lines = Barrier(count), [[]] * count

    def exchange(self, index):
        """The exchange of thread `index`."""

        def exchanged(work):
            self._lines[index] = work()
            self._barrier.wait(timeout=60)
            lines = list(self._lines)
            self._barrier.wait(timeout=60)
            return lines

        return exchanged
