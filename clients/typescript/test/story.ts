// One post from sign-up to the network over gRPC-web, with the generated TypeScript client. Started by
// clients/story.sh.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { AuthService } from "../src/gen/postmesh/auth/v1/auth_pb.js";
import { MediaService } from "../src/gen/postmesh/media/v1/media_pb.js";
import { AccountService } from "../src/gen/postmesh/publisher/v1/account_pb.js";
import { type Post, PostService, PostState } from "../src/gen/postmesh/scheduler/v1/post_pb.js";
import { connect } from "../src/index.js";

const baseUrl = setting("POSTMESH_URL");
const sandbox = setting("POSTMESH_SANDBOX_URL");
const patience = { timeoutMs: 30_000 };
const name = `story-${randomUUID()}`;

let token: string | undefined;
const mesh = connect({ baseUrl, token: () => token });
const posts = mesh.service(PostService);

// Sign up.
const registered = await mesh
  .service(AuthService)
  .register({ email: `${name}@example.com`, password: randomUUID(), requestId: randomUUID() }, patience);
token = registered.session?.accessToken;
assert.ok(token);

// A request that is wrong names its fields.
const refusal = await posts.createPost({}, patience).then(() => undefined, ConnectError.from);
assert.ok(refusal, "an empty post was accepted");
assert.equal(refusal.code, Code.InvalidArgument);
const bad = refusal.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations.map((v) => v.field));
assert.ok(bad.includes("targets"), `the refusal names ${bad.join(", ")}`);

// Connect an account.
const { account } = await mesh.service(AccountService).connectWithPassword(
  {
    network: "bluesky",
    server: `${sandbox}/bluesky`,
    identifier: "demo.test",
    password: "demo-demo-demo-demo",
    requestId: randomUUID(),
  },
  patience,
);
assert.ok(account);

// Plan a post with a picture in two seconds; the same request again answers the same post.
const text = `Hello from TypeScript, ${name}`;
const request = {
  text,
  media: [{ mediaId: await upload() }],
  targets: [{ accountId: account.id }],
  scheduleTime: timestampFromMs(Date.now() + 2_000),
  requestId: randomUUID(),
};
let { post } = await posts.createPost(request, patience);
assert.ok(post);
assert.equal((await posts.createPost(request, patience)).post?.id, post.id, "the same request made another post");

// Watch it to its end.
post = await lastOf(post);
assert.equal(post.state, PostState.PUBLISHED, JSON.stringify(post.targets.map((target) => target.problem)));

// The network shows it exactly once.
const ledger = await (await fetch(`${sandbox}/_sandbox/ledger`)).text();
const shown = ledger
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as { text: string; media: unknown[] })
  .filter((entry) => entry.text === text);
assert.equal(shown.length, 1);
assert.equal(shown[0]?.media.length, 1);
console.log(`typescript: published once at ${post.targets[0]?.url}`);

function setting(key: string): string {
  const value = process.env[key];
  assert.ok(value, `${key} is not set`);
  return value.replace(/\/$/, "");
}

async function upload(): Promise<string> {
  const media = mesh.service(MediaService);
  const content = await readFile("clients/story.png");
  const created = await media.createUpload(
    { filename: "story.png", sizeBytes: BigInt(content.length), altText: "A gradient", requestId: randomUUID() },
    patience,
  );
  const address = new URL(created.uploadUrl, baseUrl);
  const sent = await fetch(address, { method: "PUT", headers: created.headers, body: new Uint8Array(content) });
  assert.ok(sent.ok, `the bytes were not taken: ${sent.status}`);
  const completed = await media.completeUpload({ uploadId: created.uploadId }, patience);
  assert.ok(completed.media);
  return completed.media.id;
}

async function lastOf(post: Post): Promise<Post> {
  for await (const update of posts.watchPosts({ postIds: [post.id], untilFinal: true }, { timeoutMs: 60_000 })) {
    post = update.post ?? post;
  }
  return post;
}
