"""What has come of a profile by batches is found without reading all rows of a month."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0027_erasing_for_groups")]

    operations = [
        migrations.AddIndex(
            model_name="profilebatchrow",
            index=models.Index(
                condition=models.Q(("profile_id__isnull", False)), fields=["profile_id"], name="batch_row_reached"
            ),
        ),
    ]
