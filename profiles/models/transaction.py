from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from profiles.models.record import Amount, Describable, Record, listed


class Transaction(Describable, Record):
    """A sale or a return, with its items.

    `transacted_at` is an instant; `timezone` keeps where it was that o'clock. An `external_id` is unique for the
    source that gave it, and those without a source share one such space (API.md 4).
    """

    kind = "transaction"

    external_id = models.CharField(_("external id"), max_length=255, blank=True)
    receipt_ref = models.CharField(_("receipt"), max_length=255, blank=True)
    total = Amount(_("total"))
    total_original = Amount(_("original total"), null=True, blank=True)
    is_void = models.BooleanField(_("void"), default=False)
    transacted_at = models.DateTimeField(_("transacted"))
    timezone = models.CharField(_("time zone"), max_length=64)
    # Any text or number, and given back as it came.
    location_id = models.JSONField(_("location"), null=True, blank=True)
    staff_id = models.JSONField(_("member of staff"), null=True, blank=True)
    systems = models.JSONField(_("systems"), default=list, blank=True, encoder=DjangoJSONEncoder)
    payments = models.JSONField(_("payments"), default=list, blank=True, encoder=DjangoJSONEncoder)

    class Meta(Record.Meta):
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")
        constraints = [
            models.UniqueConstraint(
                fields=["external_id", "source"],
                condition=~Q(external_id=""),
                nulls_distinct=False,
                name="unique_transaction_per_source",
            ),
        ]
        indexes = [
            *Record.Meta.indexes,
            *listed("is_void"),
            # A profile's newest: on its page, in the API, with include=transactions. And its sum per month. With what
            # its page filters by, so that one with a hundred thousand is not read for the few that are asked for.
            models.Index(
                fields=["profile", "-transacted_at", "-id"],
                include=["total", "is_void", "source"],
                name="transaction_of_profile",
            ),
            # sort=transacted_at, filter[transacted_at], and a period in the admin's list.
            models.Index(
                fields=["transacted_at", "id"], include=["profile", "source", "is_void"], name="transaction_by_time"
            ),
            # Void ones are few.
            models.Index(
                fields=["-id"], include=["source", "profile"], condition=Q(is_void=True), name="transaction_void"
            ),
            # The number on a receipt, which somebody holds in their hand.
            models.Index(fields=["receipt_ref"], condition=~Q(receipt_ref=""), name="transaction_by_receipt"),
        ]


class TransactionItem(models.Model):
    """One line of a transaction, in the order in which it was sent. `extra` is what else was sent of it."""

    transaction = models.ForeignKey(
        Transaction, models.CASCADE, related_name="items", verbose_name=_("transaction"), db_index=False
    )
    position = models.PositiveIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=255)
    quantity = Amount(_("quantity"))
    price_current = Amount(_("current price"))
    price_sell = Amount(_("selling price"))
    extra = models.JSONField(_("extra"), default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        verbose_name = _("transaction item")
        verbose_name_plural = _("transaction items")
        ordering = ["transaction", "position"]
        constraints = [
            models.UniqueConstraint(fields=["transaction", "position"], name="unique_item_position"),
        ]

    def __str__(self) -> str:
        return self.name
