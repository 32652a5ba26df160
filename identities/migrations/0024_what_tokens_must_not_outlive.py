"""What customer tokens of an identity must not outlive is counted on its row, where each use of one looks anyway."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0023_call_counts"),
    ]

    operations = [
        migrations.AddField(
            model_name="identity",
            name="token_generation",
            # With a default that the database keeps: rows are not rewritten, and processes of the version before, which
            # do not name the column, go on writing.
            field=models.IntegerField(db_default=0, default=0, editable=False),
        ),
    ]
