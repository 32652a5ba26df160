"""The key of what brought an identity, and how deleted ones came: what the undo of a merge asks."""

from django.db import migrations, models

FILL = "UPDATE identities_identity SET brought_by_key = brought_by_id WHERE brought_by_id IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0019_handles_may_merge_by_themselves"),
    ]

    operations = [
        migrations.AddField(
            model_name="identity",
            name="brought_by_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.CreateModel(
            name="DeletedIdentity",
            fields=[
                ("key", models.BigIntegerField(primary_key=True, serialize=False)),
                ("brought_by_key", models.BigIntegerField(null=True)),
                ("addressed", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "deleted identity",
                "verbose_name_plural": "deleted identities",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["brought_by_key"], name="deleted_identity_by_brought"),
                    models.Index(fields=["addressed"], name="deleted_identity_by_addressed"),
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
