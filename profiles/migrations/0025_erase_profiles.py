"""A permission to erase a profile for good."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0024_deliveries_outlive_webhooks"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="profile",
            options={
                "ordering": ["-pk"],
                "permissions": [
                    ("merge_profile", "Can merge profiles, and split them"),
                    ("erase_profile", "Can erase profiles for good"),
                ],
                "verbose_name": "profile",
                "verbose_name_plural": "profiles",
            },
        ),
    ]
