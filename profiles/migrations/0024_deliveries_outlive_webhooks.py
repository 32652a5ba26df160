"""Deliveries keep the key of what they were for when that is deleted, instead of each being written to then."""

import django.db.models.deletion
from django.db import migrations, models

# Before the constraints are there again, which Django adds on the way back.
FORGET = """
    UPDATE profiles_delivery SET webhook_id = NULL
    WHERE webhook_id IS NOT NULL AND NOT EXISTS (SELECT FROM profiles_webhook WHERE id = webhook_id);
    UPDATE profiles_delivery SET action_id = NULL
    WHERE action_id IS NOT NULL AND NOT EXISTS (SELECT FROM profiles_action WHERE id = action_id)
"""


class Migration(migrations.Migration):
    dependencies = [("profiles", "0023_when_a_target_was_unmuted")]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="webhook",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="deliveries",
                to="profiles.webhook",
                verbose_name="webhook",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="action",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="deliveries",
                to="profiles.action",
                verbose_name="action",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, FORGET),
    ]
