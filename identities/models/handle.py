from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Collection
from typing import Any, Self

import re2
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.expressions import RawSQL
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities.models.extension import Extension
from profiles import reading

# A profile's contact points are identities under these two, which nobody may rename, retire, reserve or renormalise.
EMAIL = "email"
MOBILE_PHONE = "mobile_phone"
BUILT_IN = {EMAIL: "email", MOBILE_PHONE: "phone"}

# Words that mean the profile itself in requests, so that no system can be called by them.
NOT_HANDLES = {"id", "profileid"}

# In the order of the statuses: undocumented, agreed, retired.
TO_DO_FIRST = (
    Case(When(status="undocumented", then=0), When(status="agreed", then=1), default=2),
    "name",
)

# Counting stops here, so that the catalogue costs the same at any size.
MOST_COUNTED = 10_000

# What a write goes by. The other columns only tell people what a handle is.
RULES = (
    "renamed_to_id",
    "status",
    "reserved_for_id",
    "normaliser",
    "pattern",
    "single_valued",
    "max_per_profile",
    "immutable",
    "sensitive",
    "priority",
    "auto_merge",
)

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def fold_handle(name: str) -> str:
    """What two spellings of one handle have in common: lower case, without `-` and `_`."""
    return name.strip().casefold().replace("-", "").replace("_", "")


@functools.lru_cache(maxsize=1_000)
def compile_pattern(pattern: str, *, any_case: bool = False) -> re2._Regexp:
    """Compile a regular expression that staff wrote.

    RE2 runs in linear time: a pattern typed in the admin cannot hang a till. Raises ValidationError.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not any_case
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValidationError(
            _("This is not a regular expression: %(reason)s."), code="invalid", params={"reason": reason}
        ) from error


@functools.lru_cache(maxsize=100)
def compile_blocking(patterns: tuple[str, ...]) -> list[re2._Regexp]:
    """What finds a value that one of these patterns of blocked identifiers names. Raises ValidationError.

    One expression for all, since to ask two takes twice as long and every value is asked about. Each for itself where
    together they are too large, or where one could swallow the next: `\\Q` quotes to the end.
    """
    if len(patterns) > 1 and not any("\\Q" in pattern for pattern in patterns):
        with contextlib.suppress(ValidationError):
            return [compile_pattern("|".join(f"(?:{pattern})" for pattern in patterns), any_case=True)]
    return [compile_pattern(pattern, any_case=True) for pattern in patterns]


class HandleQuerySet(models.QuerySet["Handle"]):
    def keep(self, names: Collection[str]) -> dict[str, Handle]:
        """Read these handles anew, and let nobody change them before the commit.

        In the order of their names. It is the lock that a foreign key takes anyway, so that no writer waits for
        another here; whoever changes a handle takes it FOR UPDATE, and waits for them all. Django has no words for
        it. Must run inside a transaction; names that do not exist are absent from the answer.
        """
        return {row.name: row for row in reading.instances(Handle, _keep(), [sorted(names)])}

    # In the statements below a range of one name, and an order by name, say what equality says too. But only the index
    # by handle can answer them so, while equality lets the planner walk the whole table for a handle with few rows.

    def with_usage(self) -> Self:
        """Count each handle's identities, no further than MOST_COUNTED: `usage_count`, `usage_count_is_capped`."""
        counted = RawSQL(  # noqa: S611 - constants only
            """
            (SELECT count(*) FROM (
                SELECT used.handle FROM identities_identity AS used
                WHERE used.handle >= identities_handle.name AND used.handle <= identities_handle.name
                ORDER BY used.handle LIMIT %s
            ) AS counted)
            """,
            [MOST_COUNTED + 1],
            output_field=models.BigIntegerField(),
        )
        return self.annotate(counted=counted)

    def with_seen(self) -> Self:
        """Annotate when the oldest and the newest identity of each handle came: `first_seen` and `last_seen`.

        Two index probes a handle. A handle that ships is older than its first identity.
        """
        first = """
            (SELECT seen.created_at FROM identities_identity AS seen
             WHERE seen.handle >= identities_handle.name AND seen.handle <= identities_handle.name
             ORDER BY seen.handle DESC, seen.id LIMIT 1)
        """
        last = """
            (SELECT seen.created_at FROM identities_identity AS seen
             WHERE seen.handle >= identities_handle.name AND seen.handle <= identities_handle.name
             ORDER BY seen.handle, seen.id DESC LIMIT 1)
        """
        time = models.DateTimeField()
        return self.annotate(
            first_seen=RawSQL(first, [], output_field=time),  # noqa: S611 - constants only
            last_seen=RawSQL(last, [], output_field=time),  # noqa: S611
        )

    def lock(self, *names: str) -> dict[str, Handle]:
        """Lock these handles with their former names against every writer of their identities, and read them anew.

        One query in the order of names, so that two operations that want the same handles wait for each other instead
        of deadlocking. Must run inside a transaction; names that do not exist are absent from the answer.
        """
        rows = self.filter(Q(pk__in=names) | Q(renamed_to__in=names)).order_by("pk").select_for_update()
        return {handle.pk: handle for handle in rows}

    def sensitive(self) -> Self:
        """Those whose identifiers are masked, under a former name too."""
        return self.filter(Q(sensitive=True) | Q(renamed_to__sensitive=True))

    def to_do_first(self) -> Self:
        """What waits for a decision first, what is settled next, and what is over last."""
        return self.order_by(*TO_DO_FIRST)


@functools.cache
def _keep() -> str:
    columns = reading.columns(Handle)
    return f"SELECT {columns} FROM identities_handle WHERE name = ANY(%s) ORDER BY name FOR KEY SHARE"  # noqa: S608


class Handle(models.Model):
    """A kind of name, such as `shopify` or `loyalty-card`: what it is, who may write it, and how it is compared."""

    class Status(models.TextChoices):
        UNDOCUMENTED = "undocumented", _("undocumented")
        AGREED = "agreed", _("agreed")
        RETIRED = "retired", _("retired")

    class Normaliser(models.TextChoices):
        EXACT = "exact", _("exact (trimmed)")
        FOLD = "fold", _("without regard to case")
        DIGITS = "digits", _("digits only")
        PHONE = "phone", _("phone number")
        EMAIL = "email", _("e-mail address")

    name = models.CharField(
        _("name"),
        max_length=64,
        primary_key=True,
        validators=[RegexValidator(rf"^{SLUG.pattern}\Z", _("Use lower-case letters, digits, - and _."))],
    )
    fold = models.CharField(max_length=64, unique=True, editable=False)
    renamed_to = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, editable=False, related_name="former_names"
    )
    label = models.CharField(_("label"), max_length=255, blank=True)
    description = models.TextField(_("description"), blank=True)
    example = models.CharField(_("example"), max_length=255, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.UNDOCUMENTED)
    reserved_for = models.ForeignKey(
        Extension,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="handles",
        verbose_name=_("reserved for"),
        help_text=_("Only this extension then adds, changes or deletes identities of this handle."),
    )
    normaliser = models.CharField(_("normaliser"), max_length=16, choices=Normaliser, default=Normaliser.EXACT)
    pattern = models.CharField(
        _("pattern"),
        max_length=255,
        blank=True,
        help_text=_("A regular expression (RE2) that the whole normal form must match. New writes only."),
    )
    single_valued = models.BooleanField(
        _("single-valued"), default=False, help_text=_("A profile has one active identity of it at most.")
    )
    max_per_profile = models.PositiveIntegerField(_("most per profile"), null=True, blank=True)
    immutable = models.BooleanField(
        _("immutable"), default=False, help_text=_("Its identifiers cannot be changed once written.")
    )
    sensitive = models.BooleanField(_("sensitive"), default=False, help_text=_("Masked in lists and logs."))
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("When a record names several profiles, the bigger number decides.")
    )
    auto_merge = models.BooleanField(
        _("merges by itself"),
        default=False,
        help_text=_(
            "When one write names several profiles, and by handles only that merge by themselves, these become one "
            "without anybody being asked. For numbers that two people never share."
        ),
    )
    agreed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    agreed_at = models.DateTimeField(_("agreed"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now, editable=False)

    objects = HandleQuerySet.as_manager()

    class Meta:
        verbose_name = _("handle")
        verbose_name_plural = _("handles")
        ordering = ["name"]
        constraints = [
            # A former name takes no identities of its own; writes by it go to the handle that it leads to.
            models.CheckConstraint(
                condition=Q(renamed_to=None) | Q(status="retired") & ~Q(renamed_to=F("name")),
                name="former_names_of_handles_are_retired",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.fold = fold_handle(self.name)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        """Hold the catalogue's rules: one spelling per name, built-in handles as they are, patterns that compile."""
        self.fold = fold_handle(self.name)
        if self.fold in NOT_HANDLES:
            raise ValidationError(
                {"name": ValidationError(_("This word means the profile itself."), "invalid_handle")}
            )
        near = Handle.objects.filter(fold=self.fold).exclude(pk=self.pk).first()
        if near is not None:
            message = _("There is a handle %(name)s already; did you mean that?")
            raise ValidationError({"name": ValidationError(message, "unknown_handle", {"name": near.name})})
        if self.pattern:
            try:
                compile_pattern(self.pattern)
            except ValidationError as error:
                raise ValidationError({"pattern": error}) from error
        if self.renamed_to_id is not None and self.status != self.Status.RETIRED:
            message = _("The handle %(name)s is a former name of %(handle)s and stays retired.")
            names = {"name": self.name, "handle": self.renamed_to_id}
            raise ValidationError({"status": ValidationError(message, "retired_handle", names)})
        if self.is_built_in:
            self._clean_built_in()

    def _clean_built_in(self) -> None:
        as_shipped = (
            self.normaliser == BUILT_IN[self.name]
            and self.status == self.Status.AGREED
            and self.reserved_for_id is None
            and self.renamed_to_id is None
            and not (self.single_valued or self.max_per_profile or self.immutable or self.pattern or self.sensitive)
            and not self.auto_merge
        )
        if not as_shipped:
            message = _("Contact points are built in: only label, description, example and priority can change.")
            raise ValidationError(message, code="builtin_handle")

    @property
    def usage_count(self) -> int:
        """How many identities it has, of rows that came `with_usage`."""
        counted: int = self.counted  # type: ignore[attr-defined]
        return min(counted, MOST_COUNTED)

    @property
    def usage_count_is_capped(self) -> bool:
        counted: int = self.counted  # type: ignore[attr-defined]
        return counted > MOST_COUNTED

    @property
    def is_built_in(self) -> bool:
        return self.name in BUILT_IN

    @property
    def rules(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in RULES)

    def matches(self, form: str) -> bool:
        """Whether a normal form matches the pattern, if there is one."""
        return not self.pattern or compile_pattern(self.pattern).fullmatch(form) is not None

    def refuse_writer(self, writer: Extension | None) -> None:
        """The reserved-handle rule (API.md 2): only the extension that claims a handle writes it.

        Asked for every add, change, deactivation and deletion. `writer` is None for staff.
        """
        if self.reserved_for_id is not None and (writer is None or writer.pk != self.reserved_for_id):
            raise ValidationError(
                _("The handle %(handle)s is reserved for the extension %(extension)s."),
                code="reserved_handle",
                params={"handle": self.name, "extension": self.reserved_for_id},
            )


class BlockedIdentifier(models.Model):
    """A value that names nobody ("null", "0", "guest"), under one handle or under all.

    A list ships with the product; each of its entries can be switched off, none can be deleted.
    """

    class Kind(models.TextChoices):
        EXACT = "exact", _("exactly")
        REGEX = "regex", _("regular expression")

    handle = models.ForeignKey(
        Handle, models.CASCADE, null=True, blank=True, related_name="blocked", help_text=_("Empty: under all handles.")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.EXACT)
    value = models.CharField(
        _("value"),
        max_length=255,
        help_text=_("Compared trimmed, unquoted and in any case. A regular expression must match the whole value."),
    )
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    built_in = models.BooleanField(_("shipped"), default=False, editable=False)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("blocked identifier")
        verbose_name_plural = _("blocked identifiers")
        ordering = ["value"]
        constraints = [
            models.UniqueConstraint(
                fields=["handle", "kind", "value"], nulls_distinct=False, name="blocked_identifier_once"
            ),
        ]
        indexes = [
            # The check of every write: enabled entries with one of a few values.
            models.Index(fields=["value"], condition=Q(enabled=True), name="blocked_identifier_by_value"),
        ]

    def __str__(self) -> str:
        return self.value

    def clean(self) -> None:
        if self.kind == self.Kind.EXACT:
            self.value = bare(self.value)
            if not 0 < len(self.value) <= 255:
                raise ValidationError({"value": ValidationError(_("This cannot be an identifier."), code="invalid")})
            return
        try:
            compile_pattern(self.value, any_case=True)
        except ValidationError as error:
            raise ValidationError({"value": error}) from error

    def blocks(self, handle: str, value: str) -> bool:
        """Whether this entry blocks a value that has been made `bare`."""
        if self.handle_id not in (None, handle):
            return False
        if self.kind == self.Kind.EXACT:
            return self.value == value
        return compile_pattern(self.value, any_case=True).fullmatch(value) is not None


def bare(text: str) -> str:
    """A value as blocked values are compared: trimmed, without the quotes around it, in lower case."""
    text = text.strip().casefold()
    while len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    return text
