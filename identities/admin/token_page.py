"""What pages say of an API token; the page that issues one, and the one that shows its secret, once."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import issuing
from identities.admin import scopes
from identities.admin.figures import tokens_url, until
from identities.forms import TokenForm
from identities.models import ApiToken, Extension
from identities.models.api_token import SOON
from profiles.admin.base import PlainAdmin, by, change_url


def is_good(token: ApiToken) -> bool:
    """Whether it is neither revoked nor expired."""
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > timezone.now())


def state(token: ApiToken) -> SafeString:
    """Whether the API takes the token, and else why not, as a badge. Its extension must be loaded."""
    if token.revoked_at is not None:
        return _badge("muted", _("revoked"))
    if not is_good(token):
        return _badge("danger", _("expired"))
    if token.extension is not None and not token.extension.enabled:
        return _badge("muted", _("refused: the extension is disabled"))
    if not token.user.is_active:
        return _badge("muted", _("refused: the account is not active"))
    if token.expires_at is not None and token.expires_at <= timezone.now() + SOON:
        return _badge("warn", _("expires in %(time)s") % {"time": until(token.expires_at)})
    return _badge("ok", _("current"))


def _badge(kind: str, text: str) -> SafeString:
    return format_html('<span class="badge {}">{}</span>', kind, text)


def issue_page(
    page: PlainAdmin, request: HttpRequest, *, title: str, user: User, extension: Extension | None, obj: Model | None
) -> HttpResponse:
    """Ask for name, scopes and expiry; then answer with the secret itself.

    No redirect between: the secret would have to be kept somewhere on the way, and a message is kept in a cookie or
    a session. `admin_view` forbids every cache to store the answer. The caller has checked the permission.
    """
    form = TokenForm(request.POST or None, initial=_proposed(request, user, extension))
    if request.method == "POST" and form.is_valid():
        token, plain = issuing.issue(
            user=user,
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires_at=form.expires_at,
            rate_limit=form.cleaned_data["rate_limit"],
            extension=extension,
            by=by(request),
        )
        return page.page(
            request,
            "admin/identities/apitoken/issued.html",
            obj=obj,
            title=_("The token was issued"),
            token=token,
            plain=plain,
            then=change_url(obj or token),
        )
    ticked = set(form["scopes"].value() or ())
    return page.page(
        request,
        "admin/identities/apitoken/issue.html",
        obj=obj,
        title=title,
        account=user.get_username(),
        form=form,
        back=change_url(obj) if obj is not None else tokens_url(),
        groups=[
            (group, [(scope, words, scope in ticked) for scope, words in group.words.items()])
            for group in scopes.GROUPS
        ],
        presets=[(name, preset.label) for name, preset in scopes.PRESETS.items()],
    )


def _proposed(request: HttpRequest, user: User, extension: Extension | None) -> dict[str, Any]:
    """How the form begins: with the scopes of a preset (`?start=`), or like another token of it (`?like=`)."""
    preset = scopes.PRESETS.get(request.GET.get("start", ""))
    if preset is not None:
        return {"scopes": sorted(preset.scopes)}
    like = request.GET.get("like", "")
    if not (like.isascii() and like.isdecimal()) or not request.user.has_perm("identities.view_apitoken"):
        return {}
    token = ApiToken.objects.filter(pk=int(like[:20]), user=user, extension=extension).first()
    if token is None:
        return {}
    return {"name": token.name, "scopes": token.scopes, "rate_limit": token.rate_limit}


def successor_url(request: HttpRequest, token: ApiToken) -> str:
    """The page that issues a token like this one, for those who may: of its extension, or of themselves."""
    if not request.user.has_perm("identities.add_apitoken"):
        return ""
    if token.extension_id is not None:
        url = reverse("admin:identities_extension_issue_token", args=[quote(token.extension_id)])
    elif token.user_id == request.user.pk:
        url = reverse("admin:identities_apitoken_add")
    else:
        return ""
    return f"{url}?{urlencode({'like': token.pk})}"
