from __future__ import annotations

from profiles.models.attribute import CustomAttribute
from profiles.models.audit import Audit
from profiles.models.balance import FIRST_POINT_DEFINITION, Point, PointDefinition, Reward, RewardDefinition
from profiles.models.batch import ProfileBatch, ProfileBatchRow
from profiles.models.delivery import Delivery
from profiles.models.duplicate_pair import DuplicatePair, DuplicatePairQuerySet
from profiles.models.event import Event
from profiles.models.interaction import Interaction
from profiles.models.merge import Merge, TakenRows
from profiles.models.move import Move
from profiles.models.profile import Profile, ProfileQuerySet, fold_name, is_birth_date
from profiles.models.reaction import Action, Reaction
from profiles.models.record import Record
from profiles.models.transaction import Transaction, TransactionItem
from profiles.models.webhook import Target, Webhook

# Every kind of record by its word.
RECORDS: dict[str, type[Record]] = {one.kind: one for one in (Transaction, Interaction, Point, Reward)}

__all__ = [
    "FIRST_POINT_DEFINITION",
    "RECORDS",
    "Action",
    "Audit",
    "CustomAttribute",
    "Delivery",
    "DuplicatePair",
    "DuplicatePairQuerySet",
    "Event",
    "Interaction",
    "Merge",
    "Move",
    "Point",
    "PointDefinition",
    "Profile",
    "ProfileBatch",
    "ProfileBatchRow",
    "ProfileQuerySet",
    "Reaction",
    "Record",
    "Reward",
    "RewardDefinition",
    "TakenRows",
    "Target",
    "Transaction",
    "TransactionItem",
    "Webhook",
    "fold_name",
    "is_birth_date",
]
