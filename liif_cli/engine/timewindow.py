"""The time after which a batch begins nothing new (``--stop-after``, ``--stop-at``)."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TimeWindow:
    """Until when new tasks may begin; what is in work then is finished.

    Attributes:
        end: on the monotonic clock; infinite for no end.
        said: how the user put it, as "--stop-at 06:00".
        clock: seconds, rising.
    """

    end: float = math.inf
    said: str = ""
    clock: Callable[[], float] = time.monotonic

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.clock() >= self.end


def seconds_until(time_of_day: datetime.time, now: datetime.datetime) -> float:
    """From ``now``, in local time without a zone, to the next time that clocks show that time.

    The difference is that of the instants, so that a night in which clocks are changed is as long
    as it is.
    """
    then = datetime.datetime.combine(now.date(), time_of_day)
    if then <= now:
        then += datetime.timedelta(days=1)
    return then.astimezone().timestamp() - now.astimezone().timestamp()
