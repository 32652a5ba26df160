"""An index for the list of deliveries, by what they tell of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("profiles", "0020_deliveries_for_groups")]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["trigger", "-id"], name="delivery_by_trigger"),
        ),
    ]
