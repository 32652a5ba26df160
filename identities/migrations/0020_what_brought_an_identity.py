"""What brought an identity, as text, so that it is known when that has been deleted."""

from __future__ import annotations

from django.db import migrations, models

FILL = """
    UPDATE identities_identity AS identity
    SET brought_by_handle = brought_by.handle, brought_by_identifier = brought_by.identifier
    FROM identities_identity AS brought_by WHERE brought_by.id = identity.brought_by_id
"""


class Migration(migrations.Migration):
    dependencies = [("identities", "0019_handles_may_merge_by_themselves")]

    operations = [
        migrations.AddField(
            model_name="identity",
            name="brought_by_handle",
            field=models.CharField(blank=True, editable=False, max_length=64, default="", db_default=""),
        ),
        migrations.AddField(
            model_name="identity",
            name="brought_by_identifier",
            field=models.CharField(blank=True, editable=False, max_length=255, default="", db_default=""),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
