"""Identities that were erased with their profiles and are kept out: a list, a look-up, and the way back in."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from identities import barring, telling
from identities.admin.filters import HandleFilter
from identities.forms import FindErasedForm
from identities.models import ErasedPair, Handle
from profiles.admin.base import Question, ReadOnlyAdmin, by
from profiles.admin.record_words import instant


@admin.register(ErasedPair)
class ErasedPairAdmin(ReadOnlyAdmin):
    """Which identity a row is, only who knows it can tell, by `find`; and no other row is let in again.

    What is looked for comes in the body of a request and goes back in its answer: never into an address, which logs
    keep, nor into a message, which is stored.
    """

    change_list_template = "admin/identities/erasedpair/change_list.html"
    list_display = ["handle", "erased"]
    list_filter = [HandleFilter]
    sortable_by = ["erased"]
    readonly_fields = fields = ("handle", "erased_at")

    def get_urls(self) -> list[URLPattern]:
        find = self.admin_site.admin_view(self.find_view)
        return [
            path("find/", find, name="identities_erasedpair_find"),
            self.object_path("let-in", self.let_in_view),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("erased"), ordering="pk")
    def erased(self, erased: ErasedPair) -> datetime.datetime:
        return erased.erased_at

    def get_notices(self, request: HttpRequest, obj: ErasedPair) -> list[str]:
        return [_("Of the identifier only a digest is kept: “Find one” tells whether it is the one that you know.")]

    def get_object_tools(self, request: HttpRequest, obj: ErasedPair) -> list[tuple[str, str]]:
        return [(reverse("admin:identities_erasedpair_find"), _("Find one"))]

    @method_decorator(sensitive_post_parameters("identifier"))
    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Tell of a handle and an identifier whether they are kept out."""
        self.demand(request, "identities.view_erasedpair")
        form = FindErasedForm(request.POST if request.method == "POST" else None)
        asked: dict[str, Any] = {}
        if form.is_valid():
            erased = barring.find(form.pair)
            asked = {
                "label": telling.handle_label(form.pair.handle, form.found_handle),
                "identifier": "" if form.found_handle.sensitive else telling.shown(form.pair.identifier, None),
                "erased": erased,
                "at": instant(erased.erased_at) if erased else "",
                "let_in_url": self.object_url("let_in", erased) if erased and _may_let_in(request) else "",
            }
            # Emptied: of a sensitive handle, the page shows nothing either.
            form = FindErasedForm(initial={"handle": form.pair.handle})
        return self.page(
            request,
            "admin/identities/erasedpair/find.html",
            obj=None,
            title=_("Is an identity kept out?"),
            question=None,
            form=form,
            asked=asked,
        )

    def let_in_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        self.demand(request, "identities.delete_erasedpair")
        erased: ErasedPair = self.object_of(request, object_id)
        label = telling.handle_label(erased.handle, Handle.objects.filter(pk=erased.handle).first())

        def act() -> str:
            barring.let_in(erased, by=by(request))
            return _("An identity of %(handle)s is let in again.") % {"handle": label}

        question = Question(
            title=_("Let this identity of %(handle)s in again?") % {"handle": label},
            sentences=[
                _("It was erased on %(at)s, together with its profile, and has been refused since.")
                % {"at": instant(erased.erased_at)},
                _("Whoever writes it next makes it anew, as that of somebody never known: nothing comes back."),
                _("Late copies and old files do so, too: let it in when the person comes back, and for no file."),
                _("Nothing but another erasure keeps it out again. That you did it stands in the audit."),
            ],
            button=_("Yes, let it in"),
            act=act,
            danger=True,
        )
        return self.ask(request, question, obj=erased, then=self._then(request))

    def _then(self, request: HttpRequest) -> str:
        may_view = request.user.has_perm("identities.view_erasedpair")
        return reverse("admin:identities_erasedpair_find" if may_view else "admin:index")


def _may_let_in(request: HttpRequest) -> bool:
    return request.user.has_perm("identities.delete_erasedpair")
