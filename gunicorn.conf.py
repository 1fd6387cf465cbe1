"""Read by gunicorn when it is started here: ``gunicorn wsgi:app``. Settings: QUOTECHAT_… (docs/reference)."""

import sys
from pathlib import Path

# A checkout serves its own code, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from quotechat.config import Settings, SettingsError
from quotechat.serving import gunicorn_settings, prepare

try:
    globals().update(gunicorn_settings(prepare(Settings.from_env())))
except SettingsError as fault:
    sys.exit(f"quotechat: {fault}")
