import sys
import threading

from mailcatcher.pages import PageServer
from mailcatcher.smtp import MailServer


def main(smtp_port: int = 1025, page_port: int = 8025) -> None:
    server = MailServer(smtp_port)
    pages = PageServer(page_port, server.mailbox)
    server.start()
    pages.start()
    print(f"SMTP on 127.0.0.1:{smtp_port}, mailbox on http://127.0.0.1:{page_port}/ (Ctrl-C ends it)", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()
        pages.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
