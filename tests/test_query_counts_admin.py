"""How many statements each list of the admin costs: as many for one row as for fifty."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import F
from django.urls import reverse

from identities.models import BUILT_IN, Extension, Identity, IdentityClaim, RoutingLogEntry
from profiles.models import (
    Action,
    Delivery,
    DuplicatePair,
    Event,
    PointDefinition,
    Profile,
    Reaction,
    RewardDefinition,
    Target,
    Webhook,
)
from tests.benchmarks import population
from tests.staff import rows, signed_in

STAFF = 4  # The session, the user, and their permissions: their own, and their groups'.
LIST = 2  # The bounded count, and the rows of the page.

QUERIES = {
    "auth.group": STAFF + LIST,
    "auth.user": STAFF + LIST + 1,  # The groups to filter by.
    "identities.apitoken": STAFF + LIST + 1,  # The extensions to filter by.
    "identities.blockedidentifier": STAFF + LIST,
    "identities.erasedpair": STAFF + LIST + 1,  # The handles to filter by.
    "identities.extension": STAFF + LIST + 2,  # How they fare, and the handles that they claim.
    "identities.handle": STAFF + LIST,
    "identities.identity": STAFF + LIST + 2,  # The handles and the sources to filter by.
    # The handles and the sources to filter by; what is masked, who has what is claimed, and who that is.
    "identities.identityclaim": STAFF + LIST + 5,
    # The handles and the sources to filter by, what the sentences are about, and the first and the last date.
    "identities.routinglogentry": STAFF + LIST + 5,
    "profiles.audit": STAFF + LIST,
    # The likeliest one, what speaks for the pairs, what the log says of that, and what hangs together with them.
    "profiles.duplicatepair": STAFF + LIST + 7,
    "profiles.interaction": STAFF + LIST + 1,  # The sources to filter by, as of all records.
    "profiles.merge": STAFF + LIST,
    "profiles.move": STAFF + LIST,
    "profiles.point": STAFF + LIST + 1,
    "profiles.pointdefinition": STAFF + LIST,
    "profiles.profile": STAFF + LIST,
    "profiles.reaction": STAFF + LIST + 1,  # Their actions.
    "profiles.reward": STAFF + LIST + 1,
    "profiles.rewarddefinition": STAFF + LIST,
    "profiles.transaction": STAFF + LIST + 1,
    "profiles.webhook": STAFF + LIST,
    # What the filter by target offers.
    "profiles.delivery": STAFF + LIST + 1,
    "profiles.target": STAFF + LIST,
}

LISTS = {model._meta.label_lower: model for model in admin.site._registry}


def fill(count: int) -> None:
    """Make so many more rows of everything that is listed."""
    population.fill(
        population.Sizes(
            profiles=4 * count + 4,
            identities=12 * count + 12,
            entries=count,
            audits=count,
            moves=count,
            merges=count,
            pairs=count,
            handles=count,
            blocked=count,
            tokens=count,
            admin_log=count,
            transactions=count,
            interactions=count,
            points=count,
            rewards=count,
            erased=count,
        )
    )
    definitions = [{"name": f"Made up {number}", "handle": f"made-up-{number}"} for number in range(count)]
    PointDefinition.objects.bulk_create(PointDefinition(**one) for one in definitions)
    RewardDefinition.objects.bulk_create(RewardDefinition(**one) for one in definitions)
    # The log shows what is open, and so does the queue, of what the log says.
    RoutingLogEntry.objects.update(review_status="open")
    entry = RoutingLogEntry.objects.latest("pk")
    DuplicatePair.objects.update(status="open", high=F("second"), evidence={"conflict": [entry.pk]})
    # A page that names a merged profile looks up whom it has become, once for all of them.
    Profile.objects.update(profile_type="active", merged_into=None)
    # Each profile claims what another has.
    held, profile = Identity.objects.exclude(handle__in=BUILT_IN).order_by("pk"), Profile.objects.latest("pk")
    by = User.objects.first() or User.objects.create_user("issuer")
    IdentityClaim.objects.bulk_create(
        IdentityClaim(profile=profile, named=profile, handle=one.handle_id, identifier=one.identifier, by=by)
        for one in held[:count]
    )
    users = User.objects.bulk_create(User(username=f"made-up-{number}") for number in range(count))
    Group.objects.bulk_create(Group(name=f"Made up {number}") for number in range(count))
    Webhook.objects.bulk_create(
        Webhook(trigger="profile.updated", url=f"https://example.com/{user.username}", user=user) for user in users
    )
    reactions = Reaction.objects.bulk_create(Reaction(name=user.username, trigger="tier.changed") for user in users)
    Action.objects.bulk_create(Action(reaction=one, name="filter") for one in reactions)
    targets = Target.objects.bulk_create(Target(url=f"https://example.com/{user.username}") for user in users)
    event = Event.objects.create(trigger="profile.updated", profile=Profile.objects.latest("pk"))
    Delivery.objects.bulk_create(
        Delivery(event=event, target=one, profile=event.profile, message_id=one.url, body="{}") for one in targets
    )
    Extension.objects.bulk_create(
        Extension(slug=user.username, name=user.username, service_account=user) for user in users
    )


def test_every_list_has_a_row() -> None:
    assert set(QUERIES) == set(LISTS)


@pytest.mark.parametrize("count", [1, 50])
@pytest.mark.parametrize("label", QUERIES)
def test_a_list_costs_the_same_for_one_row_and_for_fifty(
    db: None, django_assert_num_queries: Any, label: str, count: int
) -> None:
    fill(count)
    keeper = User.objects.create_user("keeper", is_staff=True)
    keeper.user_permissions.set(Permission.objects.all())
    client, model = signed_in(keeper), LISTS[label]
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

    with django_assert_num_queries(QUERIES[label]):
        response = client.get(url)

    assert len(rows(response)) >= count
