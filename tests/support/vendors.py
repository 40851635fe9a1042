"""HTTP servers that answer as Heroku's and Kubernetes' documents say, or as badly as asked for."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

TOKEN = "hunter2-this-is-the-token"


class Request(NamedTuple):
    """One call as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    """What is sent back; `data` that is bytes goes as it is."""

    status: int
    data: Any
    headers: Mapping[str, str] = MappingProxyType({})


class Vendor(ABC):
    """Listens on loopback. `instead` is given in place of what `answer` says; `requests` came.

    With `mood` "hang" nothing comes, with "drip" a byte now and then.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.instead: list[Answer] = []
        self.mood = "well"
        self.let_go = threading.Event()
        self.more_headers: dict[str, str] = {}
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                vendor._serve(self)

            do_PATCH = do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: object) -> None:
                pass  # a client that has gone, or does not like our certificate

        self._server = Server(("127.0.0.1", 0), Handler)
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """What the vendor says to this."""

    def writes(self) -> list[Request]:
        """The requests that change something."""
        return [each for each in self.requests if each.method != "GET"]

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        body = json.loads(raw) if raw else None
        request = Request(handler.command, handler.path, dict(handler.headers.items()), body)
        self.requests.append(request)
        if self.mood == "drip":
            self._drip(handler)
            return
        if self.mood == "hang":
            self.let_go.wait()
        answer = self.instead.pop(0) if self.instead else self.answer(request)
        content = (
            answer.data if isinstance(answer.data, bytes) else json.dumps(answer.data).encode()
        )
        try:
            handler.send_response(answer.status)
            for name, value in {**self.more_headers, **answer.headers}.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        except OSError:
            pass  # whoever asked did not wait

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        """Headers without an end: every wait is short, all of them together are not."""
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.let_go.wait(0.05):
                handler.wfile.write(b"X: y\r\n")
        except OSError:
            pass


class Heroku(Vendor):
    """The formation of the app `shop`: process types by name, with quantity and dyno size.

    As the Platform API's schema, version 3, has it; `most` is what the account may run in all.
    """

    def __init__(self, context: ssl.SSLContext | None = None, **quantities: int) -> None:
        self.quantities = quantities
        self.sizes = dict.fromkeys(quantities, "Standard-1X")
        self.most: int | None = None
        super().__init__(context)

    def answer(self, request: Request) -> Answer:
        if refused := self._refuse(request):
            return refused
        kind = request.path.removeprefix("/apps/shop/formation").strip("/")
        if not request.path.startswith("/apps/shop/formation"):
            return self._error(404, "not_found", "Couldn't find that app.", resource="app")
        if kind and kind not in self.quantities:
            return self._error(404, "not_found", "Couldn't find that formation.")
        if request.method == "PATCH":
            return self._patch(kind, request.body)
        return Answer(200, self._entry(kind) if kind else [*map(self._entry, self.quantities)])

    def _refuse(self, request: Request) -> Answer | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._error(401, "unauthorized", "Invalid credentials provided.")
        if request.headers.get("Accept") != "application/vnd.heroku+json; version=3":
            return self._error(404, "not_found", "The requested API endpoint was not found.")
        return None

    def _patch(self, kind: str, body: Any) -> Answer:
        wanted = {each["type"]: each["quantity"] for each in body["updates"]} if not kind else {}
        wanted = wanted or {kind: body["quantity"]}
        total = sum({**self.quantities, **wanted}.values())
        if self.most is not None and total > self.most:
            return self._error(
                422,
                "cannot_run_above_limit",
                f"Cannot run more than {self.most} Standard-1X size dynos.",
                limit=self.most,
                size=total,
            )
        self.quantities.update(wanted)
        entries = [self._entry(each) for each in wanted]
        return Answer(200, entries[0] if kind else entries)

    def _entry(self, kind: str) -> dict[str, Any]:
        return {
            "app": {"name": "shop", "id": "01234567-89ab-cdef-0123-456789abcdef"},
            "command": "bin/work",
            "created_at": "2012-01-01T12:00:00Z",
            "dyno_size": {"id": "01234567-89ab-cdef-0123-456789abcdef", "name": self.sizes[kind]},
            "id": "01234567-89ab-cdef-0123-456789abcdef",
            "quantity": self.quantities[kind],
            "size": self.sizes[kind],
            "type": kind,
            "updated_at": "2012-01-01T12:00:00Z",
        }

    def _error(self, status: int, id: str, message: str, **more: Any) -> Answer:
        return Answer(status, {"id": id, "message": message, "url": "https://devcenter", **more})


class Kubernetes(Vendor):
    """The deployment `worker` in the namespace `shop`, and what scales it besides.

    As the API's reference has it: Scale leaves `replicas` out where it is 0. `forbidden` are the
    resources that the service account may not use.
    """

    def __init__(self, context: ssl.SSLContext | None = None, replicas: int = 1) -> None:
        self.replicas = replicas
        self.token = TOKEN
        self.autoscalers: list[dict[str, Any]] = []
        self.scaled_objects: list[dict[str, Any]] | None = None  # KEDA is not installed
        self.forbidden: set[str] = set()
        super().__init__(context)

    def answer(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._status(401, "Unauthorized", "Unauthorized")
        plural = next((each for each in self.forbidden if f"/{each}" in request.path), None)
        if plural:
            who = 'User "system:serviceaccount:shop:scaler"'
            return self._status(403, "Forbidden", f"{plural} is forbidden: {who} cannot use it")
        spaces = {
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers": self.autoscalers,
            "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects": self.scaled_objects,
        }
        if request.path in spaces and (found := spaces[request.path]) is not None:
            return Answer(200, {"kind": "List", "metadata": {}, "items": found})
        if request.path == "/apis/apps/v1/namespaces/shop/deployments/worker/scale":
            return self._scale(request)
        return self._status(404, "NotFound", "the server could not find the requested resource")

    def _scale(self, request: Request) -> Answer:
        if request.method == "PATCH":
            kind = request.headers.get("Content-Type")
            if kind != "application/merge-patch+json":
                return self._status(415, "UnsupportedMediaType", f"{kind} is not supported")
            self.replicas = request.body["spec"]["replicas"]
        spec = {"replicas": self.replicas} if self.replicas else {}
        status = {"replicas": 7, "selector": "app=worker"}  # pods that are still there
        head = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "worker"}}
        return Answer(200, {**head, "spec": spec, "status": status})

    def _status(self, code: int, reason: str, message: str) -> Answer:
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return Answer(code, {**head, "message": message, "reason": reason, "code": code})


def autoscaler(what: str, called: str, /, **target: str) -> dict[str, Any]:
    """A HorizontalPodAutoscaler or ScaledObject that scales `target`."""
    return {"kind": what, "metadata": {"name": called}, "spec": {"scaleTargetRef": target}}


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody has signed but itself, and a server's context."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, directory / "key.pem")
    return pem, context
