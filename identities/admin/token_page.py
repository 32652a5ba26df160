"""The page that issues an API token, and the one that shows its secret, once."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import issuing
from identities.forms import TokenForm
from identities.models import ApiToken, Extension
from profiles.admin.base import PlainAdmin, Question, by, change_url


def state(token: ApiToken) -> str:
    if token.revoked_at is not None:
        return _("revoked")
    if token.expires_at is not None and token.expires_at <= timezone.now():
        return _("expired")
    return _("current")


def issue_page(
    page: PlainAdmin, request: HttpRequest, *, title: str, user: User, extension: Extension | None, obj: Model | None
) -> HttpResponse:
    """Ask for name, scopes and expiry; then answer with the secret itself.

    No redirect between: the secret would have to be kept somewhere on the way, and a message is kept in a cookie or
    a session. `admin_view` forbids every cache to store the answer. The caller has checked the permission.
    """
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        token, plain = issuing.issue(
            user=user,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires_at=form.cleaned_data["expires_at"],
            rate_limit=form.cleaned_data["rate_limit"],
            extension=extension,
            by=by(request),
        )
        then = change_url(obj or token)
        return page.page(
            request,
            "admin/identities/apitoken/issued.html",
            obj=obj,
            title=_("The token was issued"),
            token=token,
            plain=plain,
            then=then,
        )
    question = Question(
        title=title,
        sentences=[_("The token acts for the account %(account)s.") % {"account": user.get_username()}],
        button=_("Issue"),
        act=str,
        form=form,
    )
    return page.page(
        request, "admin/question.html", obj=obj, title=title, question=question, media=page.media + form.media
    )
