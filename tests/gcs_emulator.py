"""Google Cloud Storage's JSON API over HTTP, with objects in memory: what gcsfs asks of it.

    python tests/gcs_emulator.py [--port 0] [--latency SECONDS] [--folder DIR=BUCKET]

prints its URL and serves until its stdin is closed. Tests look and reach inside by `/_control/`,
which knows neither permissions nor latency, and is not counted.
"""

import argparse
import asyncio
import base64
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from children import serve_until_stdin_closes
from gcs_objects import (
    READ_ONLY,
    READ_WRITE,
    Bucket,
    Condition,
    Object,
    Store,
    StoreError,
    Upload,
    refuse,
    settable,
)
from gcs_wire import byte_range, content_range, multipart

MAX_PAGE = 1000
_PIECE = 1 << 18
_BATCH_DELETE = re.compile(rb"^DELETE \S*/storage/v1/b/([^/\s]+)/o/([^?\s]+)(\S*) HTTP/", re.M)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Emulator:
    """Every public coroutine answers one kind of request, and gives that kind its name."""

    def __init__(self, latency: float = 0.0, page_size: int = MAX_PAGE) -> None:
        self.store = Store()
        self.latency = latency
        self.page_size = page_size

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._answer])
        buckets, bucket = "/storage/v1/b", "/storage/v1/b/{bucket}"
        objects, object = f"{bucket}/o", bucket + "/o/{name}"
        to = "/b/{dest_bucket}/o/{dest}"
        upload = f"/upload{objects}"
        control = "/_control/buckets/{bucket}"
        app.add_routes(
            [
                web.get(buckets, self.list_buckets),
                web.post(buckets, self.make_bucket),
                web.get(bucket, self.get_bucket),
                web.delete(bucket, self.delete_bucket),
                web.get(objects, self.list_objects),
                web.get(object, self.get_object),
                web.patch(object, self.update_object),
                web.delete(object, self.delete_object),
                web.get(f"/download{object}", self.download),
                web.post(object + "/compose", self.compose),
                web.post(object + "/rewriteTo" + to, self.rewrite),
                web.post(object + "/copyTo" + to, self.copy),
                web.post(object + "/moveTo/o/{dest}", self.move),
                web.post(upload, self.upload),
                web.put(upload, self.upload),
                web.delete(upload, self.cancel_upload),
                web.post("/batch/storage/v1", self.batch),
                web.put("/_control/settings", self.set),
                web.post("/_control/clear", self.clear),
                web.get(control, self.look),
                web.put(control, self.allow),
                web.get(control + "/{name}", self.read),
                web.put(control + "/{name}", self.write),
            ]
        )
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts and delays requests, and tells errors as Google does."""
        kind = handler.__name__
        if not request.path.startswith("/_control/"):
            if kind == "upload":
                given = request.query.get("uploadType", "")
                kind = "upload_chunk" if "upload_id" in request.query else f"upload_{given}"
            if (bucket := self.store.buckets.get(request.match_info.get("bucket", ""))) is not None:
                bucket.requests[kind] += 1
            await asyncio.sleep(self.latency)
        try:
            return await handler(request)
        except StoreError as error:
            if kind == "download" or request.query.get("alt") == "media":
                return web.Response(status=error.code, text=error.message)
            return web.json_response(_error(error), status=error.code)

    async def list_buckets(self, request: web.Request) -> web.Response:
        items = [bucket.resource() for bucket in self.store.buckets.values()]
        return web.json_response({"kind": "storage#buckets", "items": items})

    async def make_bucket(self, request: web.Request) -> web.Response:
        return web.json_response(self.store.make_bucket((await request.json())["name"]).resource())

    async def get_bucket(self, request: web.Request) -> web.Response:
        return web.json_response(self._bucket(request, "storage.buckets.get").resource())

    async def delete_bucket(self, request: web.Request) -> web.Response:
        self.store.delete_bucket(request.match_info["bucket"])
        return web.Response(status=204)

    async def list_objects(self, request: web.Request) -> web.Response:
        bucket, query = self._bucket(request, "storage.objects.list"), request.query
        items, prefixes, last = bucket.page(
            query.get("prefix", ""),
            query.get("delimiter", ""),
            query.get("startOffset", ""),
            query.get("endOffset", ""),
            base64.urlsafe_b64decode(query.get("pageToken", "")).decode(),
            min(int(query.get("maxResults", MAX_PAGE)), self.page_size),
        )
        page: dict[str, Any] = {"kind": "storage#objects"}
        if items:
            page["items"] = [item.resource(bucket.name) for item in items]
        if prefixes:
            page["prefixes"] = prefixes
        if last:
            page["nextPageToken"] = base64.urlsafe_b64encode(last.encode()).decode()
        return web.json_response(page)

    async def get_object(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("alt") == "media":
            return await self.download(request)
        bucket = self._bucket(request, "storage.objects.get")
        return _resource(bucket, self._object(bucket, request))

    async def update_object(self, request: web.Request) -> web.Response:
        bucket = self._bucket(request, "storage.objects.update")
        found = self._object(bucket, request)
        found.fields.update(settable(await request.json()))
        return _resource(bucket, found)

    async def delete_object(self, request: web.Request) -> web.Response:
        bucket = self._bucket(request, "storage.objects.delete")
        found = self._object(bucket, request)
        bucket.delete(found.name, Condition.of(request.query))
        return web.Response(status=204)

    async def download(self, request: web.Request) -> web.StreamResponse:
        found = self._object(self._bucket(request, "storage.objects.get"), request)
        data, size = found.view(), found.size
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": found.fields.get("contentType", "application/octet-stream"),
            "ETag": f'"{found.generation}"',
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Hash": ",".join(
                f"{key.removesuffix('Hash')}={sum}" for key, sum in found.checksums.items()
            ),
        }
        if "contentEncoding" in found.fields:
            headers["Content-Encoding"] = found.fields["contentEncoding"]
        asked = byte_range(request.headers.get("Range"), size)
        if asked is None:
            headers["Content-Range"] = f"bytes */{size}"
            body = b"Request range not satisfiable"
            return web.Response(status=416, headers=headers, body=body)
        if "Range" in request.headers:
            headers["Content-Range"] = f"bytes {asked.start}-{asked.stop - 1}/{size}"
        data = data[asked.start : asked.stop]
        status = 206 if "Range" in request.headers else 200
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(data)
        await response.prepare(request)
        for start in range(0, len(data), _PIECE):
            await response.write(data[start : start + _PIECE])
        await response.write_eof()
        return response

    async def compose(self, request: web.Request) -> web.Response:
        bucket = self._bucket(request, "storage.objects.create")
        name = request.match_info["name"]
        made = self.store.compose(bucket, name, await request.json(), request.query)
        return _resource(bucket, made)

    async def rewrite(self, request: web.Request) -> web.Response:
        made, bucket = self._copied(request)
        answer = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(made.size),
            "objectSize": str(made.size),
            "done": True,
            "resource": made.resource(bucket),
        }
        return web.json_response(answer)

    async def copy(self, request: web.Request) -> web.Response:
        made, bucket = self._copied(request)
        return web.json_response(made.resource(bucket))

    async def move(self, request: web.Request) -> web.Response:
        bucket = self._bucket(request, "storage.objects.delete")
        name, dest = request.match_info["name"], request.match_info["dest"]
        made = self.store.copy((bucket.name, name), (bucket.name, dest), request.query)
        bucket.delete(name, Condition())
        return _resource(bucket, made)

    async def upload(self, request: web.Request) -> web.Response:
        """An upload in one request, or the begin or a chunk of a resumable one."""
        if "upload_id" in request.query:
            return await self._upload_chunk(request)
        bucket, query = self._bucket(request, "storage.objects.create"), request.query
        condition = Condition.of(query)
        content_type = request.headers.get("Content-Type", "application/octet-stream")
        kind = query.get("uploadType")
        if kind == "resumable":
            return await self._start_upload(request, bucket, condition)
        if kind == "multipart":
            resource, content = multipart(content_type, await _body(request))
        elif kind == "media":
            resource, content = {"contentType": content_type}, await _body(request)
        else:
            refuse(f"Unknown uploadType: {kind}")
        name = resource.get("name") or query["name"]
        return _resource(bucket, bucket.put(name, content, settable(resource), condition))

    async def _start_upload(
        self, request: web.Request, bucket: Bucket, condition: Condition
    ) -> web.Response:
        resource = json.loads(await _body(request) or b"{}")
        name = resource.get("name") or request.query["name"]
        condition.check(bucket.objects.get(name))
        fields = settable(resource)
        if content_type := request.headers.get("X-Upload-Content-Type"):
            fields.setdefault("contentType", content_type)
        key = uuid.uuid4().hex
        self.store.uploads[key] = Upload(bucket, name, fields, condition)
        # By the client's own name for this server, so that chunks pass through a proxy as well.
        where = f"{request.scheme}://{request.host}{request.path}"
        query = f"uploadType=resumable&name={quote(name, safe='')}&upload_id={key}"
        return web.Response(headers={"Location": f"{where}?{query}"})

    async def _upload_chunk(self, request: web.Request) -> web.Response:
        upload = self._upload(request)
        upload.bucket.check("storage.objects.create")
        header = request.headers.get("Content-Range")
        offset, total = content_range(header, request.content_length)
        if offset > upload.persisted:
            refuse(f"The chunk starts at {offset}, but {upload.persisted} bytes are persisted.")
        try:
            async for piece in request.content.iter_any():
                upload.receive(offset, piece)
                offset += len(piece)
        except BaseException:
            upload.settle(None)
            raise
        upload.settle(total)
        if upload.cancelled:
            return web.Response(status=499)
        if upload.result is not None:
            return _resource(upload.bucket, upload.result)
        persisted = upload.persisted
        headers = {"Range": f"bytes=0-{persisted - 1}"} if persisted else {}
        return web.Response(status=308, headers=headers)

    async def cancel_upload(self, request: web.Request) -> web.Response:
        self._upload(request).cancelled = True
        return web.Response(status=499)

    async def batch(self, request: web.Request) -> web.Response:
        """Deletes objects, each with an answer of its own."""
        boundary = f"batch_{uuid.uuid4().hex}"
        parts = []
        for bucket, name, query in _BATCH_DELETE.findall(bytes(await _body(request))):
            status, body = "204 No Content", ""
            try:
                where = self.store.bucket(unquote(bucket.decode()), "storage.objects.delete")
                generation = re.search(r"[?&]generation=(\d+)", query.decode())
                found = where.get(unquote(name.decode()), generation and generation[1])
                where.delete(found.name, Condition())
            except StoreError as error:
                status, body = f"{error.code} Error", json.dumps(_error(error))
            parts.append(
                f"--{boundary}\r\nContent-Type: application/http\r\n\r\n"
                f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}\r\n"
            )
        text = "".join(parts) + f"--{boundary}--\r\n"
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
        return web.Response(body=text.encode(), headers=headers)

    async def set(self, request: web.Request) -> web.Response:
        """Settings for the requests to come: `latency` in seconds, `page_size`."""
        settings = await request.json()
        self.latency = settings.get("latency", self.latency)
        self.page_size = settings.get("page_size", self.page_size)
        return web.json_response({"latency": self.latency, "page_size": self.page_size})

    async def clear(self, request: web.Request) -> web.Response:
        self.store = Store()
        return web.Response()

    async def look(self, request: web.Request) -> web.Response:
        """All about a bucket."""
        bucket = self._bucket(request)
        answer = {
            "access": bucket.access,
            "objects": {name: found.size for name, found in sorted(bucket.objects.items())},
            "requests": bucket.requests,
            "unfinished_uploads": self.store.unfinished(bucket.name),
        }
        return web.json_response(answer)

    async def allow(self, request: web.Request) -> web.Response:
        """Makes a bucket, or changes what it lets its callers do."""
        name = request.match_info["bucket"]
        bucket = self.store.buckets.setdefault(name, Bucket(name))
        bucket.access = (await request.json()).get("access", READ_WRITE)
        return web.Response()

    async def read(self, request: web.Request) -> web.Response:
        found = self._object(self._bucket(request), request)
        return web.Response(body=bytes(found.view()))

    async def write(self, request: web.Request) -> web.Response:
        self._bucket(request).put(request.match_info["name"], await _body(request), {})
        return web.Response()

    def add_folder(self, folder: Path, bucket: str) -> None:
        """A read-only bucket of the files below a folder, which stay where they are."""
        made = self.store.make_bucket(bucket)
        made.access = READ_ONLY
        for path in folder.rglob("*"):
            if path.is_file():
                made.put(str(path.relative_to(folder)), path, {})

    def _bucket(self, request: web.Request, permission: str = "") -> Bucket:
        name = request.match_info["bucket"]
        if not permission and name in self.store.buckets:
            return self.store.buckets[name]
        return self.store.bucket(name, permission)

    def _object(self, bucket: Bucket, request: web.Request) -> Object:
        return bucket.get(request.match_info["name"], request.query.get("generation"))

    def _upload(self, request: web.Request) -> Upload:
        key = request.query.get("upload_id", "")
        if key not in self.store.uploads:
            raise StoreError(404, "notFound", f"No such upload: {key}")
        return self.store.uploads[key]

    def _copied(self, request: web.Request) -> tuple[Object, str]:
        info = request.match_info
        source, dest = (info["bucket"], info["name"]), (info["dest_bucket"], info["dest"])
        return self.store.copy(source, dest, request.query), dest[0]


def _resource(bucket: Bucket, found: Object) -> web.Response:
    return web.json_response(found.resource(bucket.name))


def _error(error: StoreError) -> dict[str, Any]:
    cause = {"message": error.message, "domain": "global", "reason": error.reason}
    return {"error": {"code": error.code, "message": error.message, "errors": [cause]}}


async def _body(request: web.Request) -> bytearray:
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
    return body


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--folder", action="append", default=[], metavar="DIR=BUCKET")
    args = parser.parse_args()
    emulator = Emulator(args.latency)
    for folder in args.folder:
        path, _, bucket = folder.rpartition("=")
        emulator.add_folder(Path(path), bucket)
    runner = web.AppRunner(emulator.app(), access_log=None, read_bufsize=1 << 20)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", args.port).start()
    host, port = runner.addresses[0]
    await serve_until_stdin_closes(f"http://{host}:{port}")
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
