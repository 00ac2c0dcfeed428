#!/usr/bin/env python
"""Entry point of every management command."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        # As a shell has it for what Ctrl-C ended. Commands that can continue say so themselves.
        sys.exit(130)
