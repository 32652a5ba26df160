"""A record may have come by an identity that was erased since."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0025_erase_profiles"),
    ]

    operations = [
        migrations.AlterField(
            model_name="interaction",
            name="decided_by",
            field=models.CharField(
                choices=[
                    ("identity", "an identity that was known"),
                    ("id", "the profile id that was named"),
                    ("contact", "an e-mail address or phone number"),
                    ("new", "nothing known: a profile was made for it"),
                    ("nobody", "nothing that names anybody"),
                    ("erased", "an identity that was erased"),
                ],
                editable=False,
                max_length=16,
                verbose_name="decided by",
            ),
        ),
        migrations.AlterField(
            model_name="point",
            name="decided_by",
            field=models.CharField(
                choices=[
                    ("identity", "an identity that was known"),
                    ("id", "the profile id that was named"),
                    ("contact", "an e-mail address or phone number"),
                    ("new", "nothing known: a profile was made for it"),
                    ("nobody", "nothing that names anybody"),
                    ("erased", "an identity that was erased"),
                ],
                editable=False,
                max_length=16,
                verbose_name="decided by",
            ),
        ),
        migrations.AlterField(
            model_name="reward",
            name="decided_by",
            field=models.CharField(
                choices=[
                    ("identity", "an identity that was known"),
                    ("id", "the profile id that was named"),
                    ("contact", "an e-mail address or phone number"),
                    ("new", "nothing known: a profile was made for it"),
                    ("nobody", "nothing that names anybody"),
                    ("erased", "an identity that was erased"),
                ],
                editable=False,
                max_length=16,
                verbose_name="decided by",
            ),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="decided_by",
            field=models.CharField(
                choices=[
                    ("identity", "an identity that was known"),
                    ("id", "the profile id that was named"),
                    ("contact", "an e-mail address or phone number"),
                    ("new", "nothing known: a profile was made for it"),
                    ("nobody", "nothing that names anybody"),
                    ("erased", "an identity that was erased"),
                ],
                editable=False,
                max_length=16,
                verbose_name="decided by",
            ),
        ),
    ]
