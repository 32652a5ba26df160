"""The handles that ship with the product, and the extensions that claim some of them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import migrations
from django.utils import timezone

# name, label, description, example; the extension is called like the system
RESERVED = [
    ("shopify", "Shopify customer", "The customer id of the Shopify shop.", "6432187489345"),
    ("klaviyo", "Klaviyo profile", "The profile id in Klaviyo, which sends the newsletters.", "01HXK3V7Q2M5Z8"),
    ("magento_id", "Magento customer", "The customer's entity id in Magento (Adobe Commerce).", "48213"),
    ("sfcc", "Salesforce Commerce customer", "The customer number in Salesforce Commerce Cloud.", "00012503"),
    ("commercetools", "commercetools customer", "The customer id in commercetools.", "f4a1d2c8-3b5e-4f60-9d77"),
    ("zendesk", "Zendesk user", "The end user's id in Zendesk, where service answers.", "372814459951"),
    ("mailchimp", "Mailchimp contact", "The contact id in the Mailchimp audience.", "2b8f6c1d90"),
]
SYSTEMS = {
    "shopify": "Shopify",
    "klaviyo": "Klaviyo",
    "magento_id": "Magento",
    "sfcc": "Salesforce Commerce Cloud",
    "commercetools": "commercetools",
    "zendesk": "Zendesk",
    "mailchimp": "Mailchimp",
}
OPEN = [
    ("staff-number", "Staff number", "The number of a member of staff who is a customer too.", "S-1042"),
    ("loyalty-card", "Loyalty card", "The number printed on the loyalty card.", "1804974"),
    ("pos", "Till", "The record's id in the till that made it.", "T07-000381"),
    ("pos-customer", "Till customer", "The customer number in the till system.", "C-20931"),
    ("apns", "Apple device", "The device token of the shop's app for push messages.", "740f4707bebcf74f9b7c25d4"),
    ("instagram", "Instagram", "The account name on Instagram, without @.", "ada.lovelace"),
]
BUILT_IN = [
    ("email", "E-mail", "The profile's e-mail addresses; set through the profile.", "ada@example.com", "email"),
    (
        "mobile_phone",
        "Mobile phone",
        "The profile's mobile numbers; set through the profile.",
        "+61404123123",
        "phone",
    ),
]


def fold(name: str) -> str:
    return name.replace("-", "").replace("_", "")


def fill(apps: Any, schema_editor: Any) -> None:
    User = apps.get_model("auth", "User")
    Extension = apps.get_model("identities", "Extension")
    Handle = apps.get_model("identities", "Handle")
    now = timezone.now()

    def make(name: str, label: str, description: str, example: str, **more: Any) -> None:
        Handle.objects.create(
            name=name,
            fold=fold(name),
            label=label,
            description=description,
            example=example,
            status="agreed",
            agreed_at=now,
            **more,
        )

    for name, label, description, example in RESERVED:
        # Nobody signs in as a service account; its tokens act for it.
        account = User.objects.create(
            username=f"extension-{name}", first_name=SYSTEMS[name], password=make_password(None)
        )
        extension = Extension.objects.create(slug=name, name=SYSTEMS[name], service_account=account)
        make(name, label, description, example, reserved_for=extension)
    for name, label, description, example in OPEN:
        make(
            name,
            label,
            description,
            example,
            sensitive=name == "apns",
            normaliser="fold" if name == "instagram" else "exact",
        )
    for name, label, description, example, normaliser in BUILT_IN:
        make(name, label, description, example, normaliser=normaliser)


class Migration(migrations.Migration):
    dependencies = [("identities", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]

    # Going back leaves the rows where they are: identities may hang on them.
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
