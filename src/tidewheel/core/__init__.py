"""Pure decisions: no clock, no I/O, no threads, no logging. Time and chance come in as arguments."""
