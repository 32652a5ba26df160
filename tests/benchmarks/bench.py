"""What every part of a run is given: the database, its made-up data, tokens, and servers on it."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from django.contrib.auth.models import User

from identities.models import ApiToken
from omneo_identity.api.auth import SCOPES
from tests.benchmarks import population, serving


@dataclass(frozen=True)
class Bench:
    url: str
    size: int
    seed: int
    # How long each rate is measured.
    seconds: int

    def fill(self) -> None:
        """Make the data: two identities a profile, and two transactions each on average, all on a tenth of them."""
        population.fill(
            population.Sizes(
                profiles=self.size,
                identities=2 * self.size,
                transactions=2 * self.size,
                buyers=self.size // 10,
                entries=self.size // 5,
                audits=self.size,
                moves=self.size // 20,
                pairs=self.size // 20,
                merges=self.size // 50,
                interactions=self.size // 5,
                points=self.size // 5,
                rewards=self.size // 20,
                heaviest=min(20_000, self.size // 50),
                hers=0,
            ),
            seed=self.seed,
        )

    @functools.cached_property
    def user(self) -> User:
        """Somebody who may do anything."""
        one, _created = User.objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})
        return one

    @functools.cached_property
    def token(self) -> str:
        """Their staff token."""
        _token, plain = ApiToken.issue(user=self.user, name="Bench", scopes=SCOPES)
        return plain

    @contextlib.contextmanager
    def product(self, **more: str) -> Iterator[str]:
        """The product's server on this database; gives its address."""
        with serving.product(self.url, **more) as address:
            yield address

    @contextlib.contextmanager
    def stock(self) -> Iterator[str]:
        """The stock server on this database; gives its address."""
        with serving.stock(self.url) as address:
            yield address

    def pairs(self, count: int, *, seed: int = 0) -> list[tuple[str, str]]:
        """So many pairs, at random, of live profiles, without the one that has thousands, as hardly any has."""
        chance = random.Random(f"{self.seed} {seed}")
        with psycopg.connect(self.url) as connection:
            ((first, last),) = connection.execute("SELECT min(id), max(id) FROM identities_identity").fetchall()
            keys = [chance.randint(first, last) for _one in range(2 * count)]
            found = connection.execute(
                """
                SELECT handle, identifier FROM identities_identity AS identity
                JOIN profiles_profile AS profile ON profile.id = profile_id AND profile_type <> 'deleted'
                WHERE identity.id = ANY(%s) AND handle NOT IN ('email', 'mobile_phone')
                  AND profile.id <> (SELECT id FROM profiles_profile ORDER BY id LIMIT 1)
                """,
                [keys],
            ).fetchall()
        chance.shuffle(found)
        return found[:count]
