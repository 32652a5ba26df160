"""An index of the points and rewards of which something is left, for balances, in place of that of all of them.

It is made while others write: some three seconds for each million rows, which it reads twice, and it waits for the
transactions that were under way when it began. Where it was interrupted it leaves an index that is not valid; drop that
(`DROP INDEX CONCURRENTLY point_left_of_profile`, or `reward_left_of_profile`) and migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("profiles", "0012_what_brought_a_record"),
    ]

    operations = [
        operation
        for kind in ("point", "reward")
        for operation in (
            AddIndexConcurrently(
                model_name=kind,
                index=models.Index(
                    condition=models.Q(("value_remaining", 0), _negated=True),
                    fields=["profile", "expires_at"],
                    include=("value_remaining",),
                    name=f"{kind}_left_of_profile",
                ),
            ),
            RemoveIndexConcurrently(model_name=kind, name=f"{kind}_balance_of_profile"),
        )
    ]
