"""The product's settings for tests: only DATABASE_URL is taken from the developer's environment."""

from __future__ import annotations

import os

os.environ.update(
    SECRET_KEY="only-for-tests-" + "0123456789" * 5,
    DEBUG="false",
    ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    CSRF_TRUSTED_ORIGINS="",
    HTTPS="false",
    PROXY_SSL_HEADER="",
    PROXIES="",
    CORS_ORIGINS="",
    TENANT="",
    STOREFRONT_CUSTOMER_LIMIT="",
    STOREFRONT_ANONYMOUS_LIMIT="",
    STOREFRONT_FAILURE_LIMIT="",
    CUSTOMER_WRITE_LIMIT="",
    CUSTOMER_SIGN_UP_LIMIT="",
    CLAIM_DAYS="",
    HANDLE_POLICY="open",
    PHONE_REGION="AU",
    POINT_VALUE="",
    MAX_BODY_BYTES="",
    HOST="",
    PORT="",
    # Tests make and end tokens all the time, and each is to be seen at once.
    TOKEN_CACHE_SECONDS="0",
    ID_TOKEN_KEYS="",
    ERASURE_KEY="",
    ID_TOKEN_MINUTES="",
    WORKERS="",
    THREADS="",
    WORKER_DATABASE_URL="",
    WORKER_CONCURRENCY="",
    EVENT_DAYS="",
    REACTION_CONCURRENCY="",
    DELIVERY_CONCURRENCY="",
    DELIVERIES_PER_TARGET="",
    # What tests send goes to this machine.
    WEBHOOK_ALLOW="127.0.0.1",
    WEBHOOK_SECRETS="only-for-tests-of-webhooks",
    PREPARE="",
    POOL="",
    CONN_MAX_AGE="",
    TIME_ZONE="UTC",
    LOG_LEVEL="WARNING",
)

from omneo_identity.settings import *  # noqa: F403

# A slow hash is the point of the default, and would be most of what logging in costs the tests.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Every test client starts the middleware anew, and to list all static files beforehand takes longer than most tests.
WHITENOISE_AUTOREFRESH = True
