"""What the catalogue says of a handle, in words that need no manual."""

from __future__ import annotations

import phonenumbers
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import normalising
from identities.models import Handle

COLOURS = {"undocumented": "warn", "agreed": "ok", "retired": "muted"}


def name(handle: Handle) -> str:
    return handle.label or handle.name


def status(handle: Handle) -> SafeString:
    if handle.renamed_to_id is not None:
        return format_html('<span class="badge muted">{}</span>', _("former name"))
    shown = format_html('<span class="badge {}">{}</span>', COLOURS[handle.status], handle.get_status_display())
    if handle.auto_merge:
        shown += format_html(' <span class="badge warn">{}</span>', _("merges by itself"))
    return shown


def writers(handle: Handle) -> str:
    """Who may write it, in as few words as a column has room for."""
    if handle.is_built_in:
        return _("built in")
    if handle.renamed_to_id is not None:
        return _("leads to %(handle)s") % {"handle": handle.renamed_to_id}
    if handle.status == Handle.Status.RETIRED:
        return _("nobody")
    if handle.reserved_for is not None:
        return _("only %(extension)s") % {"extension": handle.reserved_for.name}
    return _("everybody")


def who_writes(handle: Handle) -> str:
    if handle.is_built_in:
        return _("It is built in, and set through the profile's own field.")
    if handle.status == Handle.Status.RETIRED:
        return _("It is retired: nobody adds identities to it, and those that it has are still found.")
    if handle.reserved_for is not None:
        return _("Only %(extension)s writes it.") % {"extension": handle.reserved_for.name}
    return _("Everybody may write it.")


def compared(handle: Handle) -> str:
    """How its identifiers are compared, in as few words as a column has room for."""
    return {
        "exact": _("exactly, trimmed"),
        "fold": _("without regard to case"),
        "digits": _("by its digits alone"),
        "phone": _("as a phone number"),
        "email": _("as an e-mail address"),
    }[handle.normaliser]


def how_compared(handle: Handle) -> SafeString:
    """The same as a sentence, with an example that the normaliser has just worked out."""
    sentence = {
        "exact": _("Compared exactly, trimmed: “{sent}” becomes “{form}”."),
        "fold": _("Compared without regard to case: “{sent}” becomes “{form}”."),
        "digits": _("Compared by its digits alone: “{sent}” becomes “{form}”."),
        "phone": _("Compared as a phone number: “{sent}” becomes “{form}”."),
        "email": _("Compared as an e-mail address: “{sent}” becomes “{form}”."),
    }[handle.normaliser]
    sent, form = example(handle)
    return format_html(sentence, sent=spelled(sent), form=spelled(form))


def spelled(text: str) -> SafeString:
    """An identifier with its blanks, which a page would else leave out."""
    return format_html('<span class="identifier spelled">{}</span>', text)


def example(handle: Handle) -> tuple[str, str]:
    """An identifier as somebody may send it, made of the handle's own example where that will do, and its form."""
    for sample in (handle.example, _sample(handle.normaliser)):
        sent = _misspelled(handle.normaliser, sample)
        try:
            return sent, normalising.normalise(handle.normaliser, sent)
        except ValidationError:
            continue
    raise AssertionError("unreachable")


def _sample(normaliser: str) -> str:
    if normaliser == "phone":
        kind = phonenumbers.PhoneNumberType.MOBILE
        number = phonenumbers.example_number_for_type(settings.PHONE_REGION, kind)
        assert number is not None  # noqa: S101 - settings know no other regions
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return {"exact": "01HX", "fold": "ada.lovelace", "digits": "0042", "email": "ada@example.com"}[normaliser]


def _misspelled(normaliser: str, sample: str) -> str:
    """The sample as a hasty person types it."""
    if normaliser == "digits":
        return _("No. %(sample)s") % {"sample": sample}
    if normaliser == "phone":
        return _dialled(sample)
    return {"exact": f" {sample} ", "fold": sample.upper(), "email": f" {sample.title()}"}[normaliser]


def _dialled(sample: str) -> str:
    try:
        number = phonenumbers.parse(sample, settings.PHONE_REGION)
    except phonenumbers.NumberParseException:
        return sample
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def tried(handle: Handle, text: str) -> SafeString:
    """What would become of a text that somebody tries: its form, or why there is none, and what the pattern says."""
    try:
        form = normalising.normalise(handle.normaliser, text)
    except ValidationError as error:
        return format_html(_("“{sent}” is refused: {reason}"), sent=spelled(text), reason=error.messages[0])
    told = format_html(_("“{sent}” becomes “{form}”."), sent=spelled(text), form=spelled(form))
    if not handle.pattern:
        return told
    verdict = _("It matches the pattern.")
    if not handle.matches(form):
        verdict = _("It does not match the pattern, so it is refused unless a profile has it already.")
    return format_html("{} {}", told, verdict)
