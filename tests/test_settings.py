"""One file of settings: each from one environment variable, each wrong value a sentence."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from omneo_identity import settings as product

SECRET = "0123456789abcdef" * 4
DATABASE = "postgresql://omneo:hunter2@db.example.com:6432/omneo?sslmode=require"
PRODUCTION = {"DATABASE_URL": DATABASE, "SECRET_KEY": SECRET, "ALLOWED_HOSTS": "crm.example.com"}
MACHINE = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}


@pytest.fixture
def load(monkeypatch):
    """Read the settings afresh from these variables alone."""

    def load(**variables: str) -> dict[str, Any]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in {**MACHINE, **variables}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(product.__file__)

    return load


def test_without_any_variable_it_is_for_trying_out_on_this_machine(load):
    settings = load()

    assert settings["EMBEDDED"] is True
    assert settings["DEBUG"] is False
    assert settings["HTTPS"] is False
    assert settings["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost", "[::1]"]
    assert settings["HANDLE_POLICY"] == "open"
    assert settings["PHONE_REGION"] == "AU"
    assert settings["MAX_BODY_BYTES"] == 10 * 1024 * 1024
    assert settings["SECRET_KEY"] != load()["SECRET_KEY"]


def test_a_database_url_brings_the_settings_of_production(load):
    settings = load(**PRODUCTION)

    assert settings["EMBEDDED"] is False
    assert settings["ALLOWED_HOSTS"] == ["crm.example.com"]
    assert settings["SECURE_SSL_REDIRECT"] is settings["SESSION_COOKIE_SECURE"] is True
    assert settings["CSRF_COOKIE_SECURE"] is True
    assert settings["SESSION_COOKIE_NAME"] == "__Host-sessionid"
    assert settings["CSRF_COOKIE_NAME"] == "__Host-csrftoken"
    assert settings["SECURE_HSTS_SECONDS"] > 0
    assert settings["DATABASES"]["default"]["CONN_MAX_AGE"] is None
    assert settings["WORKER_DATABASE"] is settings["DATABASES"]["default"]
    assert settings["WORKER_CONCURRENCY"] == 2


def test_the_worker_may_have_an_address_of_its_own(load):
    direct = DATABASE.replace(":6432", ":5432").replace("sslmode=require", "sslmode=verify-full")

    settings = load(**PRODUCTION, WORKER_DATABASE_URL=direct, WORKER_CONCURRENCY="5", CONN_MAX_AGE="60")

    assert (settings["WORKER_DATABASE"]["PORT"], settings["DATABASES"]["default"]["PORT"]) == ("5432", "6432")
    assert settings["WORKER_DATABASE"]["OPTIONS"]["sslmode"] == "verify-full"
    assert settings["WORKER_DATABASE"]["CONN_MAX_AGE"] == 60
    assert settings["WORKER_CONCURRENCY"] == 5


def test_origins_are_written_as_browsers_write_them(load):
    origins = "https://Shop.Example.com, http://localhost:3000,https://[2001:DB8::1]:8443, http://shop.example.com:443"

    settings = load(CORS_ORIGINS=origins)

    assert settings["CORS_ALLOWED_ORIGINS"] == [
        "https://shop.example.com",
        "http://localhost:3000",
        "https://[2001:db8::1]:8443",
        "http://shop.example.com:443",
    ]
    assert load()["CORS_ALLOWED_ORIGINS"] == []


def test_a_pool_takes_the_place_of_connections_that_are_kept_but_for_the_worker(load):
    settings = load(**PRODUCTION, POOL="true", THREADS="6", CONN_MAX_AGE="60")

    assert settings["DATABASES"]["default"]["CONN_MAX_AGE"] == 0
    assert settings["DATABASES"]["default"]["OPTIONS"]["pool"]["max_size"] == 6
    assert settings["WORKER_DATABASE"]["CONN_MAX_AGE"] == 60
    assert "pool" not in settings["WORKER_DATABASE"]["OPTIONS"]


def test_a_wrong_address_of_the_worker_is_told_by_its_name_and_without_its_password(load):
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(**PRODUCTION, WORKER_DATABASE_URL="postgresql://omneo:hunter2@db.example.com")

    assert str(refusal.value).startswith("WORKER_DATABASE_URL does not name a PostgreSQL database")
    assert "hunter2" not in str(refusal.value)


def test_values_are_read_with_their_types(load):
    settings = load(
        **PRODUCTION,
        HTTPS="off",
        PROXY_SSL_HEADER="X-Forwarded-Proto",
        CSRF_TRUSTED_ORIGINS="https://crm.example.com, https://www.example.com:8443",
        HANDLE_POLICY="agreed",
        PHONE_REGION="NZ",
        MAX_BODY_BYTES="2048",
        CONN_MAX_AGE="60",
        PROXIES="2",
        TIME_ZONE="Pacific/Auckland",
        LOG_LEVEL="DEBUG",
        PREPARE="false",
    )

    assert settings["SECURE_SSL_REDIRECT"] is False
    assert settings["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://crm.example.com", "https://www.example.com:8443"]
    assert settings["HANDLE_POLICY"] == "agreed"
    assert settings["PHONE_REGION"] == "NZ"
    assert settings["MAX_BODY_BYTES"] == settings["DATA_UPLOAD_MAX_MEMORY_SIZE"] == 2048
    assert settings["DATABASES"]["default"]["CONN_MAX_AGE"] == 60
    assert settings["PROXIES"] == 2
    assert settings["TIME_ZONE"] == "Pacific/Auckland"
    assert settings["LOGGING"]["root"]["level"] == "DEBUG"
    assert settings["PREPARE"] is False


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("DEBUG", "flase", "write true or false"),
        ("HTTPS", "ture", "write true or false"),
        ("PREPARE", "maybe", "write true or false"),
        ("HANDLE_POLICY", "closed", "write one of open, agreed"),
        ("PHONE_REGION", "au", "two capital letters"),
        ("PHONE_REGION", "XX", "two capital letters"),
        ("MAX_BODY_BYTES", "10MB", "a whole number, 1024 or more"),
        ("MAX_BODY_BYTES", "1", "a whole number, 1024 or more"),
        ("CONN_MAX_AGE", "-1", "a whole number, 0 or more"),
        ("PROXIES", "10.0.0.1", "a whole number, 0 or more"),
        ("PORT", "http", "a whole number, 1 or more"),
        ("WORKERS", "0", "a whole number, 1 or more"),
        ("THREADS", "many", "a whole number, 1 or more"),
        ("WORKER_CONCURRENCY", "0", "a whole number, 1 or more"),
        ("TIME_ZONE", "Melbourne", "a time zone such as Australia/Melbourne"),
        ("TIME_ZONE", "../etc/passwd", "a time zone such as Australia/Melbourne"),
        ("LOG_LEVEL", "info", "write one of DEBUG, INFO"),
        ("ALLOWED_HOSTS", "https://crm.example.com", "host names without scheme"),
        ("CSRF_TRUSTED_ORIGINS", "crm.example.com", "origins such as https://crm.example.com"),
        ("PROXY_SSL_HEADER", "X-Forwarded-Proto: https", "the name of a header"),
        *(
            ("CORS_ORIGINS", origin, "origins such as https://shop.example.com, without a path")
            for origin in (
                "*",
                "null",
                "shop.example.com",
                "https://shop.example.com/",
                "https://shop.example.com/cart",
                "https://*.example.com",
                "https://shop.example.com:443",
                "http://shop.example.com:80",
                "https://ada@shop.example.com",
                "https://shöp.example.com",
                "file://shop",
                "https://",
                "https://shop.example.com https://other.example.com",
            )
        ),
        ("TENANT", "Ada & Bo", "a word of letters, digits"),
        ("STOREFRONT_CUSTOMER_LIMIT", "-1", "a whole number, 0 or more"),
        ("CUSTOMER_WRITE_LIMIT", "many", "a whole number, 0 or more"),
        ("CUSTOMER_SIGN_UP_LIMIT", "many", "a whole number, 0 or more"),
        ("CLAIM_DAYS", "0", "a whole number, 1 or more"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_and_what_to_write(load, name, value, advice):
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(**{name: value})

    assert str(refusal.value).startswith(f"{name} is {value!r}: ")
    assert advice in str(refusal.value)


def test_customer_tokens_have_a_key_of_their_own_unless_they_are_given_some(load):
    derived, given = load(**PRODUCTION), load(**PRODUCTION, ID_TOKEN_KEYS=f"2026:{'n' * 40}:x, 2025:{'o' * 32}")

    assert list(derived["ID_TOKEN_KEYS"]) == ["default"]
    assert derived["ID_TOKEN_KEYS"] == load(**PRODUCTION)["ID_TOKEN_KEYS"]
    assert SECRET not in derived["ID_TOKEN_KEYS"]["default"] and len(derived["ID_TOKEN_KEYS"]["default"]) == 64
    assert derived["ID_TOKEN_KEYS"] != load(**{**PRODUCTION, "SECRET_KEY": SECRET[::-1]})["ID_TOKEN_KEYS"]
    assert list(given["ID_TOKEN_KEYS"].items()) == [("2026", f"{'n' * 40}:x"), ("2025", "o" * 32)]
    assert (derived["ID_TOKEN_MINUTES"], load(ID_TOKEN_MINUTES="5")["ID_TOKEN_MINUTES"]) == (30, 5)


@pytest.mark.parametrize(
    "value",
    [
        "hunter2" * 5,
        "2026:hunter2",
        "2026:" + "hunter2 " * 5,
        ":" + "hunter2" * 5,
        "a b:" + "hunter2" * 5,
        "2026:" + "hunter2" * 5 + ",2026:" + "another" * 5,
        "2026:" + "hunter2" * 5 + ",2025",
    ],
)
def test_a_wrong_key_is_refused_and_not_repeated(load, value):
    with pytest.raises(ImproperlyConfigured, match=r"ID_TOKEN_KEYS is not right: write id:secret") as error:
        load(ID_TOKEN_KEYS=value)

    assert "hunter2" not in str(error.value)


def test_digests_of_erased_identities_have_a_key_that_nobody_finds_by_trying(load):
    derived, given = load(**PRODUCTION)["ERASURE_KEY"], load(**PRODUCTION, ERASURE_KEY="k" * 32)["ERASURE_KEY"]

    assert len(derived) == 64 and SECRET not in derived
    assert given == "k" * 32
    with pytest.raises(ImproperlyConfigured, match="ERASURE_KEY is not right: .* at least 32 characters") as error:
        load(ERASURE_KEY="hunter2" * 4)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("secret", ["", "too-short", "x" * 80])
def test_production_needs_a_strong_secret_key(load, secret):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY must be at least 50 random characters") as refusal:
        load(DATABASE_URL=DATABASE, SECRET_KEY=secret)

    assert not secret or secret not in str(refusal.value)


def test_a_value_may_come_from_a_file_and_may_begin_with_a_dollar(load, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(f"${SECRET}\n")

    assert load(SECRET_KEY_FILE=str(secret))["SECRET_KEY"] == f"${SECRET}"
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE cannot be read"):
        load(SECRET_KEY_FILE=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("https", ["true", "false"])
def test_the_checks_of_a_deployment_find_nothing(https):
    finished = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], **PRODUCTION, HTTPS=https)

    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("command", [["manage.py", "check"], ["-m", "omneo_identity.serve"]])
def test_commands_print_the_sentence_and_no_traceback(command):
    finished = run(command, HTTPS="ture")

    assert finished.returncode == 1
    assert finished.stderr == "HTTPS is 'ture': write true or false.\n"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "Set DATABASE_URL"),
        ({"DATABASE_URL": DATABASE}, "SECRET_KEY must be"),
        ({"DATABASE_URL": DATABASE, "SECRET_KEY": SECRET}, "Set ALLOWED_HOSTS"),
        ({**PRODUCTION, "DEBUG": "true"}, "DEBUG is on"),
        ({**PRODUCTION, "HOST": "no such host"}, "Cannot listen on no such host"),
    ],
)
def test_make_run_refuses_a_missing_or_weak_setting(variables, sentence):
    finished = run(["-m", "omneo_identity.serve"], **variables)

    assert finished.returncode == 1
    assert finished.stderr.startswith(sentence)
    assert "Traceback" not in finished.stderr


def run(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=Path(product.__file__).parent.parent,
        env={**MACHINE, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
