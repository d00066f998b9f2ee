"""One post from sign-up to the network over gRPC, with the generated Python client. Started by clients/story.sh."""

import datetime
import json
import os
import pathlib
import sys
import urllib.parse
import urllib.request
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from postmesh.auth.v1 import auth_pb2, auth_pb2_grpc
from postmesh.media.v1 import media_pb2, media_pb2_grpc
from postmesh.publisher.v1 import account_pb2, account_pb2_grpc
from postmesh.scheduler.v1 import post_pb2, post_pb2_grpc

URL = os.environ["POSTMESH_URL"].rstrip("/")
SANDBOX = os.environ["POSTMESH_SANDBOX_URL"].rstrip("/")
PICTURE = pathlib.Path(__file__).parent.parent / "story.png"
PATIENCE = 30  # seconds


def new_id() -> str:
    return str(uuid.uuid4())


def channel() -> grpc.Channel:
    """A channel to the gateway: plain text or TLS, as its address says."""
    url = urllib.parse.urlsplit(URL)
    if url.scheme == "https":
        return grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials())
    return grpc.insecure_channel(url.netloc)


def bad_fields(error: grpc.RpcError) -> list[str]:
    """The fields an INVALID_ARGUMENT names."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            bad = error_details_pb2.BadRequest()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(bad):
                    return [violation.field for violation in bad.field_violations]
    return []


def upload(media: media_pb2_grpc.MediaServiceStub, signed_in: list[tuple[str, str]]) -> str:
    """Sends the picture and answers its media id."""
    content = PICTURE.read_bytes()
    request = media_pb2.CreateUploadRequest(
        filename=PICTURE.name, size_bytes=len(content), alt_text="A gradient", request_id=new_id()
    )
    created = media.CreateUpload(request, metadata=signed_in, timeout=PATIENCE)
    put = urllib.request.Request(
        urllib.parse.urljoin(URL, created.upload_url), data=content, method="PUT", headers=dict(created.headers)
    )
    with urllib.request.urlopen(put, timeout=PATIENCE):
        pass
    request = media_pb2.CompleteUploadRequest(upload_id=created.upload_id)
    return media.CompleteUpload(request, metadata=signed_in, timeout=PATIENCE).media.id


def main() -> None:
    name = f"story-{new_id()}"
    with channel() as mesh:
        # Sign up.
        registered = auth_pb2_grpc.AuthServiceStub(mesh).Register(
            auth_pb2.RegisterRequest(email=f"{name}@example.com", password=new_id(), request_id=new_id()),
            timeout=PATIENCE,
        )
        signed_in = [("authorization", f"Bearer {registered.session.access_token}")]
        posts = post_pb2_grpc.PostServiceStub(mesh)

        # A request that is wrong names its fields.
        try:
            posts.CreatePost(post_pb2.CreatePostRequest(), metadata=signed_in, timeout=PATIENCE)
            sys.exit("an empty post was accepted")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            assert "targets" in bad_fields(error), error

        # Connect an account.
        connected = account_pb2_grpc.AccountServiceStub(mesh).ConnectWithPassword(
            account_pb2.ConnectWithPasswordRequest(
                network="bluesky",
                server=f"{SANDBOX}/bluesky",
                identifier="demo.test",
                password="demo-demo-demo-demo",
                request_id=new_id(),
            ),
            metadata=signed_in,
            timeout=PATIENCE,
        )

        # Plan a post with a picture in two seconds; the same request again answers the same post.
        media_id = upload(media_pb2_grpc.MediaServiceStub(mesh), signed_in)
        due = Timestamp()
        due.FromDatetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2))
        text = f"Hello from Python, {name}"
        request = post_pb2.CreatePostRequest(
            text=text,
            media=[post_pb2.PostMedia(media_id=media_id)],
            targets=[post_pb2.TargetInput(account_id=connected.account.id)],
            schedule_time=due,
            request_id=new_id(),
        )
        post = posts.CreatePost(request, metadata=signed_in, timeout=PATIENCE).post
        again = posts.CreatePost(request, metadata=signed_in, timeout=PATIENCE).post
        assert again.id == post.id, "the same request made another post"

        # Watch it to its end.
        watch = post_pb2.WatchPostsRequest(post_ids=[post.id], until_final=True)
        for update in posts.WatchPosts(watch, metadata=signed_in, timeout=2 * PATIENCE):
            post = update.post
        assert post.state == post_pb2.POST_STATE_PUBLISHED, post

    # The network shows it exactly once.
    with urllib.request.urlopen(f"{SANDBOX}/_sandbox/ledger", timeout=PATIENCE) as ledger:
        shown = [entry for entry in map(json.loads, ledger) if entry["text"] == text]
    assert len(shown) == 1, shown
    assert len(shown[0]["media"]) == 1, shown
    print(f"python: published once at {post.targets[0].url}")


if __name__ == "__main__":
    main()
