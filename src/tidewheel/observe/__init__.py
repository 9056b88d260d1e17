"""What the outside sees of a worker: logs and the banner. Subscribers of events; nothing below imports this package."""
