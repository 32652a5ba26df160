"""Every setting, each from one environment variable. The README has the table.

A wrong value stops the process with a sentence that says what to write. NAME_FILE, for any NAME, reads the value from
that file instead (as container platforms hand over secrets).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from omneo_identity import database
from omneo_identity.variables import (
    amount,
    choice,
    digest_key,
    flag,
    header,
    hosts,
    listed,
    number,
    read,
    region,
    shared_secrets,
    signing_keys,
    text,
    word,
    zone,
)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = database.CLUSTER.parent

# The database

EMBEDDED = not text("DATABASE_URL")

# Off behind a PgBouncer older than 1.21, which gives the next statement to a connection that has not prepared it.
PREPARE = flag("PREPARE", default=True)

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **database.configuration(text("DATABASE_URL")),
        # Seconds; by default a connection lives as long as its thread.
        "CONN_MAX_AGE": number("CONN_MAX_AGE", least=0, default=None),
        "CONN_HEALTH_CHECKS": True,
    }
}

# The worker's: its own where DATABASE_URL leads through a PgBouncer in transaction mode, which LISTEN does not pass.
WORKER_DATABASE = DATABASES["default"]
if text("WORKER_DATABASE_URL"):
    WORKER_DATABASE = {
        **WORKER_DATABASE,
        **database.configuration(text("WORKER_DATABASE_URL"), name="WORKER_DATABASE_URL"),
    }

# Security

SECRET_KEY = text("SECRET_KEY")
if EMBEDDED and not SECRET_KEY:
    SECRET_KEY = secrets.token_urlsafe(50)
if len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
    raise ImproperlyConfigured(
        "SECRET_KEY must be at least 50 random characters, and be kept secret. This prints one: "
        "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )

DEBUG = flag("DEBUG", default=False)

ALLOWED_HOSTS = listed(
    "ALLOWED_HOSTS",
    pattern=r"[^\s/:]+|\[[0-9A-Fa-f:]+\]",
    expected="host names without scheme, port or path, separated by commas",
    default=["127.0.0.1", "localhost", "[::1]"] if EMBEDDED else [],
)
CSRF_TRUSTED_ORIGINS = listed(
    "CSRF_TRUSTED_ORIGINS",
    pattern=r"https?://[^\s/]+",
    expected="origins such as https://crm.example.com, separated by commas",
    default=[],
)

# Pages of these origins may call what a browser calls with a customer's token, and read the answers. Nothing else:
# neither the admin nor what is between servers. No cookie goes with it.
CORS_ALLOWED_ORIGINS = [
    value.lower()
    for value in listed(
        "CORS_ORIGINS",
        # As browsers write an origin: without a path, and without the port that the scheme has anyway.
        pattern=r"(?i:(?!http://[^/]*:80$|https://[^/]*:443$)https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)",
        expected="origins such as https://shop.example.com, without a path, separated by commas",
        default=[],
    )
]
CORS_URLS_REGEX = r"/(?:id|shopify)/api/v1(?:/|\Z)"
CORS_ALLOW_METHODS = ["DELETE", "GET", "POST", "PUT"]
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "x-request-id",
    # Some clients for browsers send it with everything.
    "x-requested-with",
]
CORS_EXPOSE_HEADERS = ["idempotent-replay", "retry-after", "x-omneo-is-anon", "x-omneo-tenant", "x-request-id"]

HTTPS = flag("HTTPS", default=not EMBEDDED)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
if HTTPS:
    # By these names a browser takes a cookie from this host only, and over HTTPS only: no neighbour under the same
    # domain can put one of its own in their place.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
CSRF_COOKIE_HTTPONLY = True
# A working day, counted from the login, so that none outlives the night, and reading a page writes nothing.
SESSION_COOKIE_AGE = 12 * 60 * 60
SECURE_HSTS_SECONDS = 30 * 24 * 60 * 60 if HTTPS else 0
# A balancer asks for the health over plain HTTP, and a redirect is not an answer.
SECURE_REDIRECT_EXEMPT = [r"^api/health(?:/ready)?/?$"]
SECURE_PROXY_SSL_HEADER = read("PROXY_SSL_HEADER", header, "the name of a header, such as X-Forwarded-Proto", None)
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "omneo_identity.login.StaffBackend"]

# After so many failures, the name cannot log in from that address until nothing has failed for the time; nor can
# anybody from an address with so many failures under any names, such as an office behind one router.
AXES_FAILURE_LIMIT = 5
FAILURES_PER_ADDRESS = 50
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "ip_address"]
AXES_RESET_ON_SUCCESS = True
# The time that was promised holds, whatever is tried meanwhile.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_HANDLER = "omneo_identity.login.FailedLogins"
AXES_LOCKOUT_CALLABLE = "omneo_identity.login.refuse"
AXES_USERNAME_CALLABLE = "omneo_identity.login.name"
AXES_CLIENT_IP_CALLABLE = "omneo_identity.login.address"
AXES_CLIENT_STR_CALLABLE = "omneo_identity.login.described"
# Of the form it keeps that there were such fields; the page that was asked for may name a customer.
AXES_SENSITIVE_PARAMETERS = ["username", "next", "csrfmiddlewaretoken"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Trusted proxies in front, each of which appends to X-Forwarded-For.
PROXIES = number("PROXIES", least=0, default=0)

# What a page may load: this host's files. Without 'unsafe-inline', what somebody smuggles into a page is never run.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# HSTS for subdomains and in browsers' lists binds the owner's other hosts: not for one product to promise.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
if not HTTPS:
    # Whoever wrote HTTPS=false has decided; the checks for HSTS, redirect and secure cookies would only repeat it.
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W008", "security.W012", "security.W016"]

# What customer tokens are signed with: the first key signs, all of them verify, so that a new one takes over
# unnoticed. Without any, one that follows from the SECRET_KEY.
ID_TOKEN_KEYS = signing_keys("ID_TOKEN_KEYS") or {
    "default": hmac.digest(SECRET_KEY.encode(), b"customer tokens", hashlib.sha256).hex()
}
ID_TOKEN_MINUTES = number("ID_TOKEN_MINUTES", least=1, default=30)

# Identities

# Erased identities are told by digests of this key: with another one, none of them is known any more.
ERASURE_KEY = digest_key("ERASURE_KEY") or hmac.digest(SECRET_KEY.encode(), b"erased pairs", hashlib.sha256).hex()

HANDLE_POLICY = choice("HANDLE_POLICY", "open", "agreed", default="open")
# What one point is worth, in the currency of the rewards.
POINT_VALUE = read("POINT_VALUE", amount, "a number of 0 or more, such as 0.01", Decimal("0.01"))
# The name of this installation, in a header of the storefront proxy.
TENANT = read("TENANT", word, "a word of letters, digits, -, _ and .", "omneo")

# Calls a minute; 0 is no limit. They are counted in the database, over all processes.
STOREFRONT_CUSTOMER_LIMIT = number("STOREFRONT_CUSTOMER_LIMIT", least=0, default=60)
STOREFRONT_ANONYMOUS_LIMIT = number("STOREFRONT_ANONYMOUS_LIMIT", least=0, default=600)
STOREFRONT_FAILURE_LIMIT = number("STOREFRONT_FAILURE_LIMIT", least=0, default=60)
CUSTOMER_WRITE_LIMIT = number("CUSTOMER_WRITE_LIMIT", least=0, default=120)
# Whoever makes a profile may claim things for it, so that many of them are many claims.
CUSTOMER_SIGN_UP_LIMIT = number("CUSTOMER_SIGN_UP_LIMIT", least=0, default=10)
# How long what customers claim is kept when nobody confirms it.
CLAIM_DAYS = number("CLAIM_DAYS", least=1, default=365)

PHONE_REGION = read("PHONE_REGION", region, "the two capital letters of a country, such as AU", "AU")

# Webhooks

# The first one signs where only one can; each signs otherwise, so that receivers can change theirs meanwhile.
WEBHOOK_SECRETS = shared_secrets("WEBHOOK_SECRETS")
# Which hosts inside of this network may be sent to. None, unless somebody says so.
WEBHOOK_ALLOW = read(
    "WEBHOOK_ALLOW", hosts, "addresses, networks such as 10.1.0.0/16 and names of hosts, separated by commas", []
)

# Serving

HOST = text("HOST") or "127.0.0.1"
PORT = number("PORT", least=1, default=8000)
WORKERS = number("WORKERS", least=1, default=2)
# Per worker. Each keeps a database connection, or takes one out of a pool for each request.
THREADS = number("THREADS", least=1, default=4)
if flag("POOL", default=False):
    # Not the worker's, which has few connections and needs them all the time.
    DATABASES["default"] = {
        **DATABASES["default"],
        "CONN_MAX_AGE": 0,
        "OPTIONS": {**DATABASES["default"]["OPTIONS"], "pool": {"min_size": 1, "max_size": THREADS}},
    }
# Jobs that the worker does at a time. Each keeps a database connection, and the worker some more.
WORKER_CONCURRENCY = number("WORKER_CONCURRENCY", least=1, default=2)
# Events that it takes up at a time, besides.
REACTION_CONCURRENCY = number("REACTION_CONCURRENCY", least=1, default=2)
# How long events and their deliveries are kept once nothing of them is on its way.
EVENT_DAYS = number("EVENT_DAYS", least=1, default=30)
# Targets that the worker sends to at a time, besides; and how many workers, of all machines, send to one of them, so
# that one which is slow leaves some for the others.
DELIVERY_CONCURRENCY = number("DELIVERY_CONCURRENCY", least=1, default=8)
DELIVERIES_PER_TARGET = number("DELIVERIES_PER_TARGET", least=1, default=max(1, DELIVERY_CONCURRENCY // 2))
MAX_BODY_BYTES = number("MAX_BODY_BYTES", least=1024, default=10 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
# A reaction's fifty actions have up to 21 each, and as many more may be on their way out.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_500

# Seconds for which a process believes that a token which was good is good still; 0 asks for each request.
TOKEN_CACHE_SECONDS = number("TOKEN_CACHE_SECONDS", least=0, default=5)

# Django

INSTALLED_APPS = [
    "profiles.apps.ProfilesConfig",
    "identities.apps.IdentitiesConfig",
    "omneo_identity.apps.Admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    # Swagger UI's files, so that nothing is fetched from elsewhere.
    "drf_spectacular_sidecar",
    "csp",
    "corsheaders",
    "axes",
    "procrastinate.contrib.django",
]

MIDDLEWARE = [
    "omneo_identity.api.middleware.RequestIdMiddleware",
    "omneo_identity.policy.PolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "omneo_identity.api.middleware.SlashMiddleware",
    # Before whatever answers for the API, refusals too: a page can read only an answer that says so.
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # From here on for pages only.
    "omneo_identity.api.middleware.PastPagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "omneo_identity.zones.ZoneMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "omneo_identity.urls"
WSGI_APPLICATION = "omneo_identity.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

TIME_ZONE = read("TIME_ZONE", zone, "a time zone such as Australia/Melbourne", "UTC")
USE_TZ = True

# Every text is marked for translation, but there is one language so far: asking a catalogue of none for each of the
# thousand texts of a page would be a fifth of what the page costs.
USE_I18N = False

# Served from where the packages keep them, so that there is no step to forget.
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "omneo_identity" / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

LOG_LEVEL = choice("LOG_LEVEL", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "omneo_identity.api.middleware.RequestIdFilter"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {request_id} {name}: {message}", "style": "{"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # Without the handlers that Django gives them: one line per record.
    "loggers": {
        **{name: {"handlers": [], "propagate": True} for name in ("django", "django.server")},
        # Its lines for 4xx repeat the access log, but with the whole path, and an identifier may stand in that.
        "django.request": {"level": "ERROR"},
        # Where a receiver's headers are none it would tell of them, and of the whole address.
        "urllib3": {"level": "ERROR"},
        # Each process that starts would tell of every task that it knows.
        **{name: {"level": "WARNING"} for name in ("procrastinate.blueprints", "procrastinate.periodic")},
    },
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["omneo_identity.api.auth.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["omneo_identity.api.auth.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["omneo_identity.api.throttles.TokenThrottle"],
    "DEFAULT_PARSER_CLASSES": ["omneo_identity.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["omneo_identity.api.renderers.ORJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "omneo_identity.api.renderers.AlwaysJSON",
    "DEFAULT_PAGINATION_CLASS": "omneo_identity.api.pagination.PageEnvelope",
    "DEFAULT_FILTER_BACKENDS": ["omneo_identity.api.filters.BracketFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "omneo_identity.api.schema.AutoSchema",
    "EXCEPTION_HANDLER": "omneo_identity.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
    # `?format=` is no word of this API.
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Omneo Identity",
    "VERSION": "3",
    "OAS_VERSION": "3.1.0",
    "ENUM_NAME_OVERRIDES": {
        "HandleStatusEnum": "identities.models.Handle.Status",
        "HealthStatusEnum": ["ok"],
        "MergeCauseEnum": "profiles.models.Merge.Cause",
        "MoveCauseEnum": "profiles.models.Move.Cause",
        "ProfileTypeEnum": "profiles.models.Profile.Type",
        "NewProfileTypeEnum": "profiles.serializers.NEW_PROFILE_TYPES",
        "OwnProfileTypeEnum": "profiles.serializers.OWN_PROFILE_TYPES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "omneo_identity.api.schema.describe",
    ],
    "SCHEMA_PATH_PREFIX": r"/(?:api/v3|id/api/v1|shopify/api/v1|api)",
}
