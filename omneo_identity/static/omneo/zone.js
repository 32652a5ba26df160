"use strict";

// The reader's time zone, for the server to write times in (omneo_identity/zones.py).
{
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const secure = location.protocol === "https:" ? "; secure" : "";
    if (zone) {
        document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
    }
}
