"""No page of the admin reads, sorts or counts a big table: every list in all that it offers, and every page of a row.

What is visited is what is registered, so that a page or a filter that is new is visited without a word here. What cannot
be read from the admin's classes stands in EXTRA and ASKED.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.template.response import TemplateResponse
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from identities.models import Identity
from profiles import exporting
from profiles.auditing import By
from profiles.events import KNOWN
from profiles.merging.rows import MOVES, tables
from profiles.models import RECORDS, Profile
from profiles.models.policy import dying
from tests import plans
from tests.benchmarks import population
from tests.browser import pages
from tests.conftest import put_back
from tests.staff import signed_in

# All in one process: the rows take longer to make than to look at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("big lists of the admin")]

# What somebody types into a search box: whole, begun, too short to be any use, of no one.
TERMS = [
    population.OLDEST,
    "10",
    "T07-",
    "+614",
    "mitchell",
    "mitchell green",
    "mary ann o",
    "a",
    "%",
    "nobody at all",
    "sale-21999",
    "R0000007",
]

# Pages of no model, by name and query. The lists that they lead to are visited, too.
EXTRA = [
    ("admin:index", ""),
    *(("admin:search", urlencode({"q": term})) for term in TERMS),
]

# What else a page of a row may be asked for. OLDEST is the key of the oldest profile.
ASKED = {
    # All that happened to the oldest profile, to which more happened than a statement may read.
    "profiles_profile_change": [
        *(urlencode({"kind": kind}) for kind in RECORDS),
        *("source=staff", "source=shopify", "source=commercetools", "source=zendesk&kind=interaction"),
        *("void=only", "void=no", "void=only&source=commercetools"),
        *("since=2000-01-01&until=2100-01-01", "until=2000-01-01", "since=2100-01-01"),
        *(urlencode({"before": f"{year}-01-01T00:00:00+00:00~interaction~1"}) for year in (2000, 2025, 2100)),
    ],
    "profiles_profile_split": [urlencode({"q": population.OLDEST}), "to=new", "identity=1&to=OLDEST"],
    **{f"profiles_{kind}_move": ["to=OLDEST", "to=nobody", urlencode({"q": population.OLDEST})] for kind in RECORDS},
    "profiles_profile_duplicates": [urlencode({"q": term}) for term in (population.OLDEST, "a")],
    "identities_routinglogentry_send": ["to=OLDEST"],
    "identities_identity_move": ["to=OLDEST", *(urlencode({"q": term}) for term in (population.OLDEST, "a"))],
    "identities_identity_mark": ["mark=primary"],
    **{
        f"profiles_{kind}_try": [
            "profile=OLDEST&trigger=profile.updated",
            *(f"profile=OLDEST&trigger={trigger}" for trigger in KNOWN if trigger.endswith((".created", ".merged"))),
            *(urlencode({"profile": term, "trigger": "balance.updated"}) for term in (population.OLDEST, "a")),
        ]
        for kind in ("webhook", "reaction")
    },
    "identities_handle_rename": ["to=another-name"],
    "identities_handle_merge_into": ["into=loyalty-card"],
}


# What a merge would move, or its undo, is read and counted in full on the pages that say so, since it would be moved in
# full; with it, the moves of what is moved.
IN_FULL = re.compile(r"^/admin/profiles/(profile/merge/|merge/\d+/undo/|duplicatepair/\d+/|profile/ .*merge_selected)")
MOVED = "|".join([*(table.name for table in tables()), MOVES])
OF_WHAT_MOVES = re.compile(rf"^(counts ({MOVED}) without a bound|reads [\d,]+ rows of ({MOVED}) \()")

# So is what an erasure would delete.
ERASED = re.compile(r"^/admin/profiles/profile/[^/]+/erase/")
DYING = "|".join(model._meta.db_table for model in dying(Profile))
OF_WHAT_DIES = re.compile(rf"^(counts ({DYING}) without a bound|reads [\d,]+ rows of ({DYING}) \()")

# What an event shows of a profile is the whole of it, as the API has it, and so is what a page shows that tries it.
TRIED = re.compile(r"^/admin/profiles/(webhook|reaction)/\d+/try/")
DOCUMENT = "json_build_object("


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
LISTS = {list_of(model) for model in MODELS}
each_model = pytest.mark.parametrize("model", MODELS, ids=[model._meta.label_lower for model in MODELS])


@pytest.fixture(scope="module")
def big(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[set[str]]:
    """Fill the tables for this module. Returns the names of the big ones."""
    with django_db_blocker.unblock():
        put_back()
        population.fill(
            population.Sizes(
                profiles=200_000,
                identities=400_000,
                entries=200_000,
                audits=200_000,
                pairs=200_000,
                merges=12_000,
                claims=40_000,
                erased=40_000,
                transactions=22_000,
                interactions=11_000,
                points=11_000,
                rewards=11_000,
            )
        )
        pages.fill_listening(By(User.objects.get(username="population")))
        try:
            yield plans.big_tables()
        finally:
            put_back()


class Visitor:
    """Opens pages as somebody who may do everything, and looks at what each of them asks of the database."""

    def __init__(self, big: set[str]) -> None:
        self.big = big
        user = User.objects.get(username="population")
        user.is_superuser = True
        user.save()
        self.client = signed_in(user)
        self.plans: dict[str, plans.Plan] = {}
        self.faults: list[str] = []
        self.followed: set[str] = set()

    def open(
        self, url: str, query: str = "", *, send: dict[str, Any] | None = None, is_drawn: bool = True, refused: int = 0
    ) -> Any:
        """Get the page, or send something to it, and follow where it leads. It may be refused with this status.

        Drawing the HTML is most of what a page costs; what only differs in what it asks for need not be drawn.
        """
        address = f"{url}?{query}" if query else url
        with CaptureQueriesContext(connection) as captured, pytest.MonkeyPatch.context() as patched:
            if not is_drawn:
                patched.setattr(TemplateResponse, "rendered_content", "")
            method = self.client.get if send is None else self.client.post
            call = method(address, send, follow=True)
        assert call.status_code in (200, refused), (address, call.status_code)
        self.look(address if send is None else f"{address} {send}", [one["sql"] for one in captured])
        return call

    def follow(self, page: Any) -> None:
        """Open the lists that a page leads to, as it asks for them: the rows behind a figure, say."""
        for href in re.findall(r'href="([^"]+)"', page.content.decode()):
            address = urljoin(page.request["PATH_INFO"], html.unescape(href))
            path, _mark, query = address.partition("?")
            if path in LISTS and query and address not in self.followed:
                self.followed.add(address)
                self.open(path, query, is_drawn=False)

    def look(self, page: str, statements: Iterable[str]) -> None:
        for sql in statements:
            if not plans.only_reads(sql) or not any(table in sql for table in self.big):
                continue
            if TRIED.match(page) and DOCUMENT in sql:
                continue
            if sql not in self.plans:
                self.plans[sql] = plans.Plan(sql, self.big)
            found = self.plans[sql].faults
            if IN_FULL.match(page):
                found = [fault for fault in found if not OF_WHAT_MOVES.match(fault)]
            if ERASED.match(page):
                found = [fault for fault in found if not OF_WHAT_DIES.match(fault)]
            self.faults += [f"{page}\n  {fault}:\n  {sql}" for fault in found]


class ListVisit:
    """One list in all that it offers: pages, filters, columns to sort by, search, and columns in its address."""

    def __init__(self, visitor: Visitor, model: type[Model]) -> None:
        self.visitor, self.model = visitor, model
        self.url = list_of(model)
        self.drawn: set[tuple[str, ...]] = set()
        self.plain = self.open()
        # A small table cannot be made big by asking for two things together.
        self.is_big = model._meta.db_table in visitor.big

    def open(self, *queries: str, refused: int = 0) -> Any:
        """The page of the list that these queries together ask for. It is drawn when none of its kind has been."""
        kind = tuple(query.partition("=")[0] for query in queries if query)
        is_drawn = kind not in self.drawn
        self.drawn.add(kind)
        query = "&".join(filter(None, queries))
        response = self.visitor.open(self.url, query, is_drawn=is_drawn, refused=refused)
        return response.context_data["cl"] if response.status_code == 200 else None

    def all(self) -> None:
        self.far_page(self.plain)
        self.open("_popup=1", f"_to_field={self.model._meta.pk.name}")
        filters = [self.choices(spec) for spec in self.plain.filter_specs]
        if self.is_big:
            for one, other in itertools.combinations(filters, 2):
                for both in itertools.product(one, other):
                    self.open(*both)
        self.sorts(filters)
        if self.plain.date_hierarchy:
            self.dates(self.plain.date_hierarchy, filters)
        if self.plain.search_fields:
            for term, query in itertools.product(TERMS, ["", *(some[0] for some in filters if some and self.is_big)]):
                self.open(urlencode({"q": term}), query)
        self.columns()

    def far_page(self, plain: Any, *queries: str) -> None:
        """The last page that can be turned to."""
        if plain.paginator.num_pages > 1:
            self.open(*queries, f"p={plain.paginator.num_pages}")

    def choices(self, spec: Any) -> list[str]:
        """Choose everything that a filter offers. Returns what many rows have, what few, and what none."""
        found = []
        for choice in spec.choices(self.plain):
            query = choice["query_string"].removeprefix("?")
            listed = self.open(query)
            self.far_page(listed, query)
            if query:
                found.append((listed.result_count, query))
        found.sort(reverse=True)
        some, none = ([query for count, query in found if bool(count) == wanted] for wanted in (True, False))
        return list(dict.fromkeys([*some[:1], *some[len(some) // 2 :][:1], *some[-1:], *none[:1]]))

    def sorts(self, filters: list[list[str]]) -> None:
        """By every column in both directions, offered or not: the address can ask for any."""
        for number, column in enumerate(self.plain.list_display):
            for order in (f"o={number}", f"o=-{number}"):
                self.far_page(self.open(order), order)
                if self.is_big and column in self.plain.sortable_by:
                    for query in itertools.chain(*filters):
                        self.open(order, query)

    def dates(self, column: str, filters: list[list[str]]) -> None:
        """The year, the month and the day of the newest row; the day also with something else."""
        newest = getattr(self.model._default_manager.latest(column), column)
        for parts in (["year"], ["year", "month"], ["year", "month", "day"]):
            query = urlencode({f"{column}__{part}": getattr(newest, part) for part in parts})
            self.far_page(self.open(query), query)
        for other in itertools.chain(*filters):
            self.open(query, other)

    def columns(self) -> None:
        """Ask for the value that a row has, column by column. What would read the table is to be refused."""
        for row in self.model._default_manager.order_by("pk")[:1]:
            for column in self.model._meta.concrete_fields:
                self.open(urlencode({f"{column.name}__exact": column.value_from_object(row)}), refused=400)


def visit_rows(visitor: Visitor, model: type[Model]) -> None:
    """All pages of the first row and of the last, and the actions that the list offers for some and for all."""
    in_order = model._default_manager.order_by("pk")
    rows = list({row.pk: row for row in (in_order.first(), in_order.last()) if row is not None}.values())
    oldest = str(Profile.objects.order_by("pk").values_list("pk", flat=True)[0])
    for pattern in admin.site._registry[model].get_urls():
        if pattern.name and "<path:object_id>" in str(pattern.pattern):
            for row, query in itertools.product(rows, ["", *ASKED.get(pattern.name, [])]):
                address = reverse(f"admin:{pattern.name}", args=[quote(row.pk)])
                page = visitor.open(address, query.replace("OLDEST", oldest), refused=403)
                visitor.follow(page)
        elif pattern.name and "<" not in str(pattern.pattern):
            visitor.open(reverse(f"admin:{pattern.name}"), refused=403)
    url = list_of(model)
    request = visitor.open(url).wsgi_request
    some = [str(row.pk) for row in in_order[:3]]
    for action in admin.site._registry[model].get_actions(request):
        for every in ("0", "1"):
            visitor.open(url, send={"action": action, "_selected_action": some, "select_across": every})


@each_model
def test_no_list_reads_a_big_table(big: set[str], db: None, model: type[Model]) -> None:
    visitor = Visitor(big)

    ListVisit(visitor, model).all()

    assert not visitor.faults, "\n\n".join(visitor.faults)


@each_model
def test_no_page_of_a_row_reads_a_big_table(big: set[str], db: None, model: type[Model]) -> None:
    visitor = Visitor(big)

    visit_rows(visitor, model)

    assert not visitor.faults, "\n\n".join(visitor.faults)


def test_no_other_page_reads_a_big_table(big: set[str], db: None) -> None:
    visitor = Visitor(big)

    for name, query in EXTRA:
        visitor.follow(visitor.open(reverse(name), query))
    for model, its_admin in admin.site._registry.items():
        visitor.open(reverse("admin:app_list", args=[model._meta.app_label]))
        for field in its_admin.autocomplete_fields:
            asked = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field}
            for term in ("", *TERMS):
                visitor.open(reverse("admin:autocomplete"), urlencode(asked | {"term": term}))

    assert not visitor.faults, "\n\n".join(visitor.faults)


def test_an_export_of_a_profile_reads_no_big_table(big: set[str], db: None) -> None:
    visitor = Visitor(big)
    by = By(User.objects.get(username="population"))

    # Somebody of many; whatever there is of a person is read and summed up.
    somebody = Identity.objects.order_by("-pk").values_list("profile", flat=True)[0]
    with CaptureQueriesContext(connection) as captured:
        told = b"".join(exporting.export(somebody, by=by).pieces)
    visitor.look("export", [one["sql"] for one in captured])

    assert len(told) < 100_000 and len(visitor.plans) > len(RECORDS)
    faults = [fault for fault in visitor.faults if "counts" not in fault.splitlines()[1]]
    assert not faults, "\n\n".join(faults)


def test_what_would_read_a_big_table_is_noticed(big: set[str], db: None) -> None:
    def faults(sql: str) -> list[str]:
        return plans.Plan(sql, big).faults

    assert big >= {"profiles_profile", "identities_identity", "identities_routinglogentry", "profiles_audit"}
    assert big >= {f"profiles_{kind}" for kind in RECORDS}
    assert faults("SELECT id FROM profiles_profile ORDER BY id DESC LIMIT 50") == []
    assert faults("SELECT count(*) FROM (SELECT 1 FROM profiles_profile LIMIT 10000) AS few") == []
    for sql, fault in {
        "SELECT id FROM profiles_profile WHERE company = 'x'": "reads profiles_profile from its beginning",
        "SELECT id FROM profiles_profile WHERE company = '' LIMIT 9": "reads profiles_profile from its beginning",
        "SELECT count(*) FROM identities_identity WHERE id < 99": "counts identities_identity without a bound",
        "SELECT id FROM profiles_audit ORDER BY url LIMIT 9": "sorts 200,005 rows by profiles_audit.url",
        "SELECT url FROM profiles_audit ORDER BY id OFFSET 14999 LIMIT 1": "reads 15,000 rows of profiles_audit (Index Scan)",
        # By which index is the planner's affair.
        "SELECT id FROM profiles_profile": "reads 200,000 entries of profile",
    }.items():
        assert any(found.startswith(fault) for found in faults(sql)), (sql, faults(sql))
