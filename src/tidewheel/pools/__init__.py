"""Where functions run inside an executor: one file per pool, all behind the seam in `seam.py`."""
