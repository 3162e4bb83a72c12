"""The one settings file. Everything comes from the environment; the defaults run on a laptop.

Every variable is described in docs/configuration.md (a test keeps the two in step); combinations that cannot work are
system checks in `chatai/checks.py`.
"""

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import dj_database_url
from celery.schedules import crontab

from chatai.lib import env, mail

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", ".data"))
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
# Written by `manage.py up`: addresses of its embedded services and the secrets it made.
env.load_defaults(DATA_DIR / "env")

# --- Who we are -------------------------------------------------------------------------------------------------------
DEFAULT_SECRET_KEY = "insecure-default-for-laptops-only-set-SECRET_KEY-in-production"  # noqa: S105
SECRET_KEY = env.text("SECRET_KEY", DEFAULT_SECRET_KEY)
FIELD_ENCRYPTION_KEYS = env.words("FIELD_ENCRYPTION_KEYS")
DEBUG = env.flag("DEBUG")
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, minimum=1)
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or LOCAL_HOSTS
PRODUCTION = not DEBUG and any(host not in LOCAL_HOSTS for host in ALLOWED_HOSTS)
HTTPS = env.flag("HTTPS", PRODUCTION)
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS") or [
    f"https://{host.replace('.', '*.', 1) if host.startswith('.') else host}" for host in ALLOWED_HOSTS if HTTPS and host != "*"
]
# Origins a websocket may come from; empty means: the same hosts as pages (see threads/live/consumers.py).
WEBSOCKET_ORIGINS = env.words("WEBSOCKET_ORIGINS")
SITE_NAME = env.text("SITE_NAME", "chatai")
# For links that are made outside a request, such as in a mail or to a page where somebody connects a service.
HOST_OF_LINKS = ALLOWED_HOSTS[0].lstrip(".*") if PRODUCTION else f"{HOST if HOST != '0.0.0.0' else '127.0.0.1'}:{PORT}"  # noqa: S104
SITE_URL = env.url("SITE_URL", f"{'https' if HTTPS else 'http'}://{HOST_OF_LINKS}")

INSTALLED_APPS = [
    "accounts",
    "billing",
    "tools",
    "threads",
    "search",
    "chatai",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.github",
    "allauth.mfa",
    "allauth.usersessions",
    "channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
]

# Where the templates and static files of ninja are: as an installed app it would be imported, for 5 MB, where no API is too.
NINJA = Path(str(distribution("django-ninja").locate_file("ninja")))

MIDDLEWARE = [
    "chatai.health.Probes",
    "chatai.middleware.SecurityHeaders",
    "chatai.edge.ApiEdge",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.signed_in.SignedIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "chatai.urls"
ASGI_APPLICATION = "chatai.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates", NINJA / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "chatai.context.site",
            ],
            "builtins": ["chatai.templatetags.ui"],
        },
    },
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [BASE_DIR / "templates" / "jinja2"],
        "OPTIONS": {"environment": "chatai.jinja.environment"},
    },
]

# --- Where things are -------------------------------------------------------------------------------------------------
DATABASE_URL = env.url("DATABASE_URL", schemes=("postgres", "postgresql", "pgsql"))
REDIS_URL = env.url("REDIS_URL", schemes=("redis", "rediss"))
if REDIS_URL.startswith("rediss:") and "ssl_cert_reqs=" not in REDIS_URL:
    # Celery insists on it in the address; hosts whose Redis signs its own certificate need REDIS_TLS_VERIFY=0.
    REDIS_URL += ("&" if "?" in REDIS_URL else "?") + f"ssl_cert_reqs={'required' if env.flag('REDIS_TLS_VERIFY', True) else 'none'}"
DATABASES: dict[str, Any] = {
    # Each web thread keeps one connection; a dead one is found before it is used, not by a failed request.
    "default": dj_database_url.parse(DATABASE_URL or "postgresql:///chatai", conn_max_age=600, conn_health_checks=True),
}
# Statements that ask for it are prepared by the server; without a threshold none ever would be, with a low one all of Django's.
DATABASES["default"]["OPTIONS"] = {**DATABASES["default"].get("OPTIONS", {}), "prepare_threshold": 1_000_000_000}
CHANNEL_LAYERS: dict[str, Any] = {
    "default": {"BACKEND": "chatai.lib.layer.Layer", "CONFIG": {"address": REDIS_URL or "redis://127.0.0.1:6379"}},
}
CACHES: dict[str, Any] = {"default": {"BACKEND": "chatai.lib.cache.OutlivingCache", "LOCATION": REDIS_URL or "redis://127.0.0.1:6379"}}
WEB_THREADS = env.integer("WEB_THREADS", 6, minimum=1)

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / env.text("STATIC_ROOT", "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static", NINJA / "static"]
# Where nothing else is known to last and to be shared, files are kept in PostgreSQL.
EPHEMERAL_DISK = bool(env.text("DYNO"))
FILES_STORAGE = env.text("FILES_STORAGE", "database" if PRODUCTION or EPHEMERAL_DISK else "disk")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "files"}},
    "staticfiles": {"BACKEND": "chatai.static.ManifestStorage"},
}

# --- People -----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ENABLE_SIGNUP = env.flag("ENABLE_SIGNUP", True)
NEW_USER_BUDGET_USD = env.decimal("NEW_USER_BUDGET_USD", "5")
ADMIN_EMAIL = env.text("ADMIN_EMAIL")
ADMIN_PASSWORD = env.text("ADMIN_PASSWORD")

EMAIL_URL = env.text("EMAIL_URL")
globals().update(mail.settings_for(EMAIL_URL))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"{SITE_NAME} <no-reply@{ALLOWED_HOSTS[0].lstrip('.*')}>")

# --- Payments ---------------------------------------------------------------------------------------------------------
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRETS = env.words("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = env.url("STRIPE_API_BASE", "https://api.stripe.com")
# Where Stripe's hosted pages are: browsers hold the redirect after a form against form-action too (see chatai/middleware.py).
STRIPE_PAGES = env.words("STRIPE_PAGES") or (
    ["https://checkout.stripe.com", "https://billing.stripe.com"] if STRIPE_API_BASE == "https://api.stripe.com" else [STRIPE_API_BASE]
)
STRIPE_METER = env.text("STRIPE_METER")
TOP_UP_AMOUNTS_USD = env.words("TOP_UP_AMOUNTS_USD", "5,10,25,100")
BILLING_PLANS = env.words("BILLING_PLANS")

# --- Models -----------------------------------------------------------------------------------------------------------
ANTHROPIC_API_KEYS = env.words("ANTHROPIC_API_KEY")
ANTHROPIC_BASE_URL = env.url("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
OPENAI_API_KEYS = env.words("OPENAI_API_KEY")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL", "https://api.openai.com/v1")
OLLAMA_BASE_URL = env.url("OLLAMA_BASE_URL")
DEMO_MODEL = env.flag("DEMO_MODEL", True)
DEFAULT_MODEL = env.text("DEFAULT_MODEL")
TASK_MODEL = env.text("TASK_MODEL")
EMBEDDING_MODEL = env.text("EMBEDDING_MODEL", "all-MiniLM-L6-v2")
EMBEDDING_BASE_URL = env.url("EMBEDDING_BASE_URL")
EMBEDDING_API_KEY = env.text("EMBEDDING_API_KEY", OPENAI_API_KEYS[0] if OPENAI_API_KEYS and EMBEDDING_BASE_URL == OPENAI_BASE_URL else "")
EMBEDDING_PRICE_USD = env.decimal("EMBEDDING_PRICE_USD", "0")
EMBEDDING_THREADS = env.integer("EMBEDDING_THREADS", 2, minimum=1)
PROVIDER_CONNECT_TIMEOUT = env.integer("PROVIDER_CONNECT_TIMEOUT", 10, minimum=1)
PROVIDER_FIRST_TOKEN_TIMEOUT = env.integer("PROVIDER_FIRST_TOKEN_TIMEOUT", 120, minimum=1)
PROVIDER_IDLE_TIMEOUT = env.integer("PROVIDER_IDLE_TIMEOUT", 60, minimum=1)
DEMO_DELAY_MS = env.integer("DEMO_DELAY_MS", 25)

# --- Turns ------------------------------------------------------------------------------------------------------------
MAX_MESSAGE_CHARS = 200_000
MAX_QUEUED_TURNS = env.integer("MAX_QUEUED_TURNS", 5000, minimum=1)
REPLIES_MAX_TURNS = env.integer("REPLIES_MAX_TURNS", 1000, minimum=1)
LEASE_SECONDS = env.integer("LEASE_SECONDS", 15, minimum=2)
MAX_ATTEMPTS = 5
DRAIN_SECONDS = env.integer("DRAIN_SECONDS", 20)
MAX_TURN_SECONDS = env.integer("MAX_TURN_SECONDS", 3600, minimum=10)
# Past any of these, a turn that calls tools gets one last call of the model, without them.
MAX_TURN_TOOL_CALLS = env.integer("MAX_TURN_TOOL_CALLS", 64, minimum=1)
MAX_TURN_TOOL_SECONDS = env.integer("MAX_TURN_TOOL_SECONDS", 600, minimum=1)
MAX_TURN_TOOL_BYTES = env.integer("MAX_TURN_TOOL_BYTES", 1_000_000, minimum=1)
MAX_TURN_USD = env.decimal("MAX_TURN_USD", "5")
RESUME_WINDOW_SECONDS = 3600
PAGE_SIZE = 30
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # bytes; the API takes this much only with files (see chatai/api.py)

# --- Tools ------------------------------------------------------------------------------------------------------------
EGRESS_ALLOW = env.words("EGRESS_ALLOW")
# Where built-in tools find a vendor instead of at its public address, by host.
TOOL_ORIGINS = dict(env.pair(one, "TOOL_ORIGINS") for one in env.words("TOOL_ORIGINS"))
BRAVE_API_KEY = env.text("BRAVE_API_KEY")
TAVILY_API_KEY = env.text("TAVILY_API_KEY")
SEARXNG_URL = env.url("SEARXNG_URL")
WEB_SEARCH_PRICE_USD = env.decimal("WEB_SEARCH_PRICE_USD", "0.005")
IMAGE_MODEL = env.text("IMAGE_MODEL", "gpt-image-1")
IMAGE_PRICE_USD = env.decimal("IMAGE_PRICE_USD", "0.05")
# OAuth apps that the operator made with vendors of the MCP catalogue, by slug, and a TOML file of servers that run on this machine.
MCP_OAUTH_CLIENTS = dict(env.client(one, "MCP_OAUTH_CLIENTS") for one in env.words("MCP_OAUTH_CLIENTS"))
MCP_LOCAL_SERVERS = env.text("MCP_LOCAL_SERVERS")
# Programs that models wrote and that one process runs at once (tools/sandbox.py).
SANDBOX_PROCESSES = env.integer("SANDBOX_PROCESSES", 2, minimum=1)

# --- Background work --------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL or "redis://127.0.0.1:6379"
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_ROUTES = {"search.embed_due": {"queue": "embed"}}
CELERY_BEAT_SCHEDULE: dict[str, Any] = {
    "name forgotten threads": {"task": "threads.name_forgotten", "schedule": 60.0},
    "clean": {"task": "threads.clean", "schedule": 60.0},
    "keep connections": {"task": "tools.keep_connections", "schedule": 60.0},
    "forget direct calls": {"task": "tools.forget_direct_calls", "schedule": crontab(hour=4, minute=10)},
    "expire approvals": {"task": "threads.expire_approvals", "schedule": 60.0},
    "free holds": {"task": "threads.free_holds", "schedule": 15.0},
    "index what was said": {"task": "search.index_new", "schedule": 2.0, "options": {"expires": 4}},
    "keep the index": {"task": "search.keep", "schedule": 30.0, "options": {"expires": 60}},
    "find large owners": {"task": "search.find_large", "schedule": 3600.0},
    "sweep payments": {"task": "billing.sweep_payments", "schedule": 600.0},
    "report usage": {"task": "billing.report_usage", "schedule": 60.0},
    "soft alerts": {"task": "billing.send_alerts", "schedule": 60.0},
    "soft alerts of keys": {"task": "billing.send_key_alerts", "schedule": 3600.0},
    "check ledger": {"task": "billing.check_ledger", "schedule": crontab(hour=3, minute=40)},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")

METRICS_TOKEN = env.text("METRICS_TOKEN")

# --- Language and time ------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Safety -----------------------------------------------------------------------------------------------------------
SESSION_ENGINE = "accounts.signed_in"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365 if HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS: list[str] = []

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        "httpx2": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "celery": {"level": "INFO"},
        "stripe": {"level": "WARNING"},
        "sentence_transformers": {"level": "WARNING"},
        # What servers say, and where they are, does not belong in a log; what came of a call is in its row.
        "mcp": {"level": "CRITICAL"},
        "client": {"level": "CRITICAL"},
    },
}

# --- allauth ----------------------------------------------------------------------------------------------------------
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_FORMS = {"signup": "accounts.forms.SignupForm", "add_email": "accounts.forms.AddEmailForm"}
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_URL else "optional"
ACCOUNT_EMAIL_SUBJECT_PREFIX = f"[{SITE_NAME}] "
ACCOUNT_EMAIL_NOTIFICATIONS = bool(EMAIL_URL)
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
# How many proxies in front add to X-Forwarded-For; 0 means the header is not believed. The limits count by that address.
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXY_COUNT", 0)

MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1
MFA_ALLOW_UNVERIFIED_EMAIL = not EMAIL_URL
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # http://localhost; browsers refuse passkeys on other plain addresses

SOCIALACCOUNT_ADAPTER = "accounts.adapter.SocialAccountAdapter"
SOCIAL_APPS = {
    name: [{"client_id": env.text(f"{name.upper()}_CLIENT_ID"), "secret": env.text(f"{name.upper()}_CLIENT_SECRET"), "key": ""}]
    for name in ("google", "github")
    if env.text(f"{name.upper()}_CLIENT_ID") and env.text(f"{name.upper()}_CLIENT_SECRET")
}
# Browsers hold the redirect after a form against form-action too (see chatai/middleware.py).
SOCIAL_ORIGINS = [{"google": "https://accounts.google.com", "github": "https://github.com"}[name] for name in SOCIAL_APPS]
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "google": {"APPS": SOCIAL_APPS.get("google", []), "SCOPE": ["profile", "email"], "OAUTH_PKCE_ENABLED": True},
    "github": {"APPS": SOCIAL_APPS.get("github", []), "SCOPE": ["read:user", "user:email"], "OAUTH_PKCE_ENABLED": True},
}
