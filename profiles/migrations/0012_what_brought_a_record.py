"""The key of what brought a record or an attribute, which stays when that has been deleted."""

from django.db import migrations, models

FILL = "UPDATE profiles_%s SET brought_by_key = brought_by_id WHERE brought_by_id IS NOT NULL"
TABLES = ("customattribute", "interaction", "point", "reward", "transaction")


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0011_merges_in_lists"),
    ]

    operations = [
        migrations.AddField(
            model_name="customattribute",
            name="brought_by_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="interaction",
            name="brought_by_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="point",
            name="brought_by_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="reward",
            name="brought_by_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="transaction",
            name="brought_by_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        *(migrations.RunSQL(FILL % table, migrations.RunSQL.noop) for table in TABLES),
    ]
