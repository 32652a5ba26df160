from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from django_filters import rest_framework as filters
from rest_framework import serializers
from rest_framework.pagination import PageNumberPagination
from rest_framework.viewsets import ModelViewSet

from identities.models import Identity
from profiles.models import Profile, Transaction, TransactionItem

NEWEST = 10


class IdentitySerializer(serializers.ModelSerializer):
    class Meta:
        model = Identity
        fields = "__all__"


class ItemSerializer(serializers.ModelSerializer):
    class Meta:
        model = TransactionItem
        fields = "__all__"


class TransactionSerializer(serializers.ModelSerializer):
    items = ItemSerializer(many=True)

    class Meta:
        model = Transaction
        fields = "__all__"


class ProfileSerializer(serializers.ModelSerializer):
    identities = IdentitySerializer(many=True)
    transactions = TransactionSerializer(many=True, source="newest_transactions")

    class Meta:
        model = Profile
        fields = "__all__"


class Page(PageNumberPagination):
    page_size = 15


class ProfileFilter(filters.FilterSet):
    handle = filters.CharFilter()
    identifier = filters.CharFilter()

    class Meta:
        model = Profile
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[Profile]) -> QuerySet[Profile]:
        # In one call, since two would join the identities twice and find a profile as often as it has some.
        asked = self.form.cleaned_data
        return queryset.filter(identities__handle=asked["handle"], identities__identifier=asked["identifier"])


class IdentityViewSet(ModelViewSet):
    """Identities by handle and identifier, flat."""

    queryset = Identity.objects.order_by("pk")
    serializer_class = IdentitySerializer
    pagination_class = Page
    filter_backends = [filters.DjangoFilterBackend]
    filterset_fields = ["handle", "identifier"]


class ProfileViewSet(ModelViewSet):
    """Profiles by an identity, with their identities and newest transactions nested."""

    queryset = Profile.objects.order_by("pk").prefetch_related(
        "identities",
        Prefetch(
            "transactions",
            Transaction.objects.order_by("-transacted_at", "-pk").prefetch_related("items")[:NEWEST],
            to_attr="newest_transactions",
        ),
    )
    serializer_class = ProfileSerializer
    pagination_class = Page
    filter_backends = [filters.DjangoFilterBackend]
    filterset_class = ProfileFilter
