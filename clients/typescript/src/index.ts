// Opens a typed, authenticated connection to a postmesh gateway. The services themselves are generated:
//
//   import { connect } from "@postmesh/client";
//   import { PostService } from "@postmesh/client/scheduler/v1/post_pb";
//   const posts = connect({ baseUrl: "http://127.0.0.1:8080", token: () => accessToken }).service(PostService);

import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

export interface Options {
  /** Where the gateway answers, without a trailing slash. */
  baseUrl: string;
  /** Gives the access token of the moment, or nothing when nobody is signed in. Asked before every call. */
  token?: () => string | undefined | Promise<string | undefined>;
}

export interface Connection {
  /** The client of one generated service. Clients of one connection share its transport. */
  service<S extends DescService>(service: S): Client<S>;
}

/** Prepares a connection; the first call opens it. */
export function connect(options: Options): Connection {
  const authorize: Interceptor = (next) => async (request) => {
    const token = await options.token?.();
    if (token !== undefined) {
      request.header.set("authorization", `Bearer ${token}`);
    }
    return next(request);
  };
  const transport = createGrpcWebTransport({ baseUrl: options.baseUrl, interceptors: [authorize] });
  return { service: (service) => createClient(service, transport) };
}
