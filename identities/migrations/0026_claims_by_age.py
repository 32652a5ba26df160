"""Claims that nobody confirms are forgotten by their age, without reading those that are not old enough."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0025_claims"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="identityclaim",
            index=models.Index(fields=["updated_at"], name="claim_by_age"),
        ),
    ]
