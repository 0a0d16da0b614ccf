"""What a job schema's Python programs run on.

An image is started once for every call, as `surety_schema.py worker` or `surety_schema.py evaluator`. This serves the
class of that name in worker.py or evaluator.py as the gRPC service of the schema's proto on a socket in the container,
calls it with the message in /in/request, and leaves what it returns in /out/reply. The messages come from
/in/descriptors: nothing is generated, and there is no network.
"""

import importlib
import os
import sys
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SOCKET = "unix:/tmp/program.sock"
MAX_MESSAGE_BYTES = 4 * 1024 * 1024


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


class _Messages:
    """The schema's messages by name: messages.WorkerReply(x=2)."""

    def __init__(self):
        self.pool = descriptor_pool.DescriptorPool()
        self.files = descriptor_pb2.FileDescriptorSet.FromString(_read("/in/descriptors") or b"").file
        for file in self.files:
            self.pool.AddSerializedFile(file.SerializeToString())

    def of(self, descriptor):
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(descriptor)
        return message_factory.MessageFactory(self.pool).GetPrototype(descriptor)

    def __getattr__(self, name):
        package = self.files[0].package
        return self.of(self.pool.FindMessageTypeByName(f"{package}.{name}" if package else name))


messages = _Messages()


def seed(node=None):
    """32 bytes: a worker's own, or for the evaluator those that a worker had."""
    return _read("/in/seed" if node is None else f"/in/seeds/{node}")


def checkpoint(node=None, number=0):
    """The state that this worker's last step left, or for the evaluator a worker's; None where there is none."""
    return _read("/in/checkpoint" if node is None else f"/in/checkpoints/{node}/{number}")


def content(cid, path):
    """A file of the stored directory that a field named …_cid names."""
    return _read(f"/in/content/{cid}/{path}")


def test_data(path):
    """A file of test data, which an evaluator has where the request has any."""
    return _read(f"/in/test-data/{path}")


def publish(field, path, content):
    """Puts a file into the directory whose content id the field of the reply will have."""
    _write(f"/out/content/{field}/{path}", content)


class _Unfinished(Exception):
    pass


def continue_from(state):
    """Ends this step of a worker: it is called again with the state."""
    _write("/out/checkpoint", state)
    raise _Unfinished()


def _service(role):
    name = {"worker": "Worker", "evaluator": "Evaluator"}[role]
    for file in messages.files:
        for service in file.service:
            if service.name == name:
                return messages.pool.FindServiceByName(f"{file.package}.{name}" if file.package else name)
    raise SystemExit(f"the schema has no service {name}")


def run(role):
    service = _service(role)
    method = service.methods[0]
    unfinished = []

    servicer = getattr(importlib.import_module(role), service.name)()

    def serve(request, context):
        try:
            return getattr(servicer, method.name)(request, context)
        except _Unfinished:
            unfinished.append(True)
            return messages.of(method.output_type)()

    handler = grpc.unary_unary_rpc_method_handler(
        serve,
        request_deserializer=messages.of(method.input_type).FromString,
        response_serializer=lambda reply: reply.SerializeToString(deterministic=True),
    )
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=options)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service.full_name, {method.name: handler}),)
    )
    server.add_insecure_port(SOCKET)
    server.start()
    try:
        with grpc.insecure_channel(SOCKET, options=options) as channel:
            reply = channel.unary_unary(f"/{service.full_name}/{method.name}")(_read("/in/request"))
    except grpc.RpcError as error:
        raise SystemExit(f"{service.name}.{method.name}: {error.code().name}: {error.details()}")
    finally:
        server.stop(None)
    if not unfinished:
        _write("/out/reply", reply)


if __name__ == "__main__":
    # So that worker.py and evaluator.py import this very module, and not a second one.
    sys.modules["surety_schema"] = sys.modules["__main__"]
    run(sys.argv[1])
