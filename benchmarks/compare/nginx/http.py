#!/usr/bin/env python3
"""http: nginx as one sets it up for a small site, in one process: a fixed text, and a file by sendfile.

    http.py NGINX FOLDER [--cache] FILE     FOLDER: for its configuration and what it writes

With --cache it keeps the file open and asks once a second whether it changed, as weft does; by itself
nginx opens it for each request. One process without a master (which would only watch it), so that its
CPU time is that of this process: the calls for a request are those of a worker."""
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

CONFIGURATION = """daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  {cache}
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /file {{ root {site}; }}
    location / {{ default_type text/plain; return 200 "Hello, world!"; }}
  }}
}}
"""
CACHE = "open_file_cache max=64; open_file_cache_valid 1s;"
START_S_MAX = 8


def free_port():
    """nginx cannot choose one. Nobody else on this machine is likely to take it meanwhile."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def announce(port):
    """Says where it listens as soon as it does."""
    give_up = time.monotonic() + START_S_MAX
    while time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
            continue
        print(f"listening 127.0.0.1:{port}", flush=True)
        return


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: http.py NGINX FOLDER [--cache] FILE")
    nginx, folder, file = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[-1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    port, written = free_port(), folder / "nginx.conf"
    written.write_text(CONFIGURATION.format(folder=folder, port=port, site=file.parent,
                                            cache=CACHE if "--cache" in sys.argv else ""))
    command = [nginx, "-p", str(folder), "-c", str(written), "-e", "stderr"]
    tried = subprocess.run([*command, "-t", "-q"], stderr=subprocess.PIPE, text=True, check=False)
    if tried.returncode != 0:
        sys.exit(print(tried.stderr) or 1)
    # This process becomes nginx; one that nobody has to wait for tells when it listens.
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            announce(port)
        os._exit(0)
    os.waitpid(child, 0)
    os.execv(nginx, command)


if __name__ == "__main__":
    main()
