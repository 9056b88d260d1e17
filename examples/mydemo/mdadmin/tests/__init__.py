"""Run with `TIDEWHEEL_URL=memory:// python manage.py test`: the jobs stay in this process, and `run_pending` runs them."""
