"""A little of everything to look at, and the addresses of all pages that show it."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from identities import adding, moving, moving_records, releasing, routing
from identities.handles import Sent
from identities.models import ApiToken, Extension, Identity, RoutingLogEntry
from profiles import erasing, listening, merging
from profiles.admin.base import change_url as page_of
from profiles.auditing import By
from profiles.listening import Step
from profiles.models import (
    RECORDS,
    CustomAttribute,
    Interaction,
    Merge,
    Point,
    Profile,
    Reaction,
    Reward,
    RewardDefinition,
    Transaction,
    Webhook,
)
from profiles.refusing import Refused
from tests.cast import add, came, claim, claim_contact, known, merge, route, update

# Pages of a row that only some models have.
OF_A_ROW = [
    *("change", "delete", "move", "mark", "reveal", "undelete", "issue_token", "disable", "enable"),
    *("revoke", "agree", "retire", "rename", "merge_into", "duplicates", "dismiss", "reopen", "split", "undo", "try"),
    *("mute", "unmute", "again", "confirm", "refuse", "erase", "let_in", "export"),
]

# Models of which staff add no rows.
READ_ONLY = (
    *("audit", "duplicatepair", "erasedpair", "identityclaim", "merge", "move", "routinglogentry"),
    *(*RECORDS, "pointdefinition", "rewarddefinition", "delivery", "target"),
)

# What they show of an undocumented handle, and when something is asked of them.
OF_A_HANDLE = [
    "change/?try=%20x%20",
    "agree/",
    "merge-into/",
    "merge-into/?into=pos",
    "rename/?to=till-2",
    "rename/?to=pos",
]


def fill(by: By) -> Profile:
    """Ada, whom many systems know, and Bo, whose card hers once met. Gives Ada."""
    ada = route("loyalty-card:1804974", by=by, first_name="Ada", last_name="Lovelace", birth_year=1815).profile
    bo = route("loyalty-card:7046671", by=by, first_name="Bo", last_name="Diddley").profile
    gone = route("loyalty-card:1", by=by, first_name="Gone").profile
    erase_one(bo, by)
    update(ada, email="ada@example.com", mobile_phone="+61404123123", by=by)
    for pair in ("pos:T07-000381", "apns:740f4707bebcf74f9b7c25d4", "pos2:9001", "pos2:8"):
        add(ada, pair, by=by)
    routing.change(ada.identities.get(handle="loyalty-card").pk, is_primary=True, by=by, source=None)
    routing.change(ada.identities.get(handle="pos").pk, is_active=False, by=by, source=None)
    klaviyo = Extension.objects.get(pk="klaviyo")
    add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=By(klaviyo.service_account), source=klaviyo)
    with contextlib.suppress(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "7046671"), by=By(klaviyo.service_account), source=klaviyo)
    route("loyalty-card:1804974", "loyalty-card:7046671", "pos:null", by=by, first_name="Ada")
    add(bo, "pos:8", by=by)
    releasing.delete(gone.pk, by=by)
    soon = timezone.now() + datetime.timedelta(days=3)
    for name, expires_at in (("Klaviyo", None), ("Klaviyo, nightly", soon)):
        ApiToken.issue(
            user=klaviyo.service_account,
            name=name,
            scopes=["read-profiles", "from-elsewhere"],
            extension=klaviyo,
            expires_at=expires_at,
        )
    claim_contact(ada, by=by, email="countess@example.com")
    for pair in ("loyalty-card:7046671", "apns:840f4707bebcf74f9b7c25d4", "web-visitor:v-1"):
        claim(ada, pair, by=by, source=klaviyo)
    Extension.objects.filter(pk="klaviyo").update(secret_variables=["PATH", "KLAVIYO_SECRET"])
    ApiToken.issue(user=by.user, name="Mine", scopes=["read-profiles"])
    fill_listening(by)
    return ada


def erase_one(bo: Profile, by: By) -> None:
    """Somebody with whom Bo was mistaken, and of whom nothing is left but an empty entry and what keeps them out."""
    erased = route("pos:erased", by=by, first_name="Erased").profile
    with contextlib.suppress(Refused):
        adding.add(bo.pk, Sent("pos", "erased"), by=by, source=None)
    erasing.purge(erased.pk, by=by)


def fill_listening(by: By) -> None:
    """A webhook that never fires, and a reaction with an action of each kind."""
    url, condition = "https://hooks.example.com/omneo", {"!!": {"var": "identity.loyalty-card"}}
    listening.add_webhook({"trigger": "tier.changed", "url": url, "condition": condition}, by=by)
    given: dict[str, dict[str, Any]] = {
        "filter": {"condition": condition},
        "target.send": {"url": url, "body": [1]},
        "attribute.set": {"namespace": "club", "handle": "asked", "value": "yes"},
    }
    steps = [
        Step({"name": name, "notes": "So.", "arguments": [{"name": key, "value": one} for key, one in values.items()]})
        for name, values in given.items()
    ]
    listening.add_reaction({"name": "Tell", "trigger": "identity.created"}, steps, by=by)


def pages_of_listening(ada: Profile) -> Iterator[str]:
    """A webhook and a reaction tried on Ada, on somebody of several, and on nobody."""
    for row in (Webhook.objects.get(), Reaction.objects.get()):
        url = reverse(f"admin:profiles_{row._meta.model_name}_try", args=[row.pk])
        for text in (ada.pk, "a", "nobody", ""):
            yield f"{url}?profile={text}&trigger=identity.created"


def fill_records(ada: Profile, by: By) -> None:
    """What Ada bought and was given, a sale that she and Bo were named by, and one of nobody."""
    bo = Profile.objects.get(first_name="Bo")
    shopify = Extension.objects.get(pk="shopify")
    noon = timezone.now().replace(hour=12)
    card, his = "loyalty-card:1804974", "loyalty-card:7046671"
    for days in range(20):
        came(
            Transaction,
            card,
            by=By(shopify.service_account),
            source=shopify,
            receipt_ref=f"R{days}",
            timezone="Australia/Melbourne",
            transacted_at=noon - datetime.timedelta(days=30 * days),
            total=Decimal(10 * (days - 2)),
            is_void=days == 5,
            location_id="QVB",
            items=["Shirt", "Belt"],
            payments=[{"type": "card", "amount": 10}],
        )
    came(Interaction, card, by=by, description="She was friendly.", meta={"mood": "good"})
    came(Point, card, by=by, expires_at=noon + datetime.timedelta(days=9))
    came(Reward, card, by=by, definition_id=RewardDefinition.objects.create(name="Birthday", handle="birthday").pk)
    came(Transaction, card, his, "pos-customer:55", by=by, receipt_ref="both")
    came(Transaction, card, named=bo.pk, by=by)
    moved = came(Transaction, "pos:null", by=by)
    moving_records.move_record(Transaction, moved.pk, to=ada.pk, reason="She has the receipt.", by=by)
    came(Transaction, bare="nobody knows", by=by, receipt_ref="nobody's")
    for kind, value in (("boolean", True), ("decimal", 42.5), ("json", {"a": [1]})):
        CustomAttribute.objects.create(profile=ada, namespace="shoes", handle=kind, type=kind, value=value)


def reviews(ada: Profile) -> Iterator[str]:
    """Two profiles side by side, three of which one cannot be merged, with one left out, and the question."""
    page = reverse("admin:profiles_profile_merge")
    bo, gone = Profile.objects.get(first_name="Bo"), Profile.objects.get(first_name="Gone")
    two, three = f"{page}?ids={ada.pk},{bo.pk}", f"{page}?ids={ada.pk},{bo.pk},{gone.pk}"
    yield from (two, f"{two}&step=confirm", three, f"{three}&with=A&with=B&stays=B")


def fill_merges(ada: Profile, by: By) -> None:
    """A chain of three that was merged into Ada, one merge that was undone, and what was written since."""
    somebody = known("pos-customer:m1", by=by, first_name="Somebody")
    merging.undo(merge(ada, somebody, by=by)[0].pk, reason="Somebody else.", by=by)
    chain = [
        known(f"pos-customer:m{number}", by=by, first_name=name, company=f"Engines {number}", gender="female")
        for number, name in ((2, "Augusta"), (3, "Augusta Ada"), (4, "A."))
    ]
    update(chain[0], email="augusta@example.com", by=by)
    merge(chain[1], chain[2], by=by)
    merge(chain[0], chain[1], by=by, reason="The same telephone.")
    merge(ada, chain[0], by=by, reason="She said so at the counter.")
    came(Transaction, "pos-customer:m3", by=by)
    update(ada, gender="", by=by)
    card = Identity.objects.get(handle="pos-customer", identifier="m4")
    moving.move(card.pk, to=somebody.pk, reason="Hers.", by=by)
    routing.remove(Identity.objects.get(handle="pos-customer", identifier="m2").pk, by=by, source=None)


def pages_of_merges(ada: Profile) -> Iterator[str]:
    """Merged profiles, merges in every state, and each step of a split."""
    for profile in Profile.objects.exclude(merged_into=None):
        yield page_of(profile)
    for one in Merge.objects.all():
        yield page_of(one)
        yield reverse("admin:profiles_merge_undo", args=[one.pk])
    split = reverse("admin:profiles_profile_split", args=[ada.pk])
    keys = ada.identities.order_by("pk").values_list("pk", flat=True)[:2]
    chosen = "&".join(f"identity={key}" for key in keys)
    yield from (f"{split}?{chosen}&q=a", f"{split}?{chosen}&to=new", f"{split}?to=new", "/admin/search/?q=augusta")


def every_page(ada: Profile) -> Iterator[str]:
    """The start page, the search, and of each model the list, the page that adds, and the pages of one row."""
    yield from ("/admin/", "/admin/search/?q=ada", "/admin/search/?q=nobody", "/admin/password_change/")
    yield "/admin/identities/erasedpair/find/"
    yield from (f"/admin/identities/extension/klaviyo/{page}/" for page in ("change", "issue-token", "disable"))
    yield from (f"/admin/identities/handle/pos2/{page}" for page in OF_A_HANDLE)
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        with contextlib.suppress(NoReverseMatch):
            if model._meta.model_name not in READ_ONLY:
                yield reverse(f"{name}_add")
        row: Any = ada if model is Profile else model._default_manager.order_by("-pk").first()
        for page in OF_A_ROW if row is not None else []:
            with contextlib.suppress(NoReverseMatch):
                yield reverse(f"{name}_{page}", args=[row.pk])
    yield from (
        f"{page_of(ada)}?{query}" for query in ("kind=transaction&void=no", "void=only&until=x", "kind=reward")
    )
    yield from pages_of_merges(ada)
    sale = Transaction.objects.get(receipt_ref="both")
    yield page_of(sale)
    for query in ("q=bo", "to=nobody"):
        yield f"{reverse('admin:profiles_transaction_move', args=[sale.pk])}?{query}"
    for profile in Profile.objects.filter(first_name__in=["Ada", "Bo"]):
        page = reverse("admin:identities_routinglogentry_send", args=[sale.log_entry_id])
        yield f"{page}?to={profile.pk}"
    yield f"{reverse('admin:profiles_profile_duplicates', args=[ada.pk])}?q=bo"
    yield from pages_of_listening(ada)
    yield from reviews(ada)
    # Each outcome has a page that looks different, and so has a list with nothing in it.
    for entry in RoutingLogEntry.objects.all():
        yield reverse("admin:identities_routinglogentry_change", args=[entry.pk])
    yield f"{reverse('admin:identities_routinglogentry_changelist')}?review_status__exact=dismissed"
