"""The README promises commands, settings and endpoints; each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_every_make_target_exists():
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {"demo", "test", "proof", "run", "help"} <= named
    assert named <= targets


def test_every_management_command_exists_with_its_options():
    commands = re.findall(r"manage\.py (\w+)([^`\n]*)", README)

    assert {
        "axes_reset",
        "check",
        "check_integrity",
        "clearsessions",
        "createsuperuser",
        "export_identities",
        "find_duplicates",
        "import_identities",
        "issue_token",
        "load_sample",
        "play_day",
        "play_storefront",
    } == {name for name, _arguments in commands}
    for name, arguments in commands:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option in parser.format_help()


def test_the_options_of_issue_token_that_the_text_names_exist():
    usage = load_command_class("identities", "issue_token").create_parser("manage.py", "issue_token").format_help()

    for option in ("--name", "--extension", "--scope", "--all-scopes"):
        assert option in README
        assert option in usage


def test_every_setting_of_the_table_is_read_and_every_setting_that_is_read_stands_in_it():
    table = README.split("| Variable |")[1].split("\n\n")[0]
    documented = {name for row in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}

    source = (ROOT / "omneo_identity/settings.py").read_text()
    read = set(
        re.findall(
            r'\b(?:text|read|flag|number|choice|listed|signing_keys|shared_secrets|digest_key)\(\s*"([A-Z_]+)"', source
        )
    )

    assert documented == read
    assert settings.HANDLE_POLICY == "open"


def test_every_endpoint_exists():
    endpoints = set(re.findall(r"(?<![\w.])(/(?:api|admin)/[\w/{}-]*)", README))
    paths = {re.sub(r"\{\w+\}", "0198f3a0-0000-7000-8000-000000000000", endpoint) for endpoint in endpoints}

    assert {"/api/health", "/api/docs/", "/api/schema/", "/api/v3/profiles"} <= paths
    for path in paths:
        try:
            match = resolve(path)
        except Resolver404:
            match = resolve(path.rstrip("/"))
        assert match.view_name, path


def test_every_file_of_the_map_exists():
    parts = README.split("## The map of the code")[1].split("```")[1].splitlines()
    folder = ROOT
    for line in filter(None, parts):
        name = line.split()[0]
        folder = ROOT if not line.startswith(" ") else folder
        assert (folder / name).exists(), name
        if not line.startswith(" "):
            folder = ROOT / name


def test_every_module_of_identities_that_does_something_stands_in_the_map():
    map_of_the_code = README.split("## The map of the code")[1]
    interfaces = {"__init__", "apps", "serializers", "filters", "views", "urls", "urls_id", "urls_storefront", "forms"}

    for module in (ROOT / "identities").glob("*.py"):
        if module.stem not in interfaces:
            assert f"{module.name} " in map_of_the_code, module.name
