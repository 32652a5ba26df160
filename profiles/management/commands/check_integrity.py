from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from profiles import integrity


class Command(BaseCommand):
    help = "Check what must hold in the whole database; exits 1 and names the rows that break it. Changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = {one.invariant.name: one for one in integrity.broken()}
        for invariant in integrity.invariants():
            if options["verbosity"] > 0:
                state = self.style.ERROR("broken") if invariant.name in broken else self.style.SUCCESS("holds")
                self.stdout.write(f"{state}  {invariant.sentence} [{invariant.name}]")
            for kind, key, wrong in broken[invariant.name].rows if invariant.name in broken else ():
                self.stderr.write(f"  {kind} {key}: {wrong}")
        if broken:
            raise CommandError(f"{len(broken)} of {len(integrity.invariants())} invariants are broken.")
