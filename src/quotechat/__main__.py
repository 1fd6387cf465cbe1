"""``python -m quotechat`` is the command ``quotechat``."""

from quotechat.cli import main

if __name__ == "__main__":
    main(prog_name="quotechat")
