"""Shards: the users divided by a hash, so that several senders can work at the same time.

All messages of a user are in the same shard, hence sent one after the other by one sender, his
customer data before his orders. The queries of the outbox compute the hash.

Each sender gets its shard's share of the speed limit. What may be sent at the same time is decided
by the leases (`lease`): never two shards that have a user in common. The shares of shards without a
common user add up to 1 at most, also when their numbers differ, such as 0 of 2 and 1 of 4. So the
limit is kept by all senders together, on whatever hosts and with whatever scheduler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from luigi_tasks.errors import ConfigurationError

MOST_SHARDS = 64
"""With more of them, a sender's share of the limit is too small for batches of a good size."""


@dataclass(frozen=True)
class Shard:
    """The users whose hash leaves the remainder `number` when divided by `of`.

    Raises:
        ConfigurationError: There is no such shard.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of <= MOST_SHARDS:
            raise ConfigurationError(
                f"There is no shard {self.number} of {self.of}: shards are counted from 0, and "
                f"there may be {MOST_SHARDS} of them. Correct --shard and --shards."
            )

    @property
    def share(self) -> float:
        """Its share of all users, and of the speed limit."""
        return 1 / self.of

    def overlaps(self, other: Shard) -> bool:
        """Tell whether a user can be in both."""
        divisor = math.gcd(self.of, other.of)
        return self.number % divisor == other.number % divisor

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


WHOLE = Shard()
"""All users: what a build takes, and a sender that is alone."""


def all_shards(of: int) -> list[Shard]:
    """Return the shards that have all users between them.

    Raises:
        ConfigurationError: There cannot be so many, or so few.
    """
    return [Shard(number, of) for number in range(max(of, 1))]
