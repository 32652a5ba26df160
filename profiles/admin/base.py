"""What the admin pages of both apps share: pages whose save is an operation, pages that only show, confirmations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.models import User
from django.core.exceptions import (
    ObjectDoesNotExist,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import DateTimeField, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from omneo_identity.api.addresses import client_address
from omneo_identity.api.auth import MAX_USER_AGENT
from profiles import auditing
from profiles.admin.lists import BoundedAdmin
from profiles.auditing import By
from profiles.forms import DateTimeWidget, OperationForm, TextKeyField
from profiles.models import Profile
from profiles.refusing import Refused

# A page that lists what it is about to do must still be read by somebody.
MOST_AT_ONCE = 200


def by(request: HttpRequest) -> By:
    """Who does it, for the `by=` of an operation."""
    return By(
        user=cast(User, request.user),
        url=request.path,
        ip_address=client_address(request),
        user_agent=request.headers.get("User-Agent", "").replace("\0", "")[:MAX_USER_AGENT],
    )


def change_url(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(row.pk)])


def link(row: Model | None, text: str | None = None) -> SafeString:
    """The row's name, leading to its page."""
    return format_html('<a href="{}">{}</a>', change_url(row), text or str(row)) if row else SafeString("-")


def pretty(value: Any) -> SafeString:
    """JSON for people, escaped."""
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))


def explain(refusal: Refused, request: HttpRequest) -> str:
    """The refusal's sentence. When it is about somebody else's profile, that is linked for those who may see it."""
    profile_id = refusal.details.get("profile_id") or refusal.details.get("survivor_id")
    if profile_id is None or not request.user.has_perm("profiles.view_profile"):
        return refusal.message
    owner = Profile.objects.filter(pk=profile_id).first()
    return format_html("{} ({})", refusal.message, link(owner)) if owner else refusal.message


@dataclass(frozen=True)
class Question:
    """A page that says what is about to happen and asks once more.

    `act` does it and returns the sentence for afterwards, once `form`, if any, is valid; `hindrance` is the reason why
    it cannot be done. A `template` that extends the usual one shows more of it, from `context`.
    """

    title: str
    sentences: Sequence[str]
    button: str
    act: Callable[[], str]
    listed: Sequence[str] = ()
    hindrance: str = ""
    danger: bool = False
    hidden: Mapping[str, Sequence[str]] = field(default_factory=dict)
    form: forms.Form | None = None
    template: str = "admin/question.html"
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def may_act(self) -> bool:
        return not self.hindrance and (self.form is None or self.form.is_valid())


class Asked(Exception):
    """A form is filled in well, and what it would do has to be asked about first. Nothing has been written."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.title)
        self.question = question


# By this an answer to a question is told from the form that was asked about.
SURE = "_sure"


class PlainAdmin(BoundedAdmin):
    """Bounded lists, tools and notices on the change page, and pages of our own that name their permission."""

    change_form_template = "admin/change_page.html"
    formfield_overrides = {DateTimeField: {"form_class": forms.SplitDateTimeField, "widget": DateTimeWidget}}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if "\0" in search_term:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(db_field, request, **{"form_class": TextKeyField, **kwargs})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            return HttpResponseRedirect(f"{request.path}?e=1")
        # The page is called by what it shows, not by what one is told to do there.
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def get_object_tools(self, request: HttpRequest, obj: Any) -> list[tuple[str, str]]:
        """URLs and labels of the buttons beside *History*, for this person."""
        return []

    def response_action(  # type: ignore[override]  # the stubs are a version ahead
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(key)
            except ValidationError as error:
                raise SuspiciousOperation("An action was sent with something that is no key.") from error
        return super().response_action(request, queryset)

    def get_notices(self, request: HttpRequest, obj: Any) -> list[str]:
        """Sentences above the form: why the page is as it is."""
        return []

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context["object_tools"] = self.get_object_tools(request, obj)
            context["notices"] = self.get_notices(request, obj)
            if context.get("subtitle"):
                context |= {"title": context["subtitle"], "subtitle": None}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The audit of this row, which knows what was done through the API, too."""
        self.demand(request, "profiles.view_audit")
        entry = auditing.entry("viewed", self.object_of(request, object_id), by=by(request))
        about = urlencode({"auditable_type": entry.auditable_type, "auditable_key": entry.auditable_key})
        return HttpResponseRedirect(f"{reverse('admin:profiles_audit_changelist')}?{about}")

    def object_path(self, name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
        """A page of one object: `<object id>/<name>/`, reversed as `admin:<app>_<model>_<name>`."""
        label = f"{self.opts.app_label}_{self.opts.model_name}_{name.replace('-', '_')}"
        return path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=label)

    def object_url(self, name: str, obj: Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=[quote(obj.pk)])

    def demand(self, request: HttpRequest, *permissions: str) -> None:
        """Refuse whoever lacks one of these permissions; `admin_view` only asks whether they are staff."""
        if not request.user.has_perms(permissions):
            raise PermissionDenied

    def object_of(self, request: HttpRequest, object_id: str) -> Any:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        return obj

    def ask(self, request: HttpRequest, question: Question, *, obj: Model | None, then: str) -> HttpResponse:
        """Show the question on GET; on POST do it, tell what was done, and go on to the URL `then`."""
        if request.method == "POST" and question.may_act:
            try:
                done = question.act()
            except Refused as refusal:
                messages.error(request, explain(refusal, request))
            except ObjectDoesNotExist:
                raise Http404 from None
            else:
                messages.success(request, done)
                return HttpResponseRedirect(then)
        return self.question_page(request, question, obj=obj)

    def question_page(self, request: HttpRequest, question: Question, *, obj: Model | None) -> TemplateResponse:
        return self.page(
            request, question.template, obj=obj, title=question.title, question=question, **question.context
        )

    def page(
        self, request: HttpRequest, template: str, *, obj: Model | None, title: str, **context: Any
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "title": title,
            "media": self.media,
            "has_view_permission": self.has_view_permission(request, obj),
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete selected %(verbose_name_plural)s"))
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """In place of the stock action, which deletes rows behind the operations' back."""
        selected = list(queryset.order_by("pk")[: MOST_AT_ONCE + 1])
        if len(selected) > MOST_AT_ONCE:
            messages.error(request, _("Select %(most)s at most.") % {"most": MOST_AT_ONCE})
            return None
        if request.POST.get("post"):
            self._delete_each(request, selected)
            return None
        names = self.opts.verbose_name_plural
        question = Question(
            title=_("Delete several %(names)s?") % {"names": names},
            sentences=self.deletion_means(),
            button=_("Yes, delete them"),
            act=str,
            listed=[str(self.deletion_label(obj)) for obj in selected],
            danger=True,
            hidden={
                "action": ["delete_selected"],
                "post": ["yes"],
                ACTION_CHECKBOX_NAME: [str(obj.pk) for obj in selected],
            },
        )
        return self.page(request, "admin/question.html", obj=None, title=question.title, question=question)

    def _delete_each(self, request: HttpRequest, selected: Iterable[Any]) -> None:
        """Each by its own operation: what is refused stays and is told, the others go."""
        deleted = []
        for obj in selected:
            label = self.deletion_label(obj)
            try:
                self.remove(obj, by=by(request))
            except Refused as refusal:
                messages.error(request, format_html("{}: {}", label, explain(refusal, request)))
            except ObjectDoesNotExist:
                messages.warning(request, _("%(name)s was gone already.") % {"name": label})
            else:
                deleted.append(obj)
        if deleted:
            self.log_deletions(request, deleted)  # type: ignore[arg-type]  # a list will do
            number = len(deleted)
            done = ngettext("%(number)s was deleted.", "%(number)s were deleted.", number) % {"number": number}
            messages.success(request, done)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        obj = self.object_of(request, object_id)
        label = self.deletion_label(obj)

        def act() -> str:
            self.remove(obj, by=by(request))
            self.log_deletions(request, [obj])  # type: ignore[arg-type]
            return _("%(name)s was deleted.") % {"name": label}

        question = Question(
            title=_("Delete %(name)s?") % {"name": label},
            sentences=self.deletion_means(obj),
            listed=self.deletion_lists(obj),
            button=_("Yes, delete"),
            act=act,
            hindrance=self.deletion_hindrance(request, obj),
            danger=True,
        )
        return self.ask(request, question, obj=obj, then=self.url_after_deletion(request, obj))

    def remove(self, obj: Any, *, by: By) -> None:
        """Delete by the operation that knows how. Pages that cannot delete have no permission to."""
        raise PermissionDenied

    def deletion_label(self, obj: Any) -> str:
        return str(obj)

    def deletion_means(self, obj: Any = None) -> list[str]:
        """What it means to delete this, or several like it."""
        return []

    def deletion_lists(self, obj: Any) -> list[str]:
        return []

    def deletion_hindrance(self, request: HttpRequest, obj: Any) -> str:
        return ""

    def url_after_deletion(self, request: HttpRequest, obj: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


class OperationAdmin(PlainAdmin):
    """Pages whose save is one operation, which owns its locks, checks, log rows and audit.

    `create` and `update` get what was typed and return the row; `OperationForm` runs them as its last check.
    """

    form: type[OperationForm] = OperationForm

    def create(self, typed: Mapping[str, Any], *, by: By) -> Model:
        raise PermissionDenied

    def update(self, obj: Any, typed: Mapping[str, Any], *, by: By) -> Model:
        """Change the row; `typed` holds only the fields that the person changed."""
        raise PermissionDenied

    def question_before(self, request: HttpRequest, obj: Any, typed: Mapping[str, Any]) -> Question | None:
        """What to ask before `create` (no `obj`) or `update`; its `act` and `hidden` are not used: the form is."""
        return None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        base = super().get_form(request, obj, change=change, **kwargs)

        def write(form: OperationForm) -> Model:
            typed = {name: form.cleaned_data[name] for name in form.changed_data} if change else form.cleaned_data
            try:
                question = None
                if SURE not in request.POST:
                    question = self.question_before(request, form.instance if change else None, typed)
                if question is not None:
                    raise Asked(question)
                if not change:
                    return self.create(typed, by=by(request))
                return self.update(form.instance, typed, by=by(request))
            except Refused as refusal:
                raise ValidationError({refusal.field or "__all__": explain(refusal, request)}) from refusal
            except ObjectDoesNotExist as error:
                message = _("%(name)s is gone: somebody has deleted it meanwhile.")
                raise ValidationError(message % {"name": capfirst(self.opts.verbose_name)}) from error

        return type(base.__name__, (base,), {"write": write})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Asked as asked:
            typed = {name: values for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"}
            question = replace(asked.question, hidden={**typed, SURE: ["yes"]})
            obj = self.get_object(request, unquote(object_id)) if object_id else None
            return self.question_page(request, question, obj=obj)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.written

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The operation has saved it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """What is related is the operation's, too."""


class ReadOnlyAdmin(PlainAdmin):
    """Rows that are only read here, by nobody changed."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
