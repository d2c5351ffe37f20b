"""Alembic migrations, oldest first in `versions`. `app.db.upgrade` runs them."""
