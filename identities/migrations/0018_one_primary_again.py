"""One primary identity per profile, held by the database once more.

When 0011 took the plain index from `profile`, Django dropped the index of this constraint with it, which is on the
same column. Where two primary identities came to be since, the older one keeps the mark.
"""

from __future__ import annotations

from django.db import migrations

DEMOTE = """
    UPDATE identities_identity AS identity SET is_primary = false, updated_at = now()
    WHERE is_primary AND EXISTS (
        SELECT FROM identities_identity AS older
        WHERE older.profile_id = identity.profile_id AND older.is_primary AND older.id < identity.id
    )
"""
CREATE = """
    CREATE UNIQUE INDEX IF NOT EXISTS one_primary_identity_per_profile ON identities_identity (profile_id)
    WHERE is_primary
"""


class Migration(migrations.Migration):
    dependencies = [("identities", "0017_conflicts_in_queue")]

    operations = [
        migrations.RunSQL(DEMOTE, migrations.RunSQL.noop),
        migrations.RunSQL(CREATE, migrations.RunSQL.noop),
    ]
