"""For WSGI servers: ``gunicorn wsgi:app``. Settings come from the environment (QUOTECHAT_…)."""

import sys
from pathlib import Path

# A checkout serves its own code, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from quotechat import create_app

app = create_app()
