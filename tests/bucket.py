"""A stand-in for a store that speaks as S3 does: what is written appears when it is complete."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass
class Bucket:
    """Its objects by key, and uploads that were begun; ``refuses`` answers all with 403."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    completed: int = 0
    refuses: bool = False
    full: bool = False


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    bucket = Bucket()

    class Handler(_Handler):
        kept = bucket

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        bucket.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield bucket
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    kept: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).split("/", 2)[2]

    @property
    def asked(self) -> dict[str, str]:
        query = urlsplit(self.path).query
        return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refused(self) -> bool:
        if self.kept.refuses or "Authorization" not in self.headers:
            self.body()
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return True
        return False

    def do_PUT(self) -> None:
        if self.refused():
            return
        body = self.body()
        if self.kept.full and "partNumber" in self.asked:
            self.answer(400, b"<Error><Code>QuotaExceeded</Code></Error>")
            return
        if "partNumber" in self.asked:
            self.kept.parts[self.asked["uploadId"]][int(self.asked["partNumber"])] = body
        else:
            self.kept.objects[self.key] = body
        self.answer(200, ETag='"1"')

    def do_POST(self) -> None:
        if self.refused():
            return
        self.body()
        if "uploads" in self.asked:
            upload = uuid.uuid4().hex
            self.kept.parts[upload] = {}
            found = f"<InitiateMultipartUploadResult {NAMESPACE}><Bucket>b</Bucket><Key>{escape(self.key)}</Key><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = self.kept.parts.pop(self.asked["uploadId"])
            self.kept.objects[self.key] = b"".join(parts[number] for number in sorted(parts))
            self.kept.completed += 1
            found = f'<CompleteMultipartUploadResult {NAMESPACE}><ETag>"1"</ETag></CompleteMultipartUploadResult>'
        self.answer(200, found.encode(), Content_Type="application/xml")

    def do_DELETE(self) -> None:
        if not self.refused():
            self.kept.objects.pop(self.key, None)
            self.answer(204)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.refused():
            return
        if self.asked.get("list-type") == "2":
            self.answer(200, self.listing(), Content_Type="application/xml")
            return
        content = self.kept.objects.get(self.key)
        if content is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        about = {"ETag": '"1"', "Last_Modified": "Wed, 01 Oct 2025 12:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            self.answer(200, content, **about)
            return
        first, last = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        part = content[first : last + 1]
        self.answer(206, part, Content_Range=f"bytes {first}-{last}/{len(content)}", **about)

    def listing(self) -> bytes:
        prefix = self.asked.get("prefix", "")
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2025-10-01T12:00:00.000Z</LastModified>"
            f'<ETag>"1"</ETag><Size>{len(content)}</Size></Contents>'
            for key, content in sorted(self.kept.objects.items())
            if key.startswith(prefix)
        )
        told = f"<IsTruncated>false</IsTruncated><Name>b</Name><Prefix>{escape(prefix)}</Prefix>"
        return f"<ListBucketResult {NAMESPACE}>{told}{rows}</ListBucketResult>".encode()
