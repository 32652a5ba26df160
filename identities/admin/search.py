"""The one search box: a name, a contact point, a profile id or any identifier, from every page."""

from __future__ import annotations

from dataclasses import replace

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from identities import finding
from profiles.admin.base import change_url
from profiles.admin.profile_words import survivors_of


def page(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Open the profile that the text names; of several, say why each was found."""
    if not request.user.has_perm("profiles.view_profile"):
        raise PermissionDenied
    text = request.GET.get("q", "")
    found = finding.find(text)
    if len(found.hits) == 1:
        (hit,) = found.hits
        if not any(reason.is_whole for reason in hit.reasons):
            # Whoever typed the beginning of a name may have meant somebody who is not here.
            told = _("The only one found for “%(text)s”. Is it who you meant?") % {"text": text.strip()[:100]}
            messages.info(request, told)
        return HttpResponseRedirect(change_url(hit.profile))
    survivors = survivors_of(hit.profile for hit in found.hits)
    request.current_app = site.name
    context = {
        **site.each_context(request),
        "title": _title(text.strip()[:100], found),
        "searched": text,
        "found": found,
        "rows": [
            {
                "profile": hit.profile,
                "url": change_url(hit.profile),
                # Found by its own id or name, a merged profile is somebody else's past.
                "survivor": survivors.get(hit.profile.pk),
                "survivor_url": change_url(survivors[hit.profile.pk]) if hit.profile.pk in survivors else "",
                "reasons": [_shown(request, reason) for reason in hit.reasons],
            }
            for hit in found.hits
        ],
    }
    return TemplateResponse(request, "admin/search.html", context)


def _title(text: str, found: finding.Found) -> str:
    if not text:
        return _("Find a profile")
    return (_("Found for “%(text)s”") if found.hits else _("Nobody found for “%(text)s”")) % {"text": text}


def _shown(request: HttpRequest, reason: finding.Reason) -> finding.Reason:
    """Who may not see identities is told which system knows the profile, not under which identifier."""
    if reason.handle and not request.user.has_perm("identities.view_identity"):
        return replace(reason, text="")
    return reason
