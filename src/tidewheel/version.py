"""The version, in a module of its own: whatever is below the app can name it without importing the app."""

__version__ = "0.1.0"
