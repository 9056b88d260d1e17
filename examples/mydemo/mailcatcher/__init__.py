"""A mail server for trying things out: takes every mail by real SMTP (aiosmtpd) and shows it on a page. Sends nothing anywhere.

    python -m mailcatcher [SMTP port] [page's port]
"""
