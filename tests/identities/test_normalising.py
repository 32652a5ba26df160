from __future__ import annotations

import json
import unicodedata

import pytest
from django.core.exceptions import ValidationError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from identities import adding, lookup, matching, normalising
from identities.handles import Sent
from identities.models import Handle, Identity, RoutingLogEntry
from identities.normalising import NORMALISERS, forms, normalise
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, route

# normaliser, what it is stored as, other spellings of the same
SAME = [
    ("exact", "Ada", ["  Ada ", "\tAda\n", "\u2003Ada\u00a0"]),
    ("exact", "Zo\u00eb", ["Zoe\u0308"]),
    ("exact", "\u1ed9", ["o\u0323\u0302", "o\u0302\u0323", "\u00f4\u0323"]),
    ("exact", "\u00c5", ["\u212b", "A\u030a"]),
    ("exact", "card \U0001f6d2", [" card \U0001f6d2"]),
    ("fold", "ada.lovelace", ["Ada.Lovelace", "ADA.LOVELACE", "\uff21da.\uff2covelace", " ada.lovelace\u3000"]),
    ("fold", "office", ["o\ufb03ce", "OFFICE", "\uff4fffice"]),
    ("fold", "strasse", ["stra\u00dfe", "STRASSE", "STRA\u1e9eE"]),
    ("fold", "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3", ["\u03a3\u0399\u0301\u03a3\u03a5\u03a6\u039f\u03a3", "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2"]),
    ("fold", "i\u0307stanbul", ["\u0130stanbul", "i\u0307STANBUL"]),
    ("fold", "zo\u00eb", ["ZOE\u0308", "Zo\u00eb"]),
    ("fold", "\U00010428", ["\U00010400"]),
    ("digits", "0012503", ["00-12-503", "\uff10\uff10\uff11\uff12\uff15\uff10\uff13", "\u0660\u0660\u0661\u0662\u0665\u0660\u0663", "No 0012503"]),
    ("email", "ada@example.com", ["Ada@Example.COM", " ADA@EXAMPLE.COM ", "ada@\uff45xample.com"]),
    ("email", "ada@xn--bcher-kva.example", ["Ada@B\u00dcCHER.example", "ada@bu\u0308cher.example", "ADA@XN--BCHER-KVA.EXAMPLE"]),
    ("email", "zo\u00eb@example.com", ["ZOE\u0308@example.com", "Zo\u00cb@example.com"]),
    ("email", "strasse@example.com", ["stra\u00dfe@example.com"]),
    ("phone", "+61404123123", ["0404 123 123", "+61 404 123 123", "(04) 0412-3123", "0011 61 404 123 123", "\uff0b\uff16\uff11 404 123 123", "\u0660\u0664\u0660\u0664\u0661\u0662\u0663\u0661\u0662\u0663", "0404\u2011123\u2011123", "+61 (0)404 123 123"]),
    ("phone", "+442079460018", ["+44 20 7946 0018", "0011 44 20 7946 0018"]),
    ("phone", "+390612345678", ["+39 06 1234 5678"]),
]  # fmt: skip

# normaliser, identifiers that look alike and are different people's
DIFFERENT = [
    ("exact", ["Ada", "ada"]),
    ("exact", ["A1", "\u0391" "1", "\u0410" "1", "\uff21" "1"]),
    ("exact", ["stra\u00dfe", "strasse"]),
    ("exact", ["0012503", "12503", "12503.0"]),
    ("fold", ["ada", "\u0430da", "\u0251da"]),
    ("fold", ["o\u03bf", "oo", "\u043eo"]),
    ("fold", ["istanbul", "\u0131stanbul", "\u0130stanbul"]),
    ("fold", ["zoe", "zo\u00eb"]),
    ("fold", ["\U0001f469", "\U0001f469\U0001f3fd"]),
    ("digits", ["0012503", "12503"]),
    ("email", ["ada@example.com", "\u0430da@example.com", "ada@ex\u0430mple.com", "ada+shop@example.com", "a.da@example.com"]),
    ("email", ["ada@stra\u00dfe.example", "ada@strasse.example"]),
    ("phone", ["0404 123 123", "+1 404 123 1234", "+64 404 123 123"]),
]  # fmt: skip

INVISIBLE = {
    "NUL": "\0",
    "a control character": "\x07",
    "a line break": "\n",
    "a soft hyphen": "\u00ad",
    "a zero width space": "\u200b",
    "a zero width joiner": "\u200d",
    "a word joiner": "\u2060",
    "a byte order mark": "\ufeff",
    "right to left": "\u202e",
    "a bidi isolate": "\u2066",
    "a tag character": "\U000e0041",
    "half a surrogate pair": "\ud83d",
    "the other half": "\ude00",
    "a character that is not assigned": "\u0378",
    "a noncharacter": "\uffff",
    "a combining grapheme joiner": "\u034f",
    "a Hangul filler": "\u3164",
    "a half-width Hangul filler": "\uffa0",
    "a Khmer vowel that is not drawn": "\u17b4",
    "a Mongolian variation selector": "\u180b",
    "a variation selector": "\ufe0f",
    "a variation selector of the supplement": "\U000e0100",
}

# Text as only an attacker sends it, with all that the plain strategy rarely draws.
AWKWARD = "".join(INVISIBLE.values()) + "\u0345\u0301\u0307\u1e9e\u03c2\u0130\ufb03\u00a8\u2003\uff20\uff0b+@.-() 0a1Z"
texts = st.text(st.characters() | st.sampled_from(AWKWARD), max_size=40)
addresses = st.builds("{}@{}.com".format, texts, texts)
numbers = st.text("0123456789+-() .\uff10\u0660/;ext:#xa", min_size=3, max_size=24)


def spellings() -> list[object]:
    return [
        pytest.param(normaliser, stored, other, id=f"{normaliser} {stored!a} from {other!a}")
        for normaliser, stored, others in SAME
        for other in [stored, *others]
    ]


def made(normaliser: str) -> Handle:
    """A handle of this normaliser, which is not the shipped one so that nothing else decides."""
    return Handle.objects.create(name=f"by-{normaliser}", normaliser=normaliser)


@pytest.mark.parametrize(("normaliser", "stored", "other"), spellings())
def test_spellings_of_one_identifier_have_one_normal_form(normaliser: str, stored: str, other: str) -> None:
    assert normalise(normaliser, other) == stored
    assert forms(other)[normaliser] == stored


@pytest.mark.parametrize(("normaliser", "identifiers"), DIFFERENT, ids=lambda value: ascii(value))
def test_identifiers_that_only_look_alike_stay_different(normaliser: str, identifiers: list[str]) -> None:
    assert len({normalise(normaliser, identifier) for identifier in identifiers}) == len(identifiers)


@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE.keys())
def test_invisible_characters_are_refused_wherever_they_stand(normaliser: str, character: str) -> None:
    plain = {"email": "ada@example.com", "phone": "0404123123"}.get(normaliser, "1804974")
    edges = [] if character.isspace() else [character + plain, plain + character]

    for text in [plain[:2] + character + plain[2:], plain[:-1] + character + plain[-1], *edges]:
        with pytest.raises(ValidationError) as refusal:
            normalise(normaliser, text)

        assert refusal.value.code == "invalid_identifier"
        assert forms(text)[normaliser] is None


@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize(
    "text", ["", " ", "\t\n\u2003", "x" * 256, "9" * 256, "x" * 10_240, "9" * 10_240, "\U0001f6d2" * 10_240, "\ufdfa" * 200]
)  # fmt: skip
def test_an_identifier_has_1_to_255_characters(normaliser: str, text: str) -> None:
    if normaliser == "exact" and text == "\ufdfa" * 200:
        assert normalise(normaliser, text) == text
        return

    with pytest.raises(ValidationError) as refusal:
        normalise(normaliser, text)

    assert refusal.value.code == "invalid_identifier"
    assert forms(text)[normaliser] is None


def test_255_characters_fit_whatever_they_are() -> None:
    assert len(normalise("exact", "\U0001f6d2" * 255)) == 255
    assert len(normalise("exact", f"  {'x' * 255}  ")) == 255
    assert len(normalise("exact", "e\u0301" * 255)) == 255


@pytest.mark.parametrize(
    "text", ["ada", "ada@", "@example.com", "ada@example", "ada@@example.com", "ada lovelace@example.com", "ada@localhost",
             "Ada <ada@example.com>", "ada@example.com, bo@example.com", "ada@-example.com", "ada@exa_mple.com"]
)  # fmt: skip
def test_what_is_no_address_is_refused_as_e_mail(text: str) -> None:
    with pytest.raises(ValidationError, match="not an e-mail address"):
        normalise("email", text)


@pytest.mark.parametrize(
    "text", ["ada", "12", "+", "0404", "+61 404 123 123 ext. 5", "+999 404 123 123", "0404 123 123 0404 123 123", "1-800-FLOWERS",
             "tel:0404123123", "0404123123;phone-context=+44"]
)  # fmt: skip
def test_what_is_no_number_is_refused_as_phone(text: str) -> None:
    with pytest.raises(ValidationError, match="not a phone number"):
        normalise("phone", text)


def test_a_local_number_is_read_in_the_region_of_the_settings(settings) -> None:
    assert normalise("phone", "020 7946 0018") == "+612079460018"

    settings.PHONE_REGION = "GB"

    assert normalise("phone", "020 7946 0018") == "+442079460018"


@pytest.mark.parametrize("normaliser", NORMALISERS)
@settings(max_examples=150, deadline=None, database=None)
@given(text=texts | addresses | numbers)
@example(text="a\u0345\u0301@example.com")
@example(text="\u01f0@example.com")
@example(text="\u03f4\u0345")
@example(text="\u00a8")
@example(text="tel:0404123123;ext=5")
@example(text="tel:0404123123;phone-context=+44")
def test_a_normal_form_is_its_own_normal_form(normaliser: str, text: str) -> None:
    try:
        normal = normalise(normaliser, text)
    except ValidationError:
        assert forms(text)[normaliser] is None
        return

    assert normalise(normaliser, normal) == normal
    assert forms(text)[normaliser] == normal
    assert 1 <= len(normal) <= 255
    assert normal == normal.strip() == unicodedata.normalize("NFC", normal)
    assert not any(unicodedata.category(one) in normalising.REFUSED_CATEGORIES for one in normal)


@pytest.mark.slow
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_every_character_has_one_normal_form_or_none(normaliser: str) -> None:
    around = {"email": "a{}@example.com", "phone": "0404{}123123"}.get(normaliser, "1{}2")

    visible = (chr(code) for code in range(0xF0000) if unicodedata.category(chr(code)) not in {"Cn", "Co"})
    for character in visible:
        test_a_normal_form_is_its_own_normal_form.hypothesis.inner_test(
            normaliser=normaliser, text=around.format(character)
        )


@settings(max_examples=300, deadline=None, database=None)
@given(text=st.text(st.characters() | st.sampled_from(AWKWARD)))
def test_a_look_up_may_ask_for_any_text(text: str) -> None:
    assert forms(text).keys() == NORMALISERS.keys()


@pytest.mark.django_db
@pytest.mark.parametrize(("normaliser", "stored", "other"), spellings())
def test_a_pair_written_in_one_spelling_is_found_and_refused_in_the_other(
    normaliser: str, stored: str, other: str, ada: Profile, bo: Profile, by: By
) -> None:
    handle = made(normaliser).name

    identity = add(ada, Sent(handle, other), by=by)

    assert (identity.identifier, identity.original) == (stored, "" if other.strip() == stored else other.strip())
    for spelling in (stored, other, f" {other} "):
        assert add(ada, Sent(handle, spelling), by=by) == identity
        with pytest.raises(Refused) as refusal:
            adding.add(bo.pk, Sent(handle, spelling), by=by, source=None)
        assert (refusal.value.code, refusal.value.details["profile_id"]) == ("identity_taken", str(ada.pk))
        assert route(Sent(handle, spelling), by=by).profile == ada
        assert json.loads(lookup.search(handle, spelling) or "null")["id"] == identity.pk
        assert json.loads(lookup.search_id(handle, spelling) or "null")["id"] == str(ada.pk)
        assert lookup.resolve([(handle, spelling), (handle, "bo")]) == [ada.pk, None]
        assert [json.loads(text)["id"] for text in lookup.search_profile([spelling])] == [str(ada.pk)]
        assert matching.search(spelling).get() == ada
    assert Identity.objects.filter(handle=handle).get() == identity


@pytest.mark.django_db
@pytest.mark.parametrize(("normaliser", "identifiers"), DIFFERENT, ids=lambda value: ascii(value))
def test_look_alikes_name_different_profiles(normaliser: str, identifiers: list[str], bo: Profile, by: By) -> None:
    handle = made(normaliser).name

    profiles = [route(Sent(handle, identifier), by=by).profile for identifier in identifiers]

    assert len(set(profiles)) == len(identifiers)
    assert lookup.resolve([(handle, identifier) for identifier in identifiers]) == [one.pk for one in profiles]


@pytest.mark.django_db
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE.keys())
def test_an_invisible_character_costs_only_its_own_pair(character: str, ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "loyalty-card:1804974", by=by)
    hidden = Sent("loyalty-card", f"bo{character}x")

    with pytest.raises(Refused) as refusal:
        add(ada, hidden, by=by)
    routed = route("loyalty-card:1804974", hidden, "pos:7", by=by)

    assert (refusal.value.code, refusal.value.field) == ("invalid_identifier", "identifier")
    assert (routed.profile, routed.outcome) == (ada, "attached")
    assert [one["code"] for one in routed.refused] == ["invalid_identifier"]
    entry = RoutingLogEntry.objects.get(outcome="refused")
    assert (entry.pk, entry.code, entry.handle) == (routed.log_entry_id, "invalid_identifier", "loyalty-card")
    assert entry.identifier.startswith("bo")
    assert lookup.search("loyalty-card", hidden.identifier) is None
    assert lookup.resolve([("loyalty-card", hidden.identifier)]) == [None]
    assert lookup.search_profile([hidden.identifier]) == []
    assert not matching.search(hidden.identifier).exists()


@pytest.mark.django_db
def test_10_kb_are_refused_and_logged_by_their_beginning(ada: Profile, by: By) -> None:
    long = Sent("loyalty-card", "\U0001f6d2" * 10_240)

    routed = route(long, "pos:7", by=by)

    assert [one["code"] for one in routed.refused] == ["invalid_identifier"]
    assert RoutingLogEntry.objects.get().identifier == "\U0001f6d2" * 255
    assert lookup.search("loyalty-card", long.identifier) is None
    assert not matching.search(long.identifier).exists()


LABELS = st.sampled_from(
    [
        "a",
        "b2",
        "Example",
        "xn--bcher-kva",
        "xn--",
        "ab--c",
        "-a",
        "a-",
        "",
        "local",
        "test",
        "COM",
        "com",
        "x" * 63,
        "x" * 64,
    ]
)
LOCALS = st.text("abZ09_+-.'\"@ ", min_size=1, max_size=6) | st.sampled_from(
    ["postmaster", "Admin", "x" * 64, "x" * 65, "a..b", ".a", "\u00e9a"]
)


@given(LOCALS, st.lists(LABELS, max_size=5))
def test_an_address_of_plain_letters_is_read_as_any_other(local, labels):
    text = f"{local}@{'.'.join(labels)}"

    def read(reader):
        try:
            return reader(text)
        except ValidationError as error:
            return error.messages

    assert read(normalising.email) == read(lambda text: normalising._read_email(normalising.exact(text)))
