"""What proves to a receiver that a delivery is ours: two signatures over the same bytes, by secrets that both know.

`X-Omneo-Hmac-SHA256` is what existing receivers check; it can hold one signature only, that of the first secret. The
headers of Standard Webhooks hold one by each, so that a receiver can change its secret while ours is changed.
"""

from __future__ import annotations

import binascii
import datetime
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.utils.translation import gettext as _
from standardwebhooks import Webhook

from identities import signatures

# What Standard Webhooks writes before a secret whose bytes are in base64.
ENCODED = b"whsec_"


class Unsigned(Exception):
    """There is no secret to sign with. Nothing is sent without a signature."""


@dataclass(frozen=True, slots=True)
class Key:
    """A secret as each of the two signatures takes it. Whoever prints one sees nothing."""

    text: bytes = field(repr=False)
    decoded: bytes = field(repr=False)


def secrets(variables: Sequence[str] | None) -> list[Key]:
    """The secrets of an extension, by the names of its environment variables; or of all others: WEBHOOK_SECRETS.

    In: None or no names for whoever has none of their own. Raises Unsigned where there is none, and also where one of
    several is not right: a signature that its receiver waits for would be missing.
    """
    if not variables:
        if not settings.WEBHOOK_SECRETS:
            raise Unsigned(_("There is no secret to sign with: set WEBHOOK_SECRETS."))
        return [_key("WEBHOOK_SECRETS", secret.encode()) for secret in settings.WEBHOOK_SECRETS]
    found = [_key(name, secret) for name in variables if (secret := signatures.secret(name))]
    if not found:
        raise Unsigned(_("There is no secret to sign with: set %(names)s.") % {"names": ", ".join(variables)})
    return found


def _key(name: str, secret: bytes) -> Key:
    if not secret.startswith(ENCODED):
        return Key(secret, secret)
    encoded = secret.removeprefix(ENCODED)
    try:
        decoded = binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4), strict_mode=True)
    except ValueError:
        decoded = b""
    if not decoded:
        raise Unsigned(_("The secret in %(name)s is not right: what follows whsec_ must be base64.") % {"name": name})
    return Key(secret, decoded)


def headers(message_id: str, body: str, trigger: str, *, keys: Sequence[Key], at: datetime.datetime) -> dict[str, str]:
    """The headers of one try. In: `keys`, the secrets, of which the first one signs for those who check only one."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "Omneo-Identity/1",
        "X-Omneo-Event": trigger,
        "X-Omneo-Hmac-SHA256": hmac.new(keys[0].text, body.encode(), hashlib.sha256).hexdigest(),
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key.decoded).sign(message_id, at, body) for key in keys),
    }
