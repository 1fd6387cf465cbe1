"""Settings: the operator's choices, each with its default, its bounds and its reason.

Only values and their checks live here. Nothing of quotechat is imported, so that every layer, a
test and ``gunicorn.conf.py`` may read settings without starting anything.

Every setting is read from the environment variable ``QUOTECHAT_<NAME IN CAPITALS>``.
"""

from .fields import PREFIX, SettingsError, variable
from .settings import Settings, default_of, unknown_variables

__all__ = ["PREFIX", "Settings", "SettingsError", "default_of", "unknown_variables", "variable"]
