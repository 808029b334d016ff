"""Now, as whoever has a clock says it."""

from datetime import datetime

import attrs


@attrs.frozen
class Moment:
    seconds: float  # of a clock that only ever goes on
    utc: datetime
