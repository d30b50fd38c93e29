#!/usr/bin/env python3
"""Other people's clients against examples/serve, one a run; skipped if it is not installed.

  fast.py PROGRAM curl|pipelining|ab|wrk|nginx|browser"""
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import site_of_clients as site
from site_of_clients import expect

CURL = ("curl", "-s", "--max-time", "60", "--noproxy", "*")
PIPELINED = 50
AB_REQUESTS = 3000
UPLOAD_BYTES = 300_000
KEPT_MAX = 8  # connections to the server behind that nginx keeps
UPLOAD_TOO_LARGE_BYTES = 3_000_000


def fetch(url, *arguments):
    """Result: what curl says of it by FORMAT, split, and the body."""
    wanted = "\\n%{http_code} %{num_connects} %{http_version} %{size_upload}"
    out = site.run(*CURL, "-w", wanted, *arguments, url, seconds=90)[1]
    body, _, said = out.rpartition(b"\n")
    return said.decode().split(), body


def check_curl(server, large, folder):
    site.find("curl", "curl")
    url = server.url
    said, body = fetch(url + "/small.txt")
    expect(said[0] == "200" and body == b"0123456789", "curl: GET")
    said, body = fetch(url + "/small.txt", "-I")
    expect(said[0] == "200" and b"content-length: 10" in body.lower() and b"0123456789" not in body, "curl: HEAD")
    said, body = fetch(url + "/large.bin")
    expect(said[0] == "200" and body == large, f"curl: {len(large)} bytes")
    said, body = fetch(url + "/large.bin", "-r", "1000000-1999999")
    expect(said[0] == "206" and body == large[1000000:2000000], "curl: a range")
    said, body = fetch(url + "/large.bin", "-r", "-10")
    expect(said[0] == "206" and body == large[-10:], "curl: the last ten bytes")
    said, _ = fetch(url + "/large.bin", "-r", f"{len(large)}-")
    expect(said[0] == "416", "curl: a range behind the end")
    out = site.run(*CURL, "-w", "%{http_code} %{num_connects}\\n", *[w for _ in range(5) for w in
                   ("-o", "/dev/null", url + "/small.txt")])[1].decode().split()
    expect(out == ["200", "1"] + ["200", "0"] * 4, "curl: five requests on one connection: " + " ".join(out))
    said, body = fetch(url + "/small.txt", "-0")
    expect(said[0] == "200" and body == b"0123456789", "curl: HTTP/1.0, answered in " + said[2])
    check_upload(url, folder)


def check_upload(url, folder):
    """The folder cannot be written: what counts is that an upload is refused without a hang or a reset."""
    small, big = folder / "upload", folder / "upload.big"
    small.write_bytes(b"x" * UPLOAD_BYTES)
    big.write_bytes(b"x" * UPLOAD_TOO_LARGE_BYTES)
    code, out, err = site.run(*CURL, "-v", "-T", small, "-H", "Expect: 100-continue", "--expect100-timeout", "50",
                              "-o", "/dev/null", "-w", "%{http_code} %{size_upload}", url + "/small.txt", seconds=90)
    expect(code == 0 and out.decode().split() == ["405", str(UPLOAD_BYTES)] and "HTTP/1.1 100" in err,
           f"curl: an upload is let on by 100, then refused: {out.decode()}")
    said, _ = fetch(url + "/small.txt", "-X", "POST", "--data-binary", f"@{small}", "-H", "Expect:")
    expect(said[0] == "405", "curl: the same without being asked: " + said[0])
    said, _ = fetch(url + "/small.txt", "-T", str(small), "-H", "Transfer-Encoding: chunked")
    expect(said[0] == "405", "curl: the same in chunks: " + said[0])
    said, _ = fetch(url + "/small.txt", "-T", str(big), "-H", "Expect: 100-continue", "--expect100-timeout", "50")
    expect(said[0] == "413" and said[3] == "0", f"curl: too large a body is refused before it is sent: {' '.join(said)}")
    said, _ = fetch(url + "/small.txt", "-T", str(big), "-H", "Expect:")
    expect(said[0] == "413", f"curl: and while it is sent, by an answer that arrives: {' '.join(said)}")


def check_pipelining(server, large, folder):
    """By a socket: curl has had no pipelining since 7.65."""
    with site.connected(server.port) as (s, stream):
        s.sendall(b"".join(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"small.txt", b"missing")[i % 2]
                           for i in range(PIPELINED)))
        codes = [site.read_answer(stream)[0] for _ in range(PIPELINED)]
    expect(codes == [200, 404] * (PIPELINED // 2), f"{PIPELINED} requests sent at once are answered in their order")
    with site.connected(server.port) as (s, stream):
        s.sendall(b"GET /small.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2
                  + b"GET /small.txt HTTP/1.0\r\n\r\n")
        codes = [(site.read_answer(stream) or [None])[0] for _ in range(4)]
    expect(codes == [200, 200, 200, None], f"HTTP/1.0: kept alive where it asks for that, else closed: {codes}")


def check_ab(server, large, folder):
    ab = site.find("apache2-utils", "ab")
    url = server.url
    for kind in ((), ("-k",)):
        _, out, err = site.run(ab, "-q", "-n", AB_REQUESTS, "-c", 50, *kind, url + "/small.txt", seconds=120)
        figure = {m[1]: int(m[2]) for m in re.finditer(rb"(Complete|Failed|Keep-Alive|Non-2xx)[^:]*:\s+(\d+)", out)}
        kept = not kind or figure.get(b"Keep-Alive", 0) >= AB_REQUESTS
        expect(figure.get(b"Complete") == AB_REQUESTS and figure.get(b"Failed") == 0 and b"Non-2xx" not in figure and kept,
               " ".join(("ab", *kind, f"{AB_REQUESTS} requests by 50 clients: {figure}", err.strip())))


def check_wrk(server, large, folder):
    wrk = site.find("wrk", "wrk")
    out = site.run(wrk, "-t2", "-c100", "-d1s", server.url + "/small.txt")[1].decode()
    rate = re.search(r"Requests/sec:\s*([\d.]+)", out)
    expect(rate and float(rate[1]) > 0 and "Socket errors" not in out and "Non-2xx" not in out,
           "wrk saw no error: " + (rate[0] if rate else out))


def check_nginx(server, large, folder):
    nginx = site.find("nginx-light", "nginx")
    site.find("curl", "curl")
    (folder / "upload").write_bytes(b"x" * UPLOAD_BYTES)
    ports = [site.free_port(), site.free_port()]
    config = folder / "nginx.conf"
    config.write_text(f"""daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 512; }}
http {{
  access_log off; proxy_buffering on; client_max_body_size 10m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream weft {{ server 127.0.0.1:{server.port}; keepalive {KEPT_MAX}; }}
  server {{ listen 127.0.0.1:{ports[0]}; location / {{ proxy_pass http://weft; proxy_http_version 1.1;
             proxy_set_header Connection ""; }} }}
  server {{ listen 127.0.0.1:{ports[1]}; location / {{ proxy_pass http://127.0.0.1:{server.port};
             proxy_request_buffering off; proxy_buffering off; }} }}
}}
""")
    with open(folder / "nginx.log", "w+") as log:
        proxy = subprocess.Popen([nginx, "-p", str(folder), "-e", "stderr", "-c", str(config)], stderr=log)
        try:
            give_up = time.monotonic() + 30
            while proxy.poll() is None and time.monotonic() < give_up and fetch(f"http://127.0.0.1:{ports[1]}/")[0][0] == "000":
                time.sleep(0.05)
            for port, how in zip(ports, ("HTTP/1.1 and kept connections", "HTTP/1.0")):
                url = f"http://127.0.0.1:{port}"
                said, body = fetch(url + "/large.bin")
                good = said[0] == "200" and body == large
                said, body = fetch(url + "/large.bin", "-r", "77-99999")
                good = good and said[0] == "206" and body == large[77:100000]
                good = good and fetch(url + "/missing")[0][0] == "404"
                good = good and fetch(url + "/small.txt", "-I")[0][0] == "200"
                expect(good, f"nginx in front, {how}: whole, a range, none, HEAD")
                said, _ = fetch(url + "/small.txt", "-T", str(folder / "upload"))
                expect(said[0] == "405", f"nginx in front, {how}: an upload is refused: {said[0]}")
                before = server.figures()["connections_accepted"]
                codes = {fetch(url + "/small.txt", "--next", *CURL[1:], "-o", "/dev/null", url + "/small.txt")[0][0]
                         for _ in range(10)}
                took = server.figures()["connections_accepted"] - before - 1
                expect(codes == {"200"} and (port == ports[1] or took <= KEPT_MAX),
                       f"nginx in front, {how}: 20 requests took {took} connections")
        finally:
            proxy.terminate()
            proxy.wait(20)
        log.seek(0)
        said = log.read()
        expect("upstream" not in said, "nginx had nothing to say of the server behind it: " + said[:500])


def check_browser(server, large, folder):
    browser = site.find("chromium", "chromium", "chromium-browser", "google-chrome")
    code, out, err = site.run(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                              f"--user-data-dir={folder}/profile", "--no-first-run", "--no-proxy-server",
                              "--timeout=30000", "--virtual-time-budget=20000", "--dump-dom", server.url + "/", seconds=100)
    got = re.search(r'data-got="([^"]*)"', out.decode(errors="replace"))
    if code is None or (not got and "<p id" not in out.decode(errors="replace")):
        site.skip(f"{browser} does not work here ({code}): {err.strip()[-200:]}")
    expect(got and got[1] == site.PAGE_SAYS, f"a browser: the page and all that belongs to it: {got and got[1]}")


CHECKS = {"curl": check_curl, "pipelining": check_pipelining, "ab": check_ab, "wrk": check_wrk, "nginx": check_nginx,
          "browser": check_browser}


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        root = folder / "site"
        root.mkdir()
        large = site.make_files(root)
        server = site.Server(sys.argv[1], root)
        CHECKS[sys.argv[2]](server, large, folder)
        n = server.figures()
        expect(n["responses_5xx"] == 0 and n["handler_errors"] == 0 and n["accept_errors"] == 0 and n["timed_out"] == 0,
               f"no answer of 500, nobody was too slow: {n}")
        expect(server.quiet(30), "when all have gone no connection is open")
        server.end()
    site.finish()


if __name__ == "__main__":
    main()
