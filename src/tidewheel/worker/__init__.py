"""The worker: claims, runs, settles. See ARCHITECTURE.md, "follow one job"."""
