"""`python -m tidewheel` is `tidewheel`."""

from tidewheel.cli import main

if __name__ == "__main__":
    main()
